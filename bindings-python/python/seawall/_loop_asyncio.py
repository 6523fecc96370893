"""asyncio's tasks. Cutting what one waits for must not mistake the caller's cancellation for our own.

From Python 3.11 on the wait stays in the caller's task, whose cancellation requests are counted and can be taken back. Before
that a second request is lost in the first, so there what can be cut runs in a task of its own.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from seawall import _deadlines
from seawall._loop import Cancellable, Cut, Future

T = TypeVar("T")

_CAN_UNCANCEL = sys.version_info >= (3, 11)


def current() -> AsyncioTask | None:
    """The running task, if there is one."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return None
    return None if task is None else AsyncioTask(task)


class AsyncioTask:
    """The caller's task, and its loop."""

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self._task = task
        self._loop = asyncio.get_running_loop()
        self._inner: asyncio.Future[Any] | None = None
        self._is_waiting = False
        self.is_cut = False

    def cut(self) -> None:
        if not self._is_waiting or self.is_cut:
            return
        self.is_cut = True
        if self._inner is not None:
            self._inner.cancel()
        elif _CAN_UNCANCEL:
            self._task.cancel()

    def enter(self) -> None:
        self._is_waiting = True

    def leave(self, error: BaseException | None) -> BaseException | None:
        self._is_waiting = False
        return error

    async def wait(self, what: Awaitable[T]) -> T:
        self._is_waiting = True
        try:
            return await (what if _CAN_UNCANCEL else self._in_a_task(what))
        finally:
            self._is_waiting = False
            self._inner = None

    async def _in_a_task(self, what: Awaitable[T]) -> T:
        inner = self._inner = asyncio.ensure_future(what)
        stop: asyncio.CancelledError | None = None
        while not inner.done():
            try:
                await asyncio.wait({inner})
            except asyncio.CancelledError as cancelled:
                stop = cancelled
                inner.cancel()
        if stop is not None:
            self.is_cut = False
            raise stop
        result: T = inner.result()
        return result

    async def settle(self, error: BaseException | None) -> BaseException | None:
        self.is_cut = False
        is_cancelled = isinstance(error, asyncio.CancelledError)
        if sys.version_info >= (3, 11) and self._task.uncancel() > 0:
            return error if is_cancelled else asyncio.CancelledError()
        return None if is_cancelled or isinstance(error, (Exception, Cut)) else error

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def future(self) -> Future[Any]:
        return self._loop.create_future()

    def soon(self, act: Callable[[], object]) -> None:
        try:
            self._loop.call_soon_threadsafe(act)
        except RuntimeError:
            # The loop is closed.
            return

    def after(self, ms: int, act: Callable[[], object]) -> Cancellable:
        return _deadlines.of(self._loop).after(ms, act)

    def spawn(self, work: Callable[[], Coroutine[Any, Any, Any]], ended: Callable[[bool, Any], object]) -> Cancellable:
        def done(task: asyncio.Task[Any]) -> None:
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
            ended(error is None, task.result() if error is None else error)

        task = self._loop.create_task(work())
        task.add_done_callback(done)
        return task

    async def outlast(self, future: Future[T], cancelled: Callable[[BaseException], object]) -> T:
        while not future.done():
            try:
                # Not the future itself: cancelling us must not cancel it.
                await asyncio.wait({future})  # type: ignore[type-var]
            except asyncio.CancelledError as stop:
                cancelled(stop)
        return future.result()

    def is_cancellation(self, error: object) -> bool:
        return isinstance(error, (asyncio.CancelledError, Cut))
