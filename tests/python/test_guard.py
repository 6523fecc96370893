"""`guard()`: one admission, the limits and one vote around a block."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest
import seawall


def breaker() -> seawall.Policy[Any]:
    return seawall.policy(None, seawall.circuit_breaker(consecutive_failures=2))


def test_a_block_votes_once_and_is_admitted_or_not() -> None:
    policy = breaker()
    with policy.guard():
        assert seawall.current().attempt == 1
    assert seawall.current().attempt == 0
    for _ in range(2):
        error = ConnectionError("down")
        with pytest.raises(ConnectionError) as caught, policy.guard():
            raise error
        assert caught.value is error
        assert seawall.failure(error) is not None
    assert policy.breaker.state == "open"
    with pytest.raises(seawall.CircuitOpenError), policy.guard():
        raise AssertionError("not admitted")


def test_leaving_by_ctrl_c_is_no_vote_and_frees_the_slot() -> None:
    policy = seawall.policy(None, seawall.circuit_breaker(), seawall.bulkhead(max_concurrent=1))
    with pytest.raises(KeyboardInterrupt), policy.guard():
        raise KeyboardInterrupt
    assert policy.breaker.counts.total == 0
    with policy.guard(), pytest.raises(seawall.BulkheadFullError), seawall.correlate("other"):
        with policy.guard():
            raise AssertionError("not admitted")
    with policy.guard():
        assert policy.breaker.counts.total == 1


@pytest.mark.parametrize(
    ("part", "word"),
    [
        (seawall.retry(), "retry"),
        (seawall.hedge(delay="1s"), "hedge"),
        (seawall.fallback(1), "fallback"),
        (seawall.timeout(attempt="1s", thread=True), "thread"),
        (seawall.dead_letter("orders", store="memory:"), "dead_letter without capture"),
    ],
)
def test_what_needs_a_function_is_refused_by_name(part: seawall.Policy[Any], word: str) -> None:
    with pytest.raises(seawall.ConfigError, match=word), part.guard():
        raise AssertionError("not entered")


def test_a_keyed_policy_needs_its_key() -> None:
    policy = seawall.policy(None, seawall.circuit_breaker(consecutive_failures=1), key=lambda tenant: tenant)
    with pytest.raises(seawall.ConfigError, match="using"), policy.guard():
        raise AssertionError("not entered")
    with pytest.raises(ConnectionError), policy.using(key="a").guard():
        raise ConnectionError
    assert policy.using(key="a").breaker.state == "open"
    assert policy.using(key="b").breaker.state == "closed"


def test_a_letter_is_written_from_what_capture_gives() -> None:
    policy = seawall.dead_letter("guarded", store="memory:", capture=lambda: {"order": 7})
    with pytest.raises(ConnectionError), policy.guard():
        raise ConnectionError
    (letter,) = seawall.DeadLetterQueue("guarded", store="memory:").peek()
    assert letter.payload == {"order": 7}


def test_a_sync_block_is_judged_at_its_end(events: list[dict[str, object]]) -> None:
    policy = seawall.policy(None, seawall.circuit_breaker(), seawall.timeout(attempt="1s"))
    with seawall.testing.clock() as clock:
        with policy.guard():
            clock.advance("2s")
        assert policy.breaker.counts.failures == 1
    assert "timeout.late" in [event["event"] for event in events]


def test_chaos_strikes_a_block() -> None:
    with seawall.testing.clock() as clock:
        policy = seawall.chaos(rate=1, fault="boom", latency="100ms", expires_in="1h")
        with pytest.raises(seawall.InjectedFaultError), policy.guard():
            raise AssertionError("not entered")
        assert clock.sleeps == [0.1]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="before, a cancellation cannot be taken back")
def test_an_async_block_is_cut() -> None:
    cleaned: list[str] = []
    policy = seawall.policy(None, seawall.circuit_breaker(), seawall.timeout(attempt="1s"))

    async def block() -> None:
        async with policy.guard():
            try:
                await asyncio.Event().wait()
            finally:
                cleaned.append("cleaned")

    async def main() -> None:
        with seawall.testing.clock() as clock:
            task = asyncio.create_task(block())
            await clock.aadvance("1s")
            with pytest.raises(seawall.TimeoutExceededError):
                await task
            assert not task.cancelled()
            assert cleaned == ["cleaned"]
            assert policy.breaker.counts.failures == 1

    asyncio.run(main())


def test_a_cancelled_async_block_is_cancelled() -> None:
    policy = seawall.policy(None, seawall.circuit_breaker(), seawall.timeout(attempt="1s"))

    async def block() -> None:
        async with policy.guard():
            await asyncio.Event().wait()

    async def main() -> None:
        with seawall.testing.clock() as clock:
            task = asyncio.create_task(block())
            await clock.aadvance("500ms")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert policy.breaker.counts.total == 0
            async with policy.guard():
                await asyncio.sleep(0)
            assert policy.breaker.counts.total == 1

    asyncio.run(main())


def test_a_guard_serves_one_block_at_a_time() -> None:
    guard = breaker().guard()
    with guard, pytest.raises(seawall.ConfigError, match="one block"), guard:
        raise AssertionError("not entered")


def test_switched_off_it_does_nothing() -> None:
    policy = breaker()
    with seawall.testing.disabled(), policy.guard():
        assert seawall.current().attempt == 0
    assert policy.breaker.counts.total == 0
