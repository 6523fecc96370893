"""Finds a server for tests, without installing anything: `python tests/servers/find.py redis` prints where it is.

What it prints is the path of the program, or a URL if the variable below names a server that runs already. It looks at

1. the variable `SEAWALL_TEST_REDIS_URL`, `SEAWALL_TEST_POSTGRES_URL`,
2. PATH, and the folders where Debian puts servers,
3. target/servers, into which it unpacks Debian's packages by `apt-get download` and `dpkg -x`, without root.

A PostgreSQL's `initdb` lies beside `postgres`. Status 1 and a reason on stderr if there is none: tests are skipped then, or
fail where `SEAWALL_REQUIRE_SERVERS=1` (`servers/running.py`). Standard library only, so that every test can call it.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

UNPACKED = Path(__file__).resolve().parents[2] / "target" / "servers"


@dataclass(frozen=True)
class Server:
    """`programs`: those that tests start, the server first. `places`: globs of the folders where Debian puts them."""

    package: str
    programs: tuple[str, ...]
    places: tuple[str, ...]
    variable: str


SERVERS = {
    "redis": Server("redis-server", ("redis-server",), ("usr/bin",), "SEAWALL_TEST_REDIS_URL"),
    "postgres": Server("postgresql", ("postgres", "initdb"), ("usr/lib/postgresql/*/bin",), "SEAWALL_TEST_POSTGRES_URL"),
}


class MissingError(Exception):
    """There is no such server here, and why."""


def find(name: str) -> str:
    """The path of a server's program, or the URL of one that runs. Raises MissingError."""
    server = SERVERS[name]
    url = os.environ.get(server.variable)
    if url:
        return url
    found = shutil.which(server.programs[0]) or _within(Path("/"), server)
    return str(found) if found else _unpacked(name, server)


def _within(root: Path, server: Server) -> Path | None:
    """The program below `root`, of the newest version."""
    folders = [folder for place in server.places for folder in root.glob(place)]
    folders.sort(key=lambda folder: [int(number) for number in re.findall(r"\d+", str(folder.relative_to(root)))], reverse=True)
    programs = (folder / server.programs[0] for folder in folders)
    return next((program for program in programs if os.access(program, os.X_OK)), None)


def _unpacked(name: str, server: Server) -> str:
    """The program in target/servers, unpacked now if it is not there yet. One caller at a time does that."""
    UNPACKED.mkdir(parents=True, exist_ok=True)
    launchers = UNPACKED / name
    with (UNPACKED / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (launchers / server.programs[0]).exists():
            _unpack(server, UNPACKED / f"{name}-root", launchers)
    return str(launchers / server.programs[0])


def _unpack(server: Server, root: Path, launchers: Path) -> None:
    downloads = root.with_name(root.name + ".debs")
    for folder in (root, downloads, launchers):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    try:
        options, packages = _missing_packages(server.package)
        _run("apt-get", "-q", *options, "download", *packages, folder=downloads)
        for package in sorted(downloads.glob("*.deb")):
            _run("dpkg", "-x", str(package), str(root), folder=downloads)
    finally:
        shutil.rmtree(downloads)
    program = _within(root, server)
    if program is None:
        raise MissingError(f"Debian's {server.package} holds no {server.programs[0]}")
    libraries = sorted({str(path.parent) for path in root.rglob("*.so*")})
    # The server itself last: it says that all is there.
    for each in reversed(server.programs):
        launcher = launchers / each
        search = ":".join([*libraries, "${LD_LIBRARY_PATH-}"])
        launcher.write_text(f'#!/bin/sh\nexport LD_LIBRARY_PATH="{search}"\nexec "{program.with_name(each)}" "$@"\n')
        launcher.chmod(0o755)


def _missing_packages(package: str) -> tuple[list[str], list[str]]:
    """The package and what it needs and is not installed; and the options under which apt-get knows them."""
    simulate = ("--simulate", "--no-install-recommends", "install", package)
    options: list[str] = []
    try:
        told = _run("apt-get", *simulate)
    except MissingError:
        # No lists of packages, as in a fresh container: ours, which needs no root.
        lists = UNPACKED / "lists"
        (lists / "partial").mkdir(parents=True, exist_ok=True)
        options = ["-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={UNPACKED}", "-o", "APT::Sandbox::User="]
        _run("apt-get", "-q", *options, "update")
        told = _run("apt-get", *options, *simulate)
    found = re.findall(r"^Inst (\S+) (?:\[.*?\] )?\((\S+)", told, re.MULTILINE)
    return options, [f"{name}={version}" for name, version in found]


def _run(*command: str, folder: Path | None = None) -> str:
    try:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, env={**os.environ, "LC_ALL": "C"}
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingError(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "failed").splitlines()[-1]
        raise MissingError(f"{' '.join(command[:2])}: {last}")
    return done.stdout


def main(words: list[str]) -> int:
    if len(words) != 1 or words[0] not in SERVERS:
        print(f"usage: find.py {'|'.join(SERVERS)}", file=sys.stderr)
        return 2
    try:
        print(find(words[0]))
    except MissingError as error:
        print(f"no {words[0]}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
