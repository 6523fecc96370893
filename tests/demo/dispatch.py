"""Dispatch: replays the orders as they arrive and has each charged by payments. Only the guarded mode imports Seawall."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from datetime import datetime, timezone
from typing import Any, Protocol

import httpx


class Desk(Protocol):
    """One way to charge: bare or guarded."""

    async def charge(self, order: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """How the order ended for its caller: `charged`, `letter` (somebody will finish it) or `failed`, and facts for the log."""
        ...

    async def redrive(self) -> dict[str, Any] | None: ...


def tell(message: dict[str, Any]) -> None:
    """Tells the run something, as one JSON line."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


class Journal:
    """The log of dispatch: JSON lines, appended as they happen."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "a", encoding="utf-8", buffering=1)

    def write(self, line: dict[str, Any]) -> None:
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._file.write(json.dumps({"time": now, "service": "dispatch", **line}) + "\n")


class Replay:
    """Sends every order at its arrival and notes how it was answered."""

    def __init__(self, desk: Desk, journal: Journal, orders: list[dict[str, Any]]) -> None:
        self.desk, self.journal, self.orders = desk, journal, orders
        self.counts = {"arrived": 0, "charged": 0, "letter": 0, "failed": 0}

    async def run(self, start: float) -> None:
        progress = asyncio.create_task(self._progress())
        async with asyncio.TaskGroup() if hasattr(asyncio, "TaskGroup") else _Tasks() as tasks:
            for order in self.orders:
                arrival = start + order.pop("arrival")
                await asyncio.sleep(max(0.0, arrival - time.time()))
                tasks.create_task(self._one(order, arrival))
        progress.cancel()

    async def _one(self, order: dict[str, Any], arrival: float) -> None:
        self.counts["arrived"] += 1
        outcome, facts = await self.desk.charge(order)
        self.counts[outcome] += 1
        took = round((time.time() - arrival) * 1000)
        line = {"event": "order.answered", "order": order["id"], "arrived": round(arrival * 1000), "took_ms": took, "outcome": outcome}
        self.journal.write({**line, **facts})

    async def _progress(self) -> None:
        while True:
            tell({"progress": self.counts})
            await asyncio.sleep(0.5)


class _Tasks:
    """The part of `asyncio.TaskGroup` that is needed, for Python 3.10."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def create_task(self, work: Any) -> None:
        self._tasks.append(asyncio.create_task(work))

    async def __aenter__(self) -> _Tasks:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*self._tasks)


def listen(loop: asyncio.AbstractEventLoop) -> asyncio.Queue[dict[str, Any]]:
    """Hears the run's JSON lines. When the run is gone, however it ended, so is this process."""
    heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def read() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(heard.put_nowait, json.loads(line))
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    return heard


async def main(settings: dict[str, Any]) -> None:
    heard = listen(asyncio.get_running_loop())
    journal = Journal(settings["log"])
    with open(settings["orders"], encoding="utf-8") as file:
        orders = json.load(file)
    # The client's own defaults: five seconds to connect, read, write or get one of a hundred connections.
    async with httpx.AsyncClient() as client:
        desk = _desk(settings, client, journal)
        tell({"ready": True})
        while message := await heard.get():
            if "start" in message:
                replay = Replay(desk, journal, orders)
                await replay.run(message["start"])
                tell({"progress": replay.counts})
                tell({"done": True})
            elif "redrive" in message:
                tell({"redriven": await desk.redrive()})


def _desk(settings: dict[str, Any], client: httpx.AsyncClient, journal: Journal) -> Desk:
    if settings["mode"] == "bare":
        import dispatch_bare

        return dispatch_bare.BareDesk(client, settings["payments"])
    import dispatch_guarded

    return dispatch_guarded.GuardedDesk(client, settings, journal.write)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
