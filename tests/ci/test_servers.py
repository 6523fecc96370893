"""Real servers are found, and a missing one is told of: skipped here, a failure where servers are required."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from servers import find, running

FIND = Path(find.__file__)


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No server on this machine, and none to be had."""
    unknown = find.Server("seawall-knows-no-such-package", ("no-such-server",), ("no/such/folder",), "SEAWALL_TEST_NONE_URL")
    monkeypatch.setitem(find.SERVERS, "none", unknown)
    monkeypatch.setattr(find, "UNPACKED", tmp_path)
    # Neither are lists of packages fetched for it.
    monkeypatch.setattr(find, "_run", lambda *command, folder=None: refuse(command[0]))


def refuse(command: str) -> str:
    raise find.MissingError(f"{command}: no network")


def test_a_url_stands_before_all(monkeypatch: pytest.MonkeyPatch, nowhere: None) -> None:
    monkeypatch.setenv("SEAWALL_TEST_NONE_URL", "redis://there")
    assert find.find("none") == "redis://there"


def test_path_comes_next(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, nowhere: None) -> None:
    program = tmp_path / "no-such-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find.find("none") == str(program)


def test_of_several_versions_the_newest_is_taken(tmp_path: Path) -> None:
    for version in ("9", "15", "16"):
        folder = tmp_path / "lib" / version / "bin"
        folder.mkdir(parents=True)
        (folder / "postgres").touch(mode=0o755 if version != "16" else 0o644)
    server = find.Server("postgresql", ("postgres",), ("lib/*/bin",), "UNUSED")
    assert find._within(tmp_path, server) == tmp_path / "lib" / "15" / "bin" / "postgres"


def test_what_is_missing_is_skipped_or_a_failure(monkeypatch: pytest.MonkeyPatch, nowhere: None) -> None:
    monkeypatch.delenv("SEAWALL_REQUIRE_SERVERS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no none server: apt-get: no network"):
        running.needed("none")
    monkeypatch.setenv("SEAWALL_REQUIRE_SERVERS", "1")
    with pytest.raises(pytest.fail.Exception, match="no none server: apt-get: no network"):
        running.needed("none")


def test_what_is_unpacked_runs() -> None:
    program = running.needed("redis")
    if "://" not in program:
        told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
        assert "Redis server" in told.stdout
    asked = subprocess.run([sys.executable, str(FIND), "redis"], capture_output=True, text=True, check=True)
    assert asked.stdout == f"{program}\n"


def test_an_unknown_name_is_a_mistake_of_the_caller() -> None:
    asked = subprocess.run([sys.executable, str(FIND), "mysql"], capture_output=True, text=True, check=False)
    assert (asked.returncode, asked.stderr) == (2, "usage: find.py redis|postgres\n")
