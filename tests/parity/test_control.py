"""The control file steers every process of the host, of either language, by the command of either package."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import seawall
from steered import PROGRAMS, ROOT, Worker

Command = Callable[..., str]
Start = Callable[..., list[Worker]]
EXPERIMENT = ("chaos", "on", "pay", "--error", "30%", "--latency", "0ms..2ms", "--for", "2m", "--seed", "7", "--no-abort")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SEAWALL_")}
    return {**kept, "SEAWALL_DIR": str(tmp_path / "state")}


@pytest.fixture(params=PROGRAMS)
def command(request: pytest.FixtureRequest, environment: dict[str, str]) -> Command:
    def run(*words: str, code: int = 0) -> str:
        done = subprocess.run([*PROGRAMS[request.param], *words], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout or done.stderr

    return run


@pytest.fixture
def start(environment: dict[str, str]) -> Iterator[Start]:
    started: list[Worker] = []

    def run(chaos: str = "allow", languages: tuple[str, ...] = ("python", "node")) -> list[Worker]:
        made = [Worker(language, {**environment, "SEAWALL_CHAOS": chaos}) for language in languages]
        started.extend(made)
        return made

    yield run
    for worker in started:
        worker.end()


def running(answer: Any) -> bool:
    return answer is not None and answer["state"] == "running"


def victims(calls: int) -> list[int]:
    """Those of the experiment, as a policy of that name has them that is written so in code."""
    with seawall.testing.clock():
        chaos = seawall.chaos(fault=OSError, rate="30%", seed=7, max_share="50%", expires_in="1h")
        pay = seawall.policy("pay", seawall.retry(max_attempts=1), chaos)
        found = []
        for number in range(calls):
            try:
                pay.call(int)
            except OSError:
                found.append(number)
        return found


def test_an_experiment_reaches_every_process_and_has_the_same_victims(command: Command, start: Start) -> None:
    workers = start()
    told = json.loads(command(*EXPERIMENT, "--json"))
    assert (told["policy"], told["seed"]) == ("pay", 7)
    expected = victims(60)
    assert 8 <= len(expected) <= 28
    for worker in workers:
        worker.until("chaos", running)
        assert worker.ask("calls 60") == expected
        event = worker.until_told("chaos.started")
        assert (event["policy"], event["experiment"], event["reason"], event["severity"]) == ("pay", told["id"], "game day", "warning")

    # A process that comes later is under it too.
    (late,) = start(languages=("python",))
    late.until("chaos", running)
    assert late.ask("calls 20") == [number for number in expected if number < 20]

    (row,) = [json.loads(line) for line in command("chaos", "ls", "--json").splitlines()]
    assert (row["state"], row["policy"]) == ("on", "pay")
    told = command("chaos", "off", "pay")
    for worker in (*workers, late):
        worker.until("chaos", lambda answer: answer is None)
        assert worker.ask("calls 60") == []
        assert worker.until_told("chaos.ended")["reason"] == "off"
    report = json.loads(command("chaos", "report", "--json"))
    struck = 2 * len(expected) + len([number for number in expected if number < 20])
    assert (report["injected"]["struck"], report["injected"]["faults"], report["injected"]["attempts"]) == (struck, struck, 140)
    # The first call of the process that came later may end when it is under the experiment already.
    felt = report["felt"]
    assert felt["failure"] == struck and felt["calls"] == felt["failure"] + felt["success"] and felt["success"] - (140 - struck) in (0, 1)
    assert report["ended"] == {"off": 3}
    assert report["experiment"]["options"]["rate"] == "30%"
    assert f"{struck} of 140 attempts struck" in command("chaos", "report", "pay")
    assert "there is no experiment on 'pay'" in command("chaos", "off", "pay", code=1)


def test_a_million_calls_feel_nothing_where_chaos_is_not_armed(command: Command, start: Start, environment: dict[str, str]) -> None:
    disarmed = start(chaos="")
    (armed,) = start(languages=("python",))
    command("chaos", "on", "pay", "--error", "100%", "--max-share", "100%", "--for", "2m", "--no-abort", "--no-wait")
    armed.until("chaos", running)
    assert armed.ask("calls 5") == [0, 1, 2, 3, 4]
    answered = Path(environment["SEAWALL_DIR"])
    for worker in disarmed:
        # It has seen the experiment, and not only missed it.
        worker.until("events", lambda _, pid=worker.process.pid: any(answered.rglob(f"{pid}-*.json")))
        assert worker.ask("calls 1000000") == []
        assert worker.ask("chaos") is None
    told = json.loads(command("chaos", "report", "--json"))
    assert told["processes"] == {"running": 1, "disarmed": 2}


def test_what_ends_an_experiment_in_one_process_ends_it_in_all(command: Command, start: Start) -> None:
    first, second = start()
    command("chaos", "on", "pay", "--error", "100%", "--max-share", "100%", "--abort-at", "50%", "--for", "2m")
    first.until("chaos", running)
    second.until("chaos", running)
    assert len(first.ask("calls 40")) == 20, "judged from 20 calls on"
    for worker in (first, second):
        assert worker.until_told("chaos.ended")["reason"] == "failure_ratio"
        assert worker.ask("calls 20") == []
    (row,) = [json.loads(line) for line in command("chaos", "ls", "--json").splitlines()]
    assert row["state"] == "ended by failure_ratio"


def test_a_circuit_is_isolated_and_reset_everywhere(command: Command, start: Start) -> None:
    workers = start(chaos="")
    told = command("breaker", "isolate", "pay", "--for", "5m", "--reason", "the bank moves", "--author", "ada")
    assert "isolate-" in told and " of pay until " in told
    for worker in workers:
        worker.until("state", lambda state: state == "isolated")
        event = worker.until_told("breaker.isolated")
        assert (event["author"], event["reason"]) == ("ada", "the bank moves")
    (row,) = [json.loads(line) for line in command("breaker", "ls", "--json").splitlines()]
    assert (row["author"], row["processes"]) == ("ada", {"applied": 2})
    command("breaker", "reset", "pay", "--reason", "all clear")
    for worker in workers:
        worker.until("state", lambda state: state == "closed")


def test_a_malformed_file_is_refused_and_changes_nothing(start: Start, environment: dict[str, str], command: Command) -> None:
    workers = start()
    command(*EXPERIMENT)
    (path,) = Path(environment["SEAWALL_DIR"]).rglob("control.json")
    for worker in workers:
        worker.until("chaos", running)
    path.write_text("{")
    for worker in workers:
        assert "is not JSON" in worker.until_told("control.refused")["reason"]
        assert running(worker.ask("chaos"))
    assert "is not JSON" in command("chaos", "ls", code=1)
    assert "is not JSON" in command("doctor", code=1)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("chaos", "on", "pay", "--error", "30%"), "--for"),
        (("chaos", "on", "pay", "--for", "1m"), "--error"),
        (("chaos", "on", "pay", "--error", "130%", "--for", "1m"), "rate"),
        (("chaos", "on", "pay", "--error", "30%", "--for", "25h"), "--for"),
        (("chaos", "on", "pay", "--error", "30%", "--for", "1m", "--window", "noon"), "window"),
        (("chaos", "on", "pay", "--rate", "30%", "--for", "1m"), "--latency"),
        (("breaker", "isolate", "pay", "--for", "1m"), "--reason"),
        (("breaker", "isolate", "pay", "--for", "9d", "--reason", "x"), "--for"),
    ],
)
def test_what_is_typed_wrong_is_said(command: Command, words: tuple[str, ...], why: str) -> None:
    assert why in command(*words, code=2)


def test_a_place_of_others_is_refused(command: Command, environment: dict[str, str]) -> None:
    command(*EXPERIMENT, "--no-wait")
    (path,) = Path(environment["SEAWALL_DIR"]).rglob("control.json")
    path.chmod(0o666)
    assert "may be written by others" in command("chaos", "ls", code=1)
    path.chmod(0o600)
    assert "is under experiment" in command(*EXPERIMENT, code=1)
