"""The command `seawall` is the same program from both packages: same words, same exit codes, one store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import seawall

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = {"python": [sys.executable, "-m", "seawall"], "node": ["node", str(ROOT / "bindings-node/dist/cli.js")]}

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/letters"


@pytest.fixture
def filled(store: str) -> list[str]:
    """Three letters of two causes; their ids, oldest first."""
    queue = seawall.DeadLetterQueue("orders", store=store)
    failures = [ConnectionError("reset by the bank"), ConnectionError("reset by the bank"), ValueError("no such\ncurrency")]
    return [queue.put({"order": n}, error=error, idempotency_key=f"o{n}") for n, error in enumerate(failures)]


@pytest.fixture(params=PROGRAMS)
def seawall_dlq(request: pytest.FixtureRequest, store: str, tmp_path: Path) -> Run:
    def run(*args: str, code: int = 0, typed: str = "") -> subprocess.CompletedProcess[str]:
        command = [*PROGRAMS[request.param], "dlq", *args, "--store", store]
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, input=typed, env=environment)
        assert result.returncode == code, f"{result.returncode}: {result.stdout}{result.stderr}"
        return result

    return run


def lines(result: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_both_programs_say_the_same(store: str, filled: list[str], tmp_path: Path) -> None:
    commands = [
        ["ls"],
        ["ls", "orders"],
        ["ls", "orders", "--json", "--error", "ConnectionError", "--limit", "1"],
        ["groups", "orders"],
        ["show", "orders", filled[0]],
        ["show", "orders", filled[0], "--json"],
        ["stats", "orders"],
        ["redrive", "orders", "--dry-run"],
        ["purge", "orders", "--all", "--dry-run"],
        ["purge", "orders"],
        ["ls", "orders", "--state", "lost"],
        ["list"],
        ["doctor"],
        ["--help"],
    ]
    for command in commands:
        said = []
        for program in PROGRAMS.values():
            result = subprocess.run(
                [*program, "dlq", *command, "--store", store], cwd=tmp_path, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
            )
            said.append((result.returncode, result.stdout, result.stderr))
        assert said[0] == said[1], command
        assert said[0][1] or said[0][2], f"{command} says something"


def test_letters_are_listed_grouped_and_shown(seawall_dlq: Run, filled: list[str]) -> None:
    assert "orders  3      0       0       0" in seawall_dlq("ls").stdout
    listed = seawall_dlq("ls", "orders").stdout
    assert [line.split()[0] for line in listed.splitlines()[1:]] == filled[::-1]
    assert "no such currency" in listed, "no line break leaves its line"
    assert [letter["id"] for letter in lines(seawall_dlq("ls", "orders", "--json", "--after", filled[2]))] == filled[1::-1]
    assert [group["count"] for group in lines(seawall_dlq("groups", "orders", "--json"))] == [2, 1]
    assert lines(seawall_dlq("show", "orders", filled[0], "--json"))[0]["payload"] == {"order": 0}
    assert "has no letter" in seawall_dlq("show", "orders", "01a2119a-af9d-70ab-a3f4-c87845674072", code=1).stderr


def test_a_purge_asks_for_the_name(seawall_dlq: Run, filled: list[str]) -> None:
    refused = seawall_dlq("purge", "orders", "--all", typed="order\n", code=1)
    assert "3 letters of queue 'orders'" in refused.stderr and "nothing was removed" in refused.stderr
    seawall_dlq("purge", "orders", "--all", code=1)
    assert seawall_dlq("purge", "orders", "--error", "ValueError", typed="orders\n").stdout == "1 purged\n"
    assert lines(seawall_dlq("purge", "orders", "--all", "--confirm", "orders", "--json")) == [{"purged": 2}]
    assert "filter or all" in seawall_dlq("purge", "orders", code=2).stderr


def test_letters_leave_and_come_back(seawall_dlq: Run, filled: list[str], tmp_path: Path) -> None:
    seawall_dlq("park", "orders", "--id", filled[1])
    before = [seawall_dlq("show", "orders", id, "--json").stdout for id in filled]
    file = tmp_path / "letters.jsonl"
    assert seawall_dlq("export", "orders", "-o", str(file)).stderr == "3 letters exported\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert seawall_dlq("export", "orders").stdout == file.read_text()
    seawall_dlq("export", "orders", "-o", str(file), code=1)
    seawall_dlq("purge", "orders", "--all", "--confirm", "orders")
    assert seawall_dlq("import", "orders", str(file)).stderr == "3 letters imported\n"
    seawall_dlq("import", "orders", typed=file.read_text())
    assert [seawall_dlq("show", "orders", id, "--json").stdout for id in filled] == before
    wrong = seawall_dlq("import", "orders", typed=file.read_text() + "{}\n", code=2).stderr
    assert "line 4" in wrong and "the 3 before it are in" in wrong


HANDLERS = {
    "python": ("handlers.py", "def deliver(letter):\n    assert letter.payload['order'] != 2\n", "handlers:deliver", "handlers:nothing"),
    "async": ("later.py", "async def deliver(letter):\n    assert letter.payload['order'] != 2\n", "later:deliver", "later:nothing"),
    "node": (
        "handlers.mjs",
        "export const deliver = async (letter) => { if (letter.payload.order === 2) throw new Error('still no'); };\n",
        "handlers.mjs#deliver",
        "handlers.mjs#nothing",
    ),
}


@pytest.mark.parametrize(("program", "handler"), [("python", "python"), ("python", "async"), ("node", "node")])
def test_letters_are_delivered_by_a_function(program: str, handler: str, store: str, filled: list[str], tmp_path: Path) -> None:
    file, text, place, missing = HANDLERS[handler]
    (tmp_path / file).write_text(text)

    def redrive(*args: str) -> subprocess.CompletedProcess[str]:
        command = [*PROGRAMS[program], "dlq", "redrive", "orders", "--store", store, *args]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)

    dry = redrive("--dry-run", "--error", "ConnectionError")
    assert dry.returncode == 0 and dry.stdout.startswith("0 ok, 0 failed, 0 skipped, 2 remaining\n"), dry.stdout
    absent = redrive("--to", missing)
    assert absent.returncode == 2 and "nothing" in absent.stderr
    done = redrive("--to", place, "--all", "--concurrency", "2", "--json")
    assert done.returncode == 1, "a letter failed again"
    (job,) = seawall.DeadLetterQueue("orders", store=store).jobs()
    told = {"ok": 2, "failed": 1, "skipped": 0, "remaining": 0, "stopped": None, "job": job.id, "arrived": 0}
    assert json.loads(done.stdout) == told
    assert (job.state, job.total, job.ok, job.failed) == ("done", 3, 2, 1)
    assert redrive("--to", place, "--older-than", "1h").returncode == 0
    assert redrive().returncode == 2


def test_the_doctor_finds_what_is_wrong(seawall_dlq: Run, filled: list[str], tmp_path: Path) -> None:
    assert seawall_dlq("doctor").stdout == "nothing to see to\n"
    directory = tmp_path / "letters"
    directory.chmod(0o755)
    (directory / "log" / "x.40.damaged").write_bytes(b"half a letter")
    found = lines(seawall_dlq("doctor", "--json", code=1))
    assert [("mode 755" in one["message"], "13 bytes" in one["message"]) for one in found] == [(True, False), (False, True)]


def test_jobs_are_listed_gone_on_with_and_end(
    seawall_dlq: Run, store: str, filled: list[str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    queue = seawall.DeadLetterQueue("orders", store=store)
    assert seawall_dlq("jobs", "orders").stdout.startswith("JOB  STATE")

    def deliver(letter: seawall.DeadLetter) -> None:
        if letter.payload["order"] == 1:
            queue.pause(queue.jobs()[0].id)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        queue.redrive(deliver, limit=None)
    queue.put({"order": 3})
    (job,) = lines(seawall_dlq("jobs", "orders", "--json"))
    counts = [job[name] for name in ("state", "total", "ok", "failed", "remaining", "arrived")]
    assert counts == ["paused", 3, 1, 0, 2, 1]
    (tmp_path / "handlers.py").write_text("def deliver(letter):\n    pass\n")
    (tmp_path / "handlers.mjs").write_text("export const deliver = async () => {};\n")
    handler = "handlers:deliver" if request.node.callspec.params["seawall_dlq"] == "python" else "handlers.mjs#deliver"
    assert "filter already" in seawall_dlq("redrive", "orders", "--resume", job["id"], "--to", handler, "--key", "a", code=2).stderr
    resumed = seawall_dlq("redrive", "orders", "--resume", job["id"], "--to", handler)
    assert resumed.stdout == "2 ok, 0 failed, 0 skipped, 0 remaining; 1 arrived since\n"
    assert resumed.stderr == "", "no bar where nobody looks"
    assert "has ended" in seawall_dlq("jobs", "orders", "--cancel", job["id"], code=1).stderr
    assert "has ended" in seawall_dlq("redrive", "orders", "--resume", job["id"], "--to", handler, code=2).stderr
