"""Policy files, chaos, metrics, and a clean slate."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest
import seawall

FILE = """
[policy.payments]
retry = { max_attempts = 2, base_delay = "1s", jitter = "none" }
circuit_breaker = { consecutive_failures = 9 }

[env.staging.policy.payments]
retry = { max_attempts = 4 }
"""


def down() -> None:
    raise ConnectionError


def waits(guard: seawall.Policy[object]) -> list[float]:
    before = len(sleeps.sleeps)
    with pytest.raises(ConnectionError):
        guard.call(down)
    return sleeps.sleeps[before:]


sleeps: seawall.testing.Clock


@pytest.fixture(autouse=True)
def virtual() -> object:
    global sleeps
    with seawall.testing.clock() as sleeps:
        yield


def test_a_file_defines_and_tunes(tmp_path: Path, events: list[dict[str, object]]) -> None:
    path = tmp_path / "seawall.toml"
    path.write_text(FILE)
    guard = seawall.policy("payments")
    seawall.load(path)
    assert waits(guard) == [1.0]
    assert [event["event"] for event in events][0] == "config.loaded"
    with pytest.raises(seawall.ConfigError, match="payments"):
        seawall.policy("paymnts").call(down)


def test_environments_and_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "seawall.toml"
    path.write_text(FILE)
    monkeypatch.setenv("SEAWALL_CONFIG", str(path))
    monkeypatch.setenv("SEAWALL_ENV", "staging")
    seawall.load()
    assert waits(seawall.policy("payments")) == [1.0, 2.0, 4.0]


def test_what_code_says_is_tuned_by_the_file(tmp_path: Path) -> None:
    path = tmp_path / "seawall.json"
    path.write_text('{"policy": {"tuned": {"retry": {"max_attempts": 3}}}}')
    seawall.load(path)
    guard = seawall.policy("tuned", seawall.retry(max_attempts=2, base_delay="2s", jitter="none", on=ConnectionError))
    assert waits(guard) == [2.0, 4.0]


def test_a_bad_file_names_the_place_and_changes_nothing(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text(FILE)
    bad.write_text("[policy.payments]\nretry = { max_atempts = 2 }\n")
    seawall.load(good)
    with pytest.raises(seawall.ConfigError, match="max_attempts"):
        seawall.load(bad)
    assert waits(seawall.policy("payments")) == [1.0]
    with pytest.raises(seawall.ConfigError, match="nowhere"):
        seawall.load(tmp_path / "nowhere.toml")


def test_no_file_named_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEAWALL_CONFIG", raising=False)
    with pytest.raises(seawall.ConfigError, match="SEAWALL_CONFIG"):
        seawall.load()


def test_a_faults_class_factory_and_name_are_marked_as_injected(events: list[dict[str, object]]) -> None:
    for fault, kind in ((ConnectionResetError, ConnectionResetError), (lambda: OSError(5, "io"), OSError), ("outage", seawall.InjectedFaultError)):
        with pytest.raises(kind) as caught:
            seawall.chaos(fault=fault, rate=1, expires_in="1h").call(int)
        found = seawall.failure(caught.value)
        assert found is not None and found.injected
    assert [event["event"] for event in events].count("chaos.injected") == 3


def test_chaos_spares_what_only_excludes(events: list[dict[str, object]]) -> None:
    guard = seawall.chaos(fault="outage", rate=1, expires_in="1h", only=lambda tenant: tenant == "test")
    assert guard.call(str.upper, "live") == "LIVE"
    assert events == []
    with pytest.raises(seawall.InjectedFaultError):
        guard.call(str.upper, "test")


def test_chaos_ends() -> None:
    guard = seawall.chaos(fault="outage", rate=1, expires_in="1m")
    with pytest.raises(seawall.InjectedFaultError):
        guard.call(int)
    sleeps.advance("1m")
    assert guard.call(int) == 0
    past = seawall.chaos(fault="outage", rate=1, until=datetime(2020, 1, 1, tzinfo=timezone.utc))
    assert past.call(int) == 0
    with pytest.raises(seawall.ConfigError, match="chaos"):
        seawall.chaos(fault="outage", rate=1).call(int)


def test_injected_faults_are_retried_whatever_on_says() -> None:
    guard = seawall.policy(None, seawall.retry(max_attempts=3, on=ZeroDivisionError), seawall.chaos(fault="outage", rate=1, expires_in="1h"))
    with pytest.raises(seawall.InjectedFaultError) as caught:
        guard.call(int)
    found = seawall.failure(caught.value)
    assert found is not None and len(found.attempts) == 3


def test_the_same_seed_gives_the_same_waits() -> None:
    def run() -> list[float]:
        with seawall.testing.clock(seed=42) as clock, pytest.raises(ConnectionError):
            seawall.retry(max_attempts=4).call(down)
        return clock.sleeps

    first = run()
    assert first == run() and len(first) == 3


def test_metrics_in_both_forms() -> None:
    guard = seawall.policy("measured", seawall.retry(max_attempts=2), seawall.fallback("x"))
    guard.call(down)
    assert guard.snapshot()["counts"]["seawall_retries_total"] == 1
    assert seawall.snapshot()["measured"]["seawall_fallbacks_total"] == 1
    assert 'seawall_calls_total{policy="measured",lang="python",outcome="fallback"} 1' in seawall.metrics()


def test_reset_forgets_state_and_names() -> None:
    guard = seawall.policy("forgotten", seawall.circuit_breaker(consecutive_failures=1))
    with pytest.raises(ConnectionError):
        guard.call(down)
    assert guard.breaker.state == "open"
    seawall.testing.reset()
    assert seawall.policy("forgotten", seawall.circuit_breaker(consecutive_failures=2)).call(int) == 0
    seawall.testing.reset()
    assert guard.breaker.state == "closed"


def test_chaos_is_disarmed_outside_of_tests() -> None:
    script = "import seawall; print(seawall.chaos(fault='x', rate=1, expires_in='1h').call(int))"
    clean = {name: value for name, value in os.environ.items() if name != "SEAWALL_CHAOS"}
    for environment, expected in (({}, "0"), ({"SEAWALL_CHAOS": "allow"}, "InjectedFaultError")):
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, env={**clean, **environment})
        assert expected in done.stdout + done.stderr
