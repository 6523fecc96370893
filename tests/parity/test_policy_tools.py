"""`seawall check`, `explain` and `doctor`: the same words from both packages."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from steered import PROGRAMS, ROOT

FILE = """
[policy.payments]
retry = { max_attempts = 4, base_delay = "100ms" }
timeout = { attempt = "2s", total = "20s" }

[env.staging.policy.payments]
timeout = { total = "30s" }

[env.hasty.policy.payments]
timeout = { total = "3s" }
"""
CODE = {
    "python": ("shop.py", "import seawall\nseawall.policy('payments', seawall.retry(factor=3), seawall.bulkhead(), mode='shadow')\n", "shop"),
    "node": (
        "shop.mjs",
        f"import {{ bulkhead, policy, retry }} from {json.dumps(str(ROOT / 'bindings-node/esm/index.mjs'))};\n"
        "policy('payments', { mode: 'shadow' }, retry({ factor: 3 }), bulkhead());\n",
        "shop.mjs",
    ),
}

Command = Callable[..., str]


@pytest.fixture(params=PROGRAMS)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def command(language: str, tmp_path: Path) -> Command:
    def run(*words: str, code: int = 0, **variables: str) -> str:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SEAWALL_")}
        environment = {**kept, "SEAWALL_DIR": str(tmp_path / "state"), **variables}
        program = PROGRAMS[language]
        done = subprocess.run([*program, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout or done.stderr

    return run


@pytest.fixture(autouse=True)
def file(tmp_path: Path) -> Path:
    path = tmp_path / "seawall.toml"
    path.write_text(FILE)
    return path


def test_a_file_is_checked_in_every_environment(command: Command) -> None:
    told = command("check", "seawall.toml", code=1).splitlines()
    assert told[0] == "payments: at most 20000 ms; 4 calls below at worst"
    assert any(line.startswith("payments in hasty: at most 3000 ms") for line in told)
    assert any("attempts_exceed_total" in line for line in told)
    rows = [json.loads(line) for line in command("check", "seawall.toml", "--json", code=1).splitlines()]
    assert [(row["env"], row["policy"], row["worst_case"]["ms"]) for row in rows] == [
        (None, "payments", 20_000),
        ("hasty", "payments", 3_000),
        ("staging", "payments", 30_000),
    ]
    assert [len(row["findings"]) > 0 for row in rows] == [False, True, False]


def test_a_sound_file_has_no_findings(command: Command, file: Path) -> None:
    file.write_text(FILE[: FILE.index("[env.hasty")])
    assert command("check", "seawall.toml").splitlines()[-1] == "seawall.toml: 2 policies checked, 0 findings"


def test_a_mistake_is_named(command: Command, file: Path) -> None:
    file.write_text("[env.live.policy.payments]\nretry = { max_atempts = 2 }\n")
    told = command("check", "seawall.toml", code=1)
    assert "env.live.policy.payments.retry.max_atempts" in told
    assert "max_attempts" in told
    assert json.loads(command("check", "seawall.toml", "--json", code=1))["code"] == "config.invalid"
    assert "cannot be read" in command("check", "nowhere.toml", code=1)


def test_each_number_has_its_origin(command: Command, language: str, tmp_path: Path) -> None:
    name, text, module = CODE[language]
    (tmp_path / name).write_text(text)
    words = ("explain", "payments", "--file", "seawall.toml", "--env", "staging", "--import", module)
    told = json.loads(command(*words, "--json"))
    assert told["order"] == ["timeout.total", "retry", "bulkhead", "timeout.attempt"]
    origins = {row["path"]: (row["value"], row["origin"]) for row in told["options"]}
    assert origins["retry.max_attempts"] == (4, "seawall.toml")
    assert origins["timeout.total"] == ("30s", "seawall.toml env.staging")
    assert origins["retry.factor"] == (3, "code")
    assert origins["mode"] == ("shadow", "code")
    assert origins["bulkhead.max_concurrent"] == ("64", "default")
    assert told["worst_case"]["calls"] == 4
    assert command(*words).startswith("payments: timeout.total > retry > bulkhead > timeout.attempt > the call\n")


def test_the_file_and_the_environment_may_come_from_variables(command: Command) -> None:
    told = json.loads(command("explain", "payments", "--json", SEAWALL_CONFIG="seawall.toml", SEAWALL_ENV="hasty"))
    assert {row["path"]: row["value"] for row in told["options"]}["timeout.total"] == "3s"
    assert [finding["code"] for finding in told["findings"]] == ["attempts_exceed_total"]


def test_a_policy_that_nobody_knows_is_said_to_be_so(command: Command) -> None:
    assert "did you mean" in command("explain", "paymnts", "--file", "seawall.toml", code=2)
    assert "no code that was imported" in command("explain", "payments", code=2)
    assert "seawall: " in command("explain", "payments", "--import", "no_such_code", code=2)


def test_the_doctor_looks_around(command: Command, tmp_path: Path) -> None:
    assert command("doctor") == "nothing to see to\n"
    told = command("doctor", code=1, SEAWALL_CHAOS="yes", SEAWALL_ENV="nowhere", SEAWALL_CONFIG="seawall.toml")
    assert "SEAWALL_CHAOS" in told
    assert 'no environment "nowhere"' in told
    assert "env.hasty.policy.payments" in told
    command("breaker", "isolate", "payments", "--for", "5m", "--reason", "the bank moves", "--author", "ada", "--no-wait")
    assert "holds open the circuit of payments" in command("doctor", code=1)
    assert "by ada: the bank moves" in command("doctor", "--json", code=1)
    (path,) = (tmp_path / "state").rglob("control.json")
    path.parent.chmod(0o777)
    assert "may be written by others" in command("doctor", code=1)
