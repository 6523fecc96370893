"""Plays the vectors through trio."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any

import async_player
import trio


class Future:
    """A value that comes once, unless the task that waits for it was cancelled."""

    def __init__(self) -> None:
        self.event = trio.Event()
        self.value: Any = None
        self.was_cancelled = False

    def cancelled(self) -> bool:
        return self.was_cancelled

    def set_result(self, value: Any, /) -> None:
        self.value = value
        self.event.set()

    def __await__(self) -> Generator[Any, Any, Any]:
        try:
            yield from self.event.wait().__await__()
        except trio.Cancelled:
            self.was_cancelled = True
            raise
        return self.value


class Library:
    """trio, in one run and one nursery."""

    cancellation = trio.Cancelled

    def __init__(self) -> None:
        self.nursery: trio.Nursery | None = None
        self.ends: list[trio.Event] = []

    def run(self, main: Callable[[], Awaitable[list[str]]]) -> list[str]:
        async def run() -> list[str]:
            async with trio.open_nursery() as self.nursery:
                return await main()

        return trio.run(run)

    def future(self) -> Future:
        return Future()

    def spawn(self, work: Callable[[], Awaitable[None]]) -> trio.CancelScope:
        scope, ended = trio.CancelScope(), trio.Event()

        async def run() -> None:
            with scope:
                await work()
            ended.set()

        assert self.nursery is not None
        self.ends.append(ended)
        self.nursery.start_soon(run)
        return scope

    async def join(self) -> None:
        for ended in self.ends:
            await ended.wait()


if __name__ == "__main__":
    async_player.run(Library)
