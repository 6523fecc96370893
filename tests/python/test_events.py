"""Events reach hooks and the log, and hurt nobody."""

from __future__ import annotations

import asyncio
import io
import json
import logging

import pytest
import seawall


def down() -> None:
    raise ConnectionError("down")


def test_one_correlation_id_in_every_event_error_and_log_line(
    events: list[dict[str, object]], caplog: pytest.LogCaptureFixture
) -> None:
    guard = seawall.policy("told", seawall.retry(max_attempts=2), seawall.circuit_breaker(consecutive_failures=2))
    with seawall.testing.clock(), caplog.at_level(logging.DEBUG, "seawall"), seawall.correlate("trip-7"):
        with pytest.raises(ConnectionError) as caught:
            guard.call(down)
        with pytest.raises(seawall.CircuitOpenError) as rejected:
            guard.call(down)
    names = [event["event"] for event in events]
    assert names == [
        "attempt.failed",
        "retry.scheduled",
        "attempt.failed",
        "breaker.opened",
        "retry.stopped",
        "call.rejected",
    ]
    assert {event["correlation_id"] for event in events} == {"trip-7"}
    assert {event["policy"] for event in events} == {"told"}
    assert rejected.value.correlation_id == "trip-7"
    found = seawall.failure(caught.value)
    assert found is not None and found.correlation_id == "trip-7"
    assert [record.levelname for record in caplog.records][0] == "DEBUG"
    assert {record.__dict__["correlation_id"] for record in caplog.records} == {"trip-7"}
    assert len(caplog.records) == len(events)


def test_a_plain_success_emits_nothing(events: list[dict[str, object]]) -> None:
    seawall.policy(None, seawall.retry(), seawall.circuit_breaker(), seawall.bulkhead()).call(lambda: 1)
    assert events == []


def test_a_hook_that_raises_is_reported_once_and_hurts_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def bad(event: dict[str, object]) -> None:
        raise RuntimeError("in the hook")

    seen: list[object] = []
    stop_bad, stop_good = seawall.on_event(bad), seawall.on_event(seen.append)
    try:
        for _ in range(2):
            with pytest.raises(ConnectionError):
                seawall.retry(max_attempts=1).call(down)
    finally:
        stop_bad()
        stop_good()
    assert len(seen) >= 2
    assert sum("a hook raised" in record.message for record in caplog.records) == 1


def test_events_of_a_hook_reach_neither_hooks_nor_logs(events: list[dict[str, object]]) -> None:
    guard = seawall.retry(max_attempts=1)

    def nested(event: dict[str, object]) -> None:
        with pytest.raises(ConnectionError):
            guard.call(down)

    unsubscribe = seawall.on_event(nested)
    try:
        with pytest.raises(ConnectionError):
            seawall.policy("outer", seawall.retry(max_attempts=1)).call(down)
    finally:
        unsubscribe()
    assert {event["policy"] for event in events} == {"outer"}


def test_hooks_that_cannot_work_are_refused() -> None:
    async def later(event: dict[str, object]) -> None: ...

    with pytest.raises(seawall.ConfigError, match="async"):
        seawall.on_event(later)
    with pytest.raises(seawall.ConfigError):
        seawall.on_event(5)  # type: ignore[arg-type]


def test_unsubscribing_removes_that_subscription_alone() -> None:
    seen: list[dict[str, object]] = []
    first, second = seawall.on_event(seen.append), seawall.on_event(seen.append)
    first()
    first()
    with pytest.raises(ConnectionError):
        seawall.circuit_breaker(consecutive_failures=1).call(down)
    second()
    assert [event["event"] for event in seen] == ["attempt.failed", "breaker.opened"]


def test_json_lines() -> None:
    sink = io.StringIO()
    handler = logging.StreamHandler(sink)
    handler.setFormatter(seawall.JsonFormatter())
    logger = logging.getLogger("seawall")
    logger.addHandler(handler)
    try:
        with pytest.raises(ConnectionError), seawall.correlate("line-1"):
            seawall.policy("lines", seawall.circuit_breaker(consecutive_failures=1)).call(down)
        with seawall.correlate("line-2"):
            logger.warning("plain")
    finally:
        logger.removeHandler(handler)
    lines = [json.loads(line) for line in sink.getvalue().splitlines()]
    opened = next(line for line in lines if line.get("event") == "breaker.opened")
    assert (opened["policy"], opened["correlation_id"], opened["severity"]) == ("lines", "line-1", "warning")
    assert opened["time"].endswith("Z")
    assert lines[-1].pop("time").endswith("Z")
    assert lines[-1] == {"severity": "warning", "message": "plain", "logger": "seawall", "correlation_id": "line-2"}


