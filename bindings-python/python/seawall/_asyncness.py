"""Telling async functions from others."""

from __future__ import annotations

import functools
import inspect


def is_async(fn: object) -> bool:
    """Whether calling it gives a coroutine: an async function, a partial of one, or an object whose `__call__` is one."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None))


def is_awaitable(value: object) -> bool:
    """Whether it can be awaited; cheaper than `inspect.isawaitable` for what cannot."""
    return hasattr(type(value), "__await__") or inspect.isawaitable(value)
