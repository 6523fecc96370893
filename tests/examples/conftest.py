"""What the examples need around them: the bank that they charge, and processes that end with the test."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from slate import clean_slate, store

__all__ = ["bank", "clean_slate", "example", "store"]

EXAMPLES = Path(__file__).resolve().parents[2] / "bindings-python" / "examples"
# How long anything may take that takes a moment: machines of CI are slow.
PATIENCE = 60


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """A function that imports an example afresh."""
    monkeypatch.syspath_prepend(str(EXAMPLES))

    def load(name: str) -> Any:
        monkeypatch.delitem(sys.modules, name, raising=False)
        return importlib.import_module(name)

    return load


class Bank:
    """The examples' bank, with a door that the test can shut and hold, and a list of who came."""

    def __init__(self, module: Any) -> None:
        self.url = ""
        self.receipts: dict[str, str] = module.receipts
        self.is_open = True
        # Requests wait here while it is clear.
        self.moving = threading.Event()
        self.moving.set()
        # The headers of each request, with its path.
        self.seen: list[dict[str, str]] = []
        self._app = module.app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.seen.append({**headers, "path": scope["path"]})
        while not self.moving.is_set():
            await asyncio.sleep(0.01)
        if self.is_open:
            await self._app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 503, "headers": []})
        await send({"type": "http.response.body", "body": b"closed"})

    def came(self, order: str, header: str) -> list[str]:
        """That header of every request about an order."""
        return [each[header] for each in self.seen if each["path"] == f"/charges/{order}"]


@pytest.fixture
def bank(example: Callable[[str], Any]) -> Iterator[Bank]:
    """The bank, open."""
    made = Bank(example("bank"))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        made.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(made, lifespan="off", log_level=logging.CRITICAL, timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield made
        finally:
            made.moving.set()
            server.should_exit = True
            thread.join()


@contextmanager
def process(*command: str, log: Path, env: dict[str, str], pass_fds: tuple[int, ...] = ()) -> Iterator[subprocess.Popen[bytes]]:
    """A process among the examples, with all that it starts; what is left of it at the end is killed."""
    with log.open("wb") as sink:
        child = subprocess.Popen(
            [sys.executable, *command],
            cwd=EXAMPLES,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **env},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            pass_fds=pass_fds,
            start_new_session=True,
        )
    try:
        yield child
    except BaseException:
        print(log.read_text(errors="replace"))
        raise
    finally:
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        child.wait()


def until(condition: Callable[[], Any], what: str) -> Any:
    """Waits until something is true that other processes bring about, and gives it."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"after {PATIENCE} s still not so: {what}")
