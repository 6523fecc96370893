"""Blocking work off the event loop, in a thread of its own: the loop's executor may be full of the very work that hangs."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import TypeVar

from seawall import _clock, _loop

T = TypeVar("T")


def start(task: _loop.Task, work: Callable[[], T], virtual: _clock.VirtualTime | None = None) -> _loop.Future[T]:
    """Begins the work; the future has its end. Under virtual time somebody who advances it waits for the work."""
    future: _loop.Future[T] = task.future()
    context = contextvars.copy_context()
    if virtual is not None:
        virtual.woken()

    def settle(value: T | None, error: BaseException | None) -> None:
        if virtual is not None:
            virtual.rests()
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)  # type: ignore[arg-type]

    def run() -> None:
        value: T | None = None
        error: BaseException | None = None
        try:
            value = context.run(work)
        except BaseException as raised:
            error = raised
        task.soon(lambda: settle(value, error))

    threading.Thread(target=run, name="seawall-offload", daemon=True).start()
    return future


async def run(work: Callable[[], T]) -> T:
    """Does the work of a queue in a thread and gives its result. Raises `ConfigError` outside of a task."""
    return await start(_loop.required("dead_letters"), work, _clock.active())
