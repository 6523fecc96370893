"""Starts a server for one test, on a free port of this machine alone, with its files in the test's own folder."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from servers import find, serve

START_SECONDS = 30


def needed(name: str) -> str:
    """The program or URL of a server. Without one the test is skipped, or fails where SEAWALL_REQUIRE_SERVERS=1."""
    try:
        return find.find(name)
    except find.MissingError as error:
        if os.environ.get("SEAWALL_REQUIRE_SERVERS") == "1":
            pytest.fail(f"no {name} server: {error}")
        pytest.skip(f"no {name} server: {error}")


def free_port() -> int:
    """A port of this machine that nobody listens on, and that is not given out again for a while."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def a_server(name: str, folder: Path, *, tls: bool = False) -> Iterator[serve.Server]:
    """A server of a test's own, which it may kill and stop. Without one the test is skipped or fails, as in `needed`."""
    try:
        server = serve.make(name, folder, tls=tls)
    except find.MissingError as error:
        if os.environ.get("SEAWALL_REQUIRE_SERVERS") == "1":
            pytest.fail(f"no {name} server: {error}")
        pytest.skip(f"no {name} server: {error}")
    try:
        yield server
    finally:
        server.signal(signal.SIGKILL)


@contextmanager
def any_url(name: str, folder: Path) -> Iterator[str]:
    """The URL of a server, which may be somebody else's."""
    given = needed(name)
    if "://" in given:
        yield given
        return
    with a_server(name, folder) as server:
        yield server.url


@dataclass
class Redis:
    """A Redis of a test's own, which keeps what it acknowledged when it is killed, in its folder."""

    program: str
    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Starts it, again after a kill, and waits until it answers."""
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        durable = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        with (self.folder / "redis.log").open("ab") as log:
            self.process = subprocess.Popen([self.program, *options, *durable], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until = time.monotonic() + START_SECONDS
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > until:
                self.stop()
                raise RuntimeError(f"redis did not start:\n{(self.folder / 'redis.log').read_text()}")
            time.sleep(0.01)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as there:
                there.sendall(b"PING\r\n")
                return there.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Ends it, and waits until it is gone."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait()
            self.process = None


@contextmanager
def redis(folder: Path) -> Iterator[Redis]:
    """A Redis that runs while the test does."""
    program = needed("redis")
    if "://" in program:
        pytest.skip("this test starts and kills a Redis of its own, and the variable names one that runs already")
    server = Redis(program, folder, free_port())
    server.start()
    try:
        yield server
    finally:
        server.stop()
