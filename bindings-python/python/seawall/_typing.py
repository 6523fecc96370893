"""The names of `typing`, for checkers. At run time they are blanks: importing `typing` takes longer than all of this package.

What a module writes with them is for checkers and readers alone; annotations are never evaluated here.
"""

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import (
        Any as Any,
        Final as Final,
        Generic as Generic,
        Literal as Literal,
        NamedTuple as NamedTuple,
        NoReturn as NoReturn,
        Optional as Optional,
        ParamSpec as ParamSpec,
        Protocol as Protocol,
        TypedDict as TypedDict,
        TypeVar as TypeVar,
        Union as Union,
        cast as cast,
        overload as overload,
    )
else:
    from collections import namedtuple
    from types import GenericAlias

    class _Blank:
        """A form such as `Literal`, and all that is made of it."""

        def __getitem__(self, parameters):
            return self

        def __or__(self, other):
            return self

        __ror__ = __or__

        def __call__(self, *args, **kwargs):
            return self

    Any = Final = Literal = NoReturn = Optional = ParamSpec = TypeVar = Union = _Blank()

    class Generic:
        """A class with parameters, which its users may write at run time: `Policy[None]`."""

        __slots__ = ()

        def __class_getitem__(cls, parameters):
            return cls if cls is Generic else GenericAlias(cls, parameters)

    class Protocol:
        pass

    class _Named(type):
        """Makes a named tuple of a class with annotated names."""

        def __new__(cls, name, bases, body):
            if not bases:
                return super().__new__(cls, name, bases, body)
            fields = body["__annotations__"]
            made = namedtuple(name, fields, module=body["__module__"], defaults=[body[each] for each in fields if each in body])
            for attribute, value in body.items():
                if attribute not in fields and attribute not in ("__module__", "__annotations__", "__qualname__"):
                    setattr(made, attribute, value)
            return made

    class NamedTuple(metaclass=_Named):
        pass

    class TypedDict(dict):
        def __init_subclass__(cls, total=True):
            pass

    def cast(kind, value):
        return value

    def overload(function):
        return function
