"""Blocking work off the event loop, in a thread of its own: the loop's executor may be full of the very work that hangs."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import TypeVar

from seawall import _clock

T = TypeVar("T")


def start(
    loop: asyncio.AbstractEventLoop, work: Callable[[], T], virtual: _clock.VirtualTime | None = None
) -> asyncio.Future[T]:
    """Begins the work; the future has its end. Under virtual time somebody who advances it waits for the work."""
    future: asyncio.Future[T] = loop.create_future()
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
        try:
            value, error = context.run(work), None
        except BaseException as raised:
            value, error = None, raised
        try:
            loop.call_soon_threadsafe(settle, value, error)
        except RuntimeError:
            # The loop is closed; the work is done all the same.
            return

    threading.Thread(target=run, name="seawall-offload", daemon=True).start()
    return future


async def run(work: Callable[[], T]) -> T:
    """Does the work in a thread and gives its result."""
    return await start(asyncio.get_running_loop(), work, _clock.active())
