"""Cutting what a task waits for, without mistaking the caller's cancellation for our own.

From Python 3.11 on the wait stays in the caller's task, whose cancellation requests are counted and can be taken back. Before
that a second request is lost in the first, so there what can be cut runs in a task of its own.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable
from typing import Any, TypeVar

T = TypeVar("T")


class Cutter:
    """Lets one task wait so that a timer can cut the wait."""

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self._task = task
        self._inner: asyncio.Future[Any] | None = None
        self._is_waiting = False
        self._is_cut = False

    def cut(self) -> None:
        """Ends the wait under way by a cancellation, once. Without one it does nothing."""
        if not self._is_waiting or self._is_cut:
            return
        self._is_cut = True
        if self._inner is not None:
            self._inner.cancel()
        elif sys.version_info >= (3, 11):
            self._task.cancel()

    def enter(self) -> None:
        """From here on the task runs a block that may be cut, from 3.11 on."""
        self._is_waiting = True

    def leave(self) -> None:
        """The block was left."""
        self._is_waiting = False

    async def wait(self, what: Awaitable[T]) -> T:
        """Waits for it. `was_cut` tells afterwards what a cancellation that comes out of here means."""
        self._is_waiting = True
        try:
            return await (what if sys.version_info >= (3, 11) else self._in_a_task(what))
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
            self._is_cut = False
            raise stop
        result: T = inner.result()
        return result

    def was_cut(self) -> bool:
        """Whether the wait that just ended was cut by us and by nobody else; then our cancellation is taken back."""
        if not self._is_cut:
            return False
        self._is_cut = False
        return self._task.uncancel() == 0 if sys.version_info >= (3, 11) else True

    @property
    def is_cut(self) -> bool:
        """Whether a cut has not been accounted for yet."""
        return self._is_cut
