"""Immutable values with named fields. `dataclasses` would do, but imports `inspect`, which takes longer than all of this package."""

from __future__ import annotations

from seawall._typing import TYPE_CHECKING, Any, TypeVar

C = TypeVar("C", bound=type)

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**promises):
        return lambda function: function


@dataclass_transform(frozen_default=True)
def record(cls: C) -> C:
    """Makes a class of the annotated names: fields with slots, compared, hashed, shown, copied and pickled by value."""
    names = tuple(cls.__annotations__)
    body = {name: value for name, value in vars(cls).items() if name not in ("__dict__", "__weakref__")}
    defaults = {name: body.pop(name) for name in names if name in body}
    body.update(
        __slots__=names,
        __match_args__=names,
        __init__=_initializer(names, defaults),
        __setattr__=_refuse,
        __delattr__=_refuse,
        __eq__=_equal,
        __hash__=_hash,
        __repr__=_show,
        __reduce__=_reduce,
    )
    made: Any = type(cls)(cls.__name__, cls.__bases__, body)
    return made  # type: ignore[no-any-return]


def _initializer(names: tuple[str, ...], defaults: dict[str, object]) -> Any:
    parameters = ", ".join(f"{name}=defaults[{name!r}]" if name in defaults else name for name in names)
    lines = "".join(f"\n    put(self, {name!r}, {name})" for name in names)
    space: dict[str, Any] = {"put": object.__setattr__, "defaults": defaults}
    exec(f"def __init__(self, {parameters}):{lines}", space)
    return space["__init__"]


def _values(self: Any) -> tuple[Any, ...]:
    return tuple(getattr(self, name) for name in self.__slots__)


def _equal(self: Any, other: object) -> Any:
    return _values(self) == _values(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash((type(self), _values(self)))


def _show(self: Any) -> str:
    shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
    return f"{type(self).__qualname__}({shown})"


def _reduce(self: Any) -> tuple[Any, ...]:
    return type(self), _values(self)


def _refuse(self: object, name: str, value: object = None) -> None:
    raise AttributeError(f"{type(self).__name__} cannot be changed, nor can its {name}")
