"""Runs a server for a test in any language: `python tests/servers/serve.py postgres|redis [tls]`.

It prints a line of JSON, `{"url": …, "own": true, "authorities": …}`, and then obeys words on its standard input, each answered by `ok`: `kill` (-9, all of its
processes), `stop` and `go` (SIGSTOP and SIGCONT), `start` (again, with what it had on disk). At the end of its input it kills the server and removes its files.
Where a variable names a server that runs already, `own` is false, and there is nothing to kill. Status 3 and a reason on stderr if there is no server here.

Standard library only.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from servers import find

START_SECONDS = 60
# Looks like nothing else, so that a test finds it wherever it appears.
PASSWORD = "hunter2-Xq7"


def free_port() -> int:
    """A port of this machine that nobody listens on, and that is not given out again for a while."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass
class Server:
    """One that runs in `folder`, on `port` of this machine alone."""

    program: str
    folder: Path
    port: int
    tls: bool = False
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def command(self) -> list[str]:
        raise NotImplementedError

    def prepare(self) -> None:
        """Makes what it needs on disk, once."""

    def answers(self) -> bool:
        raise NotImplementedError

    @property
    def url(self) -> str:
        raise NotImplementedError

    @property
    def authorities(self) -> Path:
        return self.folder / "authority.crt"

    def start(self) -> None:
        """Starts it, again after a kill, and waits until it answers."""
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until = time.monotonic() + START_SECONDS
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > until:
                self.signal(signal.SIGKILL)
                raise RuntimeError(f"the server did not start:\n{(self.folder / 'server.log').read_text()}")
            time.sleep(0.02)

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to all of its processes; after SIGKILL it is gone."""
        if self.process is None:
            return
        # Stopped first, so that it starts no process that this does not see.
        if number is signal.SIGKILL:
            self.process.send_signal(signal.SIGSTOP)
        for process in (self.process.pid, *children(self.process.pid)):
            try:
                os.kill(process, number)
            except ProcessLookupError:
                pass
        if number is signal.SIGKILL:
            self.process.wait()
            self.process = None


def children(parent: int) -> list[int]:
    """The processes that a process has started, and theirs."""
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found += [int(entry.parent.name), *children(int(entry.parent.name))]
    return found


class Postgres(Server):
    """Keeps to a password, and speaks TLS with a certificate for `localhost` if asked to."""

    def prepare(self) -> None:
        secret = self.folder / "secret"
        secret.write_text(PASSWORD)
        program = str(Path(self.program).with_name("initdb"))
        options = ["-D", str(self.folder / "data"), "-U", "seawall", "-A", "scram-sha-256", "--pwfile", str(secret), "-E", "UTF8", "--no-sync"]
        try:
            subprocess.run([*as_somebody(), program, *options, "--locale=C"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
        except OSError as error:
            raise find.MissingError(f"initdb: {error}") from error
        except subprocess.CalledProcessError as error:
            raise find.MissingError(f"initdb: {(error.stderr.strip() or 'failed').splitlines()[-1]}") from error

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "shared_buffers": "16MB",
            "max_connections": "60",
            "log_min_messages": "fatal",
        }
        if self.tls:
            settings |= {"ssl": "on", "ssl_cert_file": str(self.folder / "server.crt"), "ssl_key_file": str(self.folder / "server.key")}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [*as_somebody(), self.program, "-D", str(self.folder / "data"), *options]

    def answers(self) -> bool:
        # A request for a protocol that there is not: whoever takes sessions says so with an error of its own.
        start = b"\x00\x03\x00\x00user\x00seawall\x00database\x00postgres\x00\x00"
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as there:
                there.sendall((len(start) + 4).to_bytes(4, "big") + start)
                # "R" asks for the password; "E" says that it is still starting.
                return there.recv(1) == b"R"
        except OSError:
            return False

    @property
    def url(self) -> str:
        host = "localhost" if self.tls else "127.0.0.1"
        return f"postgresql://seawall:{PASSWORD}@{host}:{self.port}/postgres"


class Redis(Server):
    """Keeps what it acknowledged, and to a password; speaks TLS alone if asked to."""

    def command(self) -> list[str]:
        port = ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"] if self.tls else ["--port", str(self.port)]
        pairs = {"cert-file": "server.crt", "key-file": "server.key", "ca-cert-file": "authority.crt"} if self.tls else {}
        files = [word for option, file in pairs.items() for word in (f"--tls-{option}", str(self.folder / file))]
        durable = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        return [self.program, *port, *files, "--bind", "127.0.0.1", "--dir", str(self.folder), "--requirepass", PASSWORD, *durable]

    def answers(self) -> bool:
        if self.tls:
            # It listens once it has read what it kept.
            with socket.socket() as there:
                return there.connect_ex(("127.0.0.1", self.port)) == 0
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as there:
                there.sendall(f"AUTH {PASSWORD}\r\nPING\r\n".encode())
                told = b""
                while told.count(b"\r\n") < 2:
                    more = there.recv(64)
                    if not more:
                        return False
                    told += more
                return told.endswith(b"+PONG\r\n")
        except OSError:
            return False

    @property
    def url(self) -> str:
        scheme, host = ("rediss", "localhost") if self.tls else ("redis", "127.0.0.1")
        return f"{scheme}://:{PASSWORD}@{host}:{self.port}/0"


def as_somebody() -> list[str]:
    """PostgreSQL refuses to run as root, so root shows it another number."""
    return ["unshare", "--user", "--map-user=1000", "--map-group=1000"] if os.geteuid() == 0 else []


KINDS: dict[str, type[Server]] = {"postgres": Postgres, "redis": Redis}


def certify(folder: Path) -> None:
    """An authority, and a certificate of its for `localhost`."""
    names = folder / "names"
    names.write_text("subjectAltName=DNS:localhost\n")
    new = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    steps = [
        [*new, "-x509", "-days", "2", "-subj", "/CN=seawall test", "-keyout", "authority.key", "-out", "authority.crt"],
        [*new, "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr"],
        ["openssl", "x509", "-req", "-days", "2", "-in", "server.csr", "-CA", "authority.crt", "-CAkey", "authority.key", "-extfile", "names", "-out", "server.crt"],
    ]
    for step in steps:
        try:
            subprocess.run(step, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise find.MissingError(f"no certificate can be made: {error}") from error
    (folder / "server.key").chmod(0o600)


def make(name: str, folder: Path, *, tls: bool = False) -> Server:
    """A server of a test's own, which runs. Raises MissingError."""
    program = find.find(name)
    if "://" in program:
        raise find.MissingError("this test kills a server of its own, and the variable names one that runs already")
    server = KINDS[name](program, folder, free_port(), tls)
    if tls:
        certify(folder)
    server.prepare()
    server.start()
    return server


def main(words: list[str]) -> int:
    if not words or words[0] not in KINDS or words[1:] not in ([], ["tls"]):
        print(f"usage: serve.py {'|'.join(KINDS)} [tls]", file=sys.stderr)
        return 2
    folder = Path(tempfile.mkdtemp(prefix="seawall-server-"))
    server: Server | None = None
    try:
        given = os.environ.get(find.SERVERS[words[0]].variable)
        if given and words[1:] == []:
            print(json.dumps({"url": given, "own": False, "authorities": None}), flush=True)
        else:
            server = make(words[0], folder, tls=words[1:] == ["tls"])
            print(json.dumps({"url": server.url, "own": True, "authorities": str(server.authorities)}), flush=True)
        obey(server)
    except find.MissingError as error:
        print(f"no {words[0]}: {error}", file=sys.stderr)
        return 3
    finally:
        if server is not None:
            server.signal(signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def obey(server: Server | None) -> None:
    signals = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "go": signal.SIGCONT}
    for line in sys.stdin:
        word = line.strip()
        if server is None or (word != "start" and word not in signals):
            print(f"cannot {word}", flush=True)
            continue
        act: Callable[[], None] = server.start if word == "start" else lambda: server.signal(signals[word])
        act()
        print("ok", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
