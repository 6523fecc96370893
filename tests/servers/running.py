"""Starts a server for one test, on a Unix socket in the test's own folder."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from servers import find

START_SECONDS = 30


def needed(name: str) -> str:
    """The program or URL of a server. Without one the test is skipped, or fails where SEAWALL_REQUIRE_SERVERS=1."""
    try:
        return find.find(name)
    except find.MissingError as error:
        if os.environ.get("SEAWALL_REQUIRE_SERVERS") == "1":
            pytest.fail(f"no {name} server: {error}")
        pytest.skip(f"no {name} server: {error}")


@dataclass
class Redis:
    """A Redis of a test's own, which keeps what it acknowledged when it is killed. `url` is for redis-py and Celery."""

    program: str
    folder: Path
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def socket(self) -> Path:
        return self.folder / "redis.sock"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> None:
        """Starts it, again after a kill, and waits until it answers."""
        self.socket.unlink(missing_ok=True)
        options = ["--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.folder)]
        durable = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        with (self.folder / "redis.log").open("ab") as log:
            self.process = subprocess.Popen([self.program, *options, *durable], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until = time.monotonic() + START_SECONDS
        while not self.socket.exists():
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"redis did not start:\n{(self.folder / 'redis.log').read_text()}")
            time.sleep(0.01)

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Ends it, and waits until it is gone."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait()
            self.process = None


@contextmanager
def redis(folder: Path) -> Iterator[Redis]:
    """A Redis that runs while the test does. Its folder's path must be short, as that of every Unix socket."""
    program = needed("redis")
    if "://" in program:
        pytest.skip("this test starts and kills a Redis of its own, and the variable names one that runs already")
    server = Redis(program, folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()