def test_the_context_inside_a_call() -> None:
    assert (seawall.current().attempt, seawall.correlation_id(), seawall.deadline(), seawall.deadline(3.0)) == (0, None, None, 3.0)
    seen: list[tuple[object, ...]] = []

    def look(order: str) -> None:
        here = seawall.current()
        seen.append((here.attempt, here.key, here.idempotency_key, here.remaining))
        assert here.correlation_id == seawall.correlation_id() is not None
        assert seawall.headers()["x-correlation-id"] == here.correlation_id
        if here.attempt == 1:
            raise ConnectionError

    guard = seawall.policy("looked", seawall.retry(jitter="none"), seawall.timeout(total="10s"), key=lambda order: order)
    with seawall.testing.clock():
        guard.using(idempotency_key="once").call(look, "k")
    assert seen == [(1, "k", "once", 10.0), (2, "k", "once", 9.9)]
    assert seawall.correlation_id() is None


def test_contexts_cross_threads_and_tasks() -> None:
    guard = seawall.timeout(attempt="30s", thread=True)
    with seawall.correlate("in-a-thread"):
        assert guard.call(seawall.correlation_id) == "in-a-thread"

    async def ask() -> str | None:
        await asyncio.sleep(0)
        return seawall.correlation_id()

    async def main() -> list[str | None]:
        async def one(name: str) -> str | None:
            with seawall.correlate(name):
                return await seawall.bulkhead().acall(ask)

        return list(await asyncio.gather(one("a"), one("b")))

    assert asyncio.run(main()) == ["a", "b"]


def test_an_unsafe_id_is_replaced() -> None:
    with seawall.correlate("evil\nline") as chosen:
        assert seawall.correlation_id() == chosen != "evil\nline"


def test_headers_are_received_with_and_without_trust() -> None:
    sent = {"X-Correlation-Id": "from-outside", "x-seawall-deadline-ms": "1500", "Idempotency-Key": "k1"}
    with seawall.testing.clock():
        with seawall.receive(sent):
            assert (seawall.correlation_id(), seawall.deadline(), seawall.current().idempotency_key) == ("from-outside", None, None)
        with seawall.receive(sent, trust=True):
            assert (seawall.correlation_id(), seawall.deadline()) == ("from-outside", 1.5)
            assert seawall.current().idempotency_key == "k1"
            out = seawall.bulkhead().call(seawall.headers)
            assert (out["x-seawall-deadline-ms"], out["idempotency-key"]) == ("1500", "k1")
        with seawall.receive({"x-request-id": "req-1", "x-seawall-deadline-ms": "soon"}, trust=True):
            assert (seawall.correlation_id(), seawall.deadline()) == ("req-1", None)
    assert seawall.correlation_id() is None


def test_a_received_deadline_limits_calls() -> None:
    with seawall.testing.clock(), seawall.receive({"x-seawall-deadline-ms": "50"}, trust=True):
        with pytest.raises(ConnectionError) as caught:
            seawall.retry(base_delay="100ms", jitter="none").call(down)
    found = seawall.failure(caught.value)
    assert found is not None and found.reason == "no_time_left"


def test_a_storm_of_one_rejection_is_logged_once_a_second_with_its_count(caplog: pytest.LogCaptureFixture) -> None:
    with seawall.testing.clock() as clock, caplog.at_level(logging.INFO, logger="seawall"):
        guard = seawall.circuit_breaker(name="storm", consecutive_failures=1, break_jitter=0)
        heard: list[dict[str, object]] = []
        stop = seawall.on_event(lambda event: heard.append(dict(event)) if event["event"] == "call.rejected" else None)
        try:
            with pytest.raises(ConnectionError):
                guard.call(down)
            for _ in range(5):
                with pytest.raises(seawall.CircuitOpenError):
                    guard.call(down)
            clock.advance("1s")
            with pytest.raises(seawall.CircuitOpenError):
                guard.call(down)
        finally:
            stop()
    logged = [record.seawall for record in caplog.records if record.getMessage().startswith("call.rejected")]  # type: ignore[attr-defined]
    assert [event["repeats"] for event in logged] == [0, 4]
    assert len(heard) == 6, "hooks hear every one"
