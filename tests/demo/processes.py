"""The processes of a run: started in groups of their own, spoken to in JSON lines, and all gone when it ends."""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
START_SECONDS = 30.0


class RunError(RuntimeError):
    """A process of the demo did not do its part."""


class Child:
    """One process. It ends by itself when its standard input does, so nothing outlives a run that was killed."""

    def __init__(self, name: str, command: list[str], settings: Mapping[str, Any], folder: Path, env: Mapping[str, str]) -> None:
        self.name = name
        self.complaints = folder / f"{name}.stderr"
        self._heard: queue.Queue[dict[str, Any]] = queue.Queue()
        self.progress: dict[str, int] = {}
        with self.complaints.open("ab") as stderr:
            self._process = subprocess.Popen(
                [*command, json.dumps(dict(settings))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                bufsize=1,
                env={**os.environ, **env},
                start_new_session=True,
            )
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message = json.loads(line)
            if "progress" in message:
                self.progress = message["progress"]
            else:
                self._heard.put(message)

    def tell(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
        except BrokenPipeError:
            raise self._died() from None

    def hear(self, word: str, seconds: float, meanwhile: Callable[[], None] = lambda: None) -> Any:
        """Waits for a message with this word in it; `meanwhile` is called a few times a second."""
        for _ in range(int(seconds / 0.2) + 1):
            meanwhile()
            try:
                message = self._heard.get(timeout=0.2)
            except queue.Empty:
                self.check()
                continue
            if word in message:
                return message[word]
        raise RunError(f"{self.name} did not answer {word!r} within {seconds:.0f} s{self._complaint()}")

    def check(self) -> None:
        """Raises if the process has ended by itself."""
        if self._process.poll() is not None and self._heard.empty():
            raise self._died()

    def _died(self) -> RunError:
        return RunError(f"{self.name} ended by itself with status {self._process.wait()}{self._complaint()}")

    def _complaint(self) -> str:
        text = self.complaints.read_text(errors="replace").strip()
        return f"; it said:\n{text[-2000:]}" if text else ""

    def kill(self) -> None:
        """SIGKILL to the whole group: no goodbye, as a crash would have it."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()


def node(name: str, settings: Mapping[str, Any], folder: Path, env: Mapping[str, str]) -> Child:
    return Child(name, ["node", str(HERE / f"{name}.mjs")], settings, folder, env)


def reserve_port() -> socket.socket:
    """A free port that stays ours while nobody listens on it.

    Without this a client that calls a dead server's port in the ephemeral range may be given that very port as its own,
    connect to itself and keep the server from coming back. A bound socket that does not listen refuses connections, and
    lets a server that allows address reuse, as Node's does, listen beside it.
    """
    guard = socket.socket()
    guard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    guard.bind(("127.0.0.1", 0))
    return guard
