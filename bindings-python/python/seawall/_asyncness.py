"""Telling async functions and generators from others, without `inspect` where the function itself says it."""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable

from seawall._typing import Any

# The flags of a code object, as `inspect` has them.
_GENERATOR, _COROUTINE, _ITERABLE_COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x100, 0x200


def is_async(fn: object) -> bool:
    """Whether calling it gives a coroutine: an async function, a partial of one, or an object whose `__call__` is one."""
    fn = _called(fn)
    if _flags(fn) & _COROUTINE:
        return True
    return _is_marked(fn)


def is_generator(fn: object) -> bool:
    """Whether calling it gives a generator."""
    return bool(_flags(_called(fn)) & _GENERATOR)


def is_async_generator(fn: object) -> bool:
    """Whether calling it gives an async generator."""
    return bool(_flags(_called(fn)) & _ASYNC_GENERATOR)


def is_awaitable(value: object) -> bool:
    """Whether it can be awaited."""
    if hasattr(type(value), "__await__"):
        return True
    return isinstance(value, types.GeneratorType) and bool(value.gi_code.co_flags & _ITERABLE_COROUTINE)


def innermost(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The function at the bottom of decorators that say what they wrap."""
    for _ in range(1000):
        if not hasattr(fn, "__wrapped__"):
            break
        fn = fn.__wrapped__
    return fn


def _called(fn: object) -> object:
    """What runs when it is called: below partials and methods, and the `__call__` of an object that is no function itself."""
    for _ in range(1000):
        if isinstance(fn, functools.partial):
            fn = fn.func
        elif isinstance(fn, types.MethodType):
            fn = fn.__func__
        else:
            call = None if isinstance(fn, type) or hasattr(fn, "__code__") else getattr(type(fn), "__call__", None)
            if not isinstance(call, types.FunctionType):
                break
            if _is_marked(fn):
                break
            fn = call
    return fn


def _is_marked(fn: object) -> bool:
    """Whether `inspect.markcoroutinefunction` marked it, which only a loaded `inspect` can have done."""
    inspect = sys.modules.get("inspect")
    return inspect is not None and not isinstance(fn, type) and bool(inspect.iscoroutinefunction(fn))


def _flags(fn: object) -> int:
    found = getattr(getattr(fn, "__code__", None), "co_flags", 0)
    return found if isinstance(found, int) else 0
