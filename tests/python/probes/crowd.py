"""What the probes share: crowds of threads and tasks that set off together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

PATIENCE = 30


class Down(ConnectionError):
    """The dependency's own error."""


def threads(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Runs the work in so many threads that begin together; gives what each returned or raised."""
    start = threading.Barrier(count)
    ends: list[Any] = [None] * count

    def run(n: int) -> None:
        start.wait(PATIENCE)
        try:
            ends[n] = work(n)
        except BaseException as error:
            ends[n] = error

    crowd = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(count)]
    for each in crowd:
        each.start()
    for each in crowd:
        each.join(PATIENCE)
    assert not any(each.is_alive() for each in crowd), "a thread hangs"
    return ends


async def tasks(count: int, work: Callable[[int], Awaitable[Any]]) -> list[Any]:
    """The same with tasks of one event loop."""
    return await asyncio.gather(*(work(n) for n in range(count)), return_exceptions=True)


def fail(*args: Any) -> Any:
    raise Down("down")


async def afail(*args: Any) -> Any:
    raise Down("down")


def trip(call: Callable[[], Any], times: int) -> None:
    """Fails so often."""
    for _ in range(times):
        try:
            call()
        except Down:
            continue
