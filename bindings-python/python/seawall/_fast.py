"""Where the fast path meets the package: which functions may take it, and what it calls when a call leaves it.

The native half passes calls that neither wait nor fail through one vectorcall (`bindings-python/src/hot`). Everything else is
the drivers' work, which get the call from the start, or with its first attempt ended. `SEAWALL_FAST=0` in the environment
leaves all of it to them.
"""

from __future__ import annotations

import contextvars
import functools
import os
import sys
import types
from collections.abc import Callable, Coroutine

from seawall import _asyncness, _call, _clock, _context, _errors, _events, _native, _plan, _sync
from seawall._call import View, tickets
from seawall._late import inspect, logger
from seawall._plan import Written
from seawall._table import ErrorCode
from seawall._typing import Any

# Calls that left the fast path after their first attempt, and those among them whose limit of time had passed. For tests.
handed_over = cut_off = 0

_is_on = os.environ.get("SEAWALL_FAST", "1") != "0"


def set_on(on: bool) -> bool:
    """Switches the fast path for functions that are decorated from now on, and for all calls; gives what was before. For tests."""
    global _is_on
    before, _is_on = _is_on, on
    _native.fast_stale()
    return before


def guard_sync(written: Written, view: View, fn: Callable[..., Any]) -> Callable[..., Any]:
    """A guarded ordinary function."""
    if _is_here and _is_on:
        made: Callable[..., Any] = _native.fast_guard(fn, written, view, False)
        return functools.update_wrapper(made, fn)

    @functools.wraps(fn)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        return _sync.run(written, view, fn, args, kwargs)

    return guarded


def guard_async(written: Written, view: View, fn: Callable[..., Any]) -> Callable[..., Any]:
    """A guarded async function, which `inspect.iscoroutinefunction` knows for one."""
    if not (_is_here and _is_on):

        @functools.wraps(fn)
        async def driven(*args: Any, **kwargs: Any) -> Any:
            return await _arun(written, view, fn, args, kwargs)

        return driven
    made = functools.update_wrapper(_native.fast_guard(fn, written, view, True), fn)
    if sys.version_info >= (3, 12):
        return inspect.markcoroutinefunction(made)
    # Before there was a mark, `inspect` believed whatever has all the attributes of a function, as compiled functions do.
    for name in ("__code__", "__defaults__", "__kwdefaults__", "__annotations__"):
        setattr(made, name, getattr(_coroutine_function, name))
    made.__annotations__ = getattr(fn, "__annotations__", {})
    made.__name__ = getattr(fn, "__name__", type(fn).__name__)
    return made


async def _coroutine_function(*args: Any, **kwargs: Any) -> None:
    """Lends its code, which is that of a coroutine function, to those that are none before Python 3.12."""


def _plan_of(written: Written, view: View, fn: Callable[..., Any]) -> _native.Policy | None:
    """The policy of the calls to come, or None where each of them must be looked at here."""
    if not _is_on or _plan.is_disabled() or written.mode_of is not None or written.key is not None:
        return None
    if view.key is not None or view.idempotency_key is not None:
        return None
    plan = written.plan(fn)
    if plan.result_tests or plan.keeps_stale or plan.is_threaded:
        return None
    return plan.native


def _resume(
    written: Written,
    view: View,
    fn: Callable[..., Any],
    native: _native.Call,
    frame: _context.Frame | None,
    is_value: bool,
    outcome: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    global handed_over
    handed_over += 1
    try:
        return _sync.resume(written, view, fn, native, frame, is_value, outcome, args, kwargs)
    finally:
        # The error's traceback leads here, and would keep the error alive.
        del outcome


def _arun(
    written: Written, view: View, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Coroutine[Any, Any, Any]:
    # asyncio takes long to import, and sync programs need none of it.
    from seawall._async import run

    return run(written, view, fn, args, kwargs)


def _aresume(
    written: Written,
    view: View,
    fn: Callable[..., Any],
    native: _native.Call,
    frame: _context.Frame | None,
    is_value: bool,
    outcome: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    cut: list[_call.Op] | None,
) -> Coroutine[Any, Any, Any]:
    global handed_over, cut_off
    from seawall._async import resume

    handed_over += 1
    cut_off += cut is not None
    try:
        return resume(written, view, fn, native, frame, is_value, outcome, args, kwargs, cut)
    finally:
        del outcome


# Limits of time of async calls. asyncio is imported by the first call that waits under one, and so has imported it itself.


def _loop_functions() -> tuple[Callable[[], Any], Callable[[Any], Any], Callable[[], Exception]]:
    """What gives the running loop, or None; the task that runs in it; and the error of a call that is in none."""
    import asyncio

    from seawall import _loop

    return asyncio._get_running_loop, asyncio.current_task, lambda: _loop.outside("policy")


def _is_in_trio() -> bool:
    from seawall import _loop

    return _loop.is_trio()


def _alarm(loop: Any, ms: int, act: Callable[[], object]) -> None:
    from seawall import _deadlines

    # In a context of its own: that of whoever waits first is not to be kept alive by it.
    _deadlines.of(loop).after(ms, act, contextvars.Context())


def _arm(running: object, ms: int) -> int:
    """A limit in virtual time: gives the number of its timer."""
    from seawall import _loop_asyncio

    virtual, task = _clock.active(), _loop_asyncio.current()
    if virtual is None or task is None:
        return -1
    soon = task.soon
    return virtual.arm(ms, lambda: soon(lambda: _native.fast_limit(running)))


def _disarm(number: int) -> None:
    virtual = _clock.active()
    if virtual is not None:
        virtual.disarm(number)


def _refusal(label: str, code: ErrorCode, failures: int, total: int) -> tuple[type, tuple[str], dict[str, object]]:
    """What the errors of calls that are turned away share: class, arguments and fields."""
    error = _errors.make(code, _call.message(label, code, None, failures, total), policy=label)
    return type(error), error.args, _errors.refused_fields(error)


_is_here = _native.fast_setup(
    {
        "current": _context._current,
        "deadline": _context._deadline,
        "correlation": _context._correlation,
        "nothing": _context._NONE,
        "plan": _plan_of,
        "run": _sync.run,
        "resume": _resume,
        "refusal": _refusal,
        "identity": lambda: _context.current().correlation_id,
        "hearing": lambda: logger.isEnabledFor,
        "level": _events.DEBUG,
        "retry_after": "retry_after",
        "correlation_id": "correlation_id",
        "is_awaitable": _asyncness.is_awaitable,
        "enter": _context.enter_frame,
        "again": _context.enter_again,
        "leave": _context.leave_frame,
        "arun": _arun,
        "aresume": _aresume,
        "coroutine": types.CoroutineType,
        "emit": _events.emit,
        "wake": tickets.wake,
        "method": types.MethodType,
        "loop_functions": _loop_functions,
        "is_in_trio": _is_in_trio,
        "alarm": _alarm,
        "arm": _arm,
        "disarm": _disarm,
        # Before, a task's second cancellation is lost in the first, so the driver has what can be cut run in a task of its own.
        "can_cut": sys.version_info >= (3, 11),
    }
)
