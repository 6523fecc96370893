"""Likely mistakes, the worst case, and modes, as an application sees them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import seawall


def test_the_worst_case_is_bounded_with_its_arithmetic() -> None:
    guard = seawall.policy(None, seawall.retry(max_attempts=4, base_delay="100ms"), seawall.timeout(attempt="2s", total="10s"))
    worst = guard.worst_case()
    assert (worst.seconds, worst.calls, worst.unbounded) == (10.0, 4, None)
    assert "together at most 10s" in worst.lines


def test_retries_inside_retries_are_found() -> None:
    inner = seawall.policy("inner", seawall.retry(max_attempts=3), seawall.timeout(attempt="1s"))
    outer = seawall.policy("outer", seawall.retry(max_attempts=2), seawall.timeout(attempt="9s"))

    @outer
    @inner
    def work() -> None: ...

    assert outer.worst_case().calls == 6
    found = [finding for finding in seawall.lint() if finding.code == "retries_multiply"]
    assert [(finding.policy, finding.path) for finding in found] == [("outer", "retry.max_attempts")]
    assert found[0].lines == ('2 attempts x 3 calls inside ("inner": 3) = 6',)


def test_lint_knows_decorated_functions_and_the_file(tmp_path: Path) -> None:
    @seawall.retry(retry_budget=None)
    def lonely() -> None: ...

    path = tmp_path / "seawall.toml"
    path.write_text("[policy.filed]\nbulkhead = { max_queue = 1 }\n")
    seawall.load(path)
    found = {(finding.policy.rpartition(".")[2], finding.code) for finding in seawall.lint()}
    assert {("lonely", "retry_without_budget"), ("lonely", "retry_without_attempt_timeout"), ("filed", "queue_without_limit")} <= found


def test_a_mode_set_by_hand_is_told() -> None:
    told: list[dict[str, Any]] = []
    unsubscribe = seawall.on_event(lambda event: told.append(dict(event)))
    try:
        guard = seawall.policy("moded", seawall.retry(), mode="shadow")
        guard.set_mode("disabled", reason="drill", author="me", expires_in="1s")
    finally:
        unsubscribe()
    (event,) = [event for event in told if event["event"] == "mode.changed"]
    assert (event["from"], event["to"], event["reason"], event["author"]) == ("shadow", "disabled", "drill", "me")
    assert event["expires_in_ms"] == 1000


def test_a_wrong_mode_is_an_error() -> None:
    with pytest.raises(seawall.ConfigError, match="mode"):
        seawall.policy("moded", seawall.retry(), mode="off")  # type: ignore[call-overload]
    guard = seawall.policy(None, seawall.retry(), mode=lambda: "off")  # type: ignore[arg-type, return-value]
    with pytest.raises(seawall.ConfigError, match="the mode function gave 'off'"):
        guard.call(lambda: None)


def test_a_reload_wakes_who_waits_and_tells_what_changed(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    guard = seawall.policy("served", seawall.retry(max_attempts=2, base_delay="0s"))
    calls = []
    assert guard.call(lambda: calls.append(1)) is None
    path = tmp_path / "seawall.toml"
    unsubscribe = seawall.on_event(lambda event: told.append(dict(event)))
    try:
        for text in ("retry = { max_attempts = 5 }", "bulkhead = {}"):
            path.write_text(f"[policy.served]\n{text}\n")
            seawall.load(path)
    finally:
        unsubscribe()
    assert [event["event"] for event in told] == ["config.loaded", "config.reloaded", "config.refused"]
    assert told[1]["changed"] == ["retry.max_attempts"]

    def fail() -> None:
        calls.append(1)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        guard.call(fail)
    assert len(calls) == 6


def test_a_bulkhead_that_adapts_shows_its_limit_and_tells_each_move() -> None:
    told: list[seawall.Event] = []
    with seawall.testing.clock() as clock:
        stop = seawall.on_event(told.append)
        policy = seawall.policy("found", seawall.bulkhead(adaptive=True, max_limit=4), seawall.timeout(attempt="1s"))
        assert policy.snapshot()["limits"]["limit"] == 4

        def late() -> None:
            clock.advance("2s")

        for _ in range(20):
            policy.call(late)
        stop()
    moves = [event for event in told if event["event"] == "bulkhead.limit_changed"]
    assert [(move["from"], move["to"], move["reason"]) for move in moves] == [(4, 3, "drops"), (3, 2, "drops"), (2, 1, "drops")]
    with pytest.raises(seawall.ConfigError, match=r"bulkhead\.max_concurrent.*max_limit"):
        seawall.bulkhead(adaptive=True, max_concurrent=3)
