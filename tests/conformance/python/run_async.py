"""Plays the vectors through asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import async_player


class Library:
    """asyncio, in one loop."""

    cancellation = asyncio.CancelledError

    def __init__(self) -> None:
        self.tasks: list[asyncio.Future[None]] = []

    def run(self, main: Callable[[], Awaitable[list[str]]]) -> list[str]:
        async def run() -> list[str]:
            return await main()

        return asyncio.run(run())

    def future(self) -> asyncio.Future[Any]:
        return asyncio.get_running_loop().create_future()

    def spawn(self, work: Callable[[], Awaitable[None]]) -> asyncio.Future[None]:
        task = asyncio.ensure_future(work())
        self.tasks.append(task)
        return task

    async def join(self) -> None:
        await asyncio.gather(*self.tasks, return_exceptions=True)


if __name__ == "__main__":
    async_player.run(Library)
