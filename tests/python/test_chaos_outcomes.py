"""What chaos puts in place of a call, and what it has run inside one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import seawall


def broken() -> Any:
    raise ConnectionError


def test_an_injected_outcome_takes_the_place_of_the_call() -> None:
    with seawall.testing.clock():
        assert seawall.chaos(rate=1, outcome="instead", expires_in="1h").call(broken) == "instead"
        assert seawall.chaos(rate=1, outcome=lambda: ["made"], expires_in="1h").call(broken) == ["made"]
        weighted = seawall.chaos(rate=1, outcome=[("a", 1), ("b", 1)], expires_in="1h")
        assert {weighted.call(broken) for _ in range(50)} == {"a", "b"}
        plain = seawall.chaos(rate=1, outcome=[1, 2], expires_in="1h")
        assert plain.call(broken) == [1, 2]


def test_an_injected_outcome_is_judged_as_the_callees() -> None:
    with seawall.testing.clock():
        policy = seawall.policy(
            None,
            seawall.retry(max_attempts=2, on_result=lambda result: result == "bad"),
            seawall.chaos(rate=1, outcome="bad", expires_in="1h"),
        )
        assert policy.call(broken) == "bad"


def test_a_behaviour_runs_in_each_attempt_struck() -> None:
    struck: list[int] = []

    async def later() -> None:
        await asyncio.sleep(0)
        struck.append(seawall.current().attempt)

    with seawall.testing.clock():
        sync = seawall.chaos(rate=1, behavior=lambda: struck.append(seawall.current().attempt), expires_in="1h")
        assert sync.call(lambda: len(struck)) == 1
        asynchronous = seawall.chaos(rate=1, behavior=later, expires_in="1h")

        async def work() -> int:
            return len(struck)

        assert asyncio.run(asynchronous(work)()) == 2
    assert struck == [1, 1]


def test_what_a_behaviour_raises_is_injected() -> None:
    def fill_the_disk() -> None:
        raise OSError("disk full")

    with seawall.testing.clock():
        policy = seawall.policy(None, seawall.circuit_breaker(), seawall.chaos(rate=1, behavior=fill_the_disk, expires_in="1h"))
        with pytest.raises(OSError, match="disk full"):
            policy.call(lambda: 1)
        assert policy.breaker.counts.failures == 1
