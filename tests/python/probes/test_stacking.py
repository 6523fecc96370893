"""Decorators that know nothing of each other: the retry goes on waiting at an open breaker, the breaker counts whole retry runs, nested retries multiply."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import seawall
from crowd import Down
from seawall import testing


def retry(**options: Any) -> Any:
    return seawall.retry(**{"max_attempts": 5, "base_delay": "1s", "jitter": "none", "retry_budget": None, **options})


def breaker(times: int) -> Any:
    return seawall.circuit_breaker(consecutive_failures=times, break_duration="1m", break_jitter=0)


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("way", ["one policy", "two decorators", "two objects shared by name"])
def test_a_retry_stops_once_the_breaker_is_open(way: str, is_async: bool) -> None:
    calls = []

    def fail() -> None:
        calls.append(1)
        raise Down("down")

    async def afail() -> None:
        fail()

    fn: Any = afail if is_async else fail
    with testing.clock() as clock:
        if way == "one policy":
            call = seawall.policy(None, retry(), breaker(2))(fn)
        elif way == "two decorators":
            call = retry()(breaker(2)(fn))
        else:
            call = seawall.policy("outer", retry())(seawall.policy("inner", breaker(2))(fn))
        with pytest.raises((Down, seawall.CircuitOpenError)) as caught:
            asyncio.run(call()) if is_async else call()
        assert len(calls) == 2, "the callee is spared"
        if way == "one policy":
            assert clock.sleeps == [1.0] and isinstance(caught.value, Down)
            assert seawall.failure(caught.value).reason == "breaker_open"  # type: ignore[union-attr]
        else:
            assert clock.sleeps == [1.0, 2.0], "two objects: the rejection itself says that it is open"
            assert isinstance(caught.value, seawall.CircuitOpenError)


def test_each_attempt_votes() -> None:
    guard = seawall.policy(None, retry(max_attempts=3), seawall.circuit_breaker(consecutive_failures=9))

    def fail() -> None:
        raise Down

    with testing.clock():
        with pytest.raises(Down):
            guard.call(fail)
        assert guard.breaker.counts.failures == 3


def test_a_rejection_of_one_policy_is_no_failure_of_another() -> None:
    inner, outer = breaker(1), seawall.circuit_breaker(consecutive_failures=1)

    @outer
    @inner
    def call(fails: bool) -> None:
        if fails:
            raise Down

    with testing.clock():
        with pytest.raises(Down):
            inner.call(lambda: (_ for _ in ()).throw(Down))
        for _ in range(5):
            with pytest.raises(seawall.CircuitOpenError):
                call(False)
        assert outer.breaker.state == "closed" and outer.breaker.counts.failures == 0


def test_nested_retries_do_not_multiply_for_ever_and_are_told_of() -> None:
    calls = []

    outer = seawall.policy("outer", seawall.retry(max_attempts=4, base_delay="1ms"))

    @outer
    @seawall.policy("inner", seawall.retry(max_attempts=4, base_delay="1ms"))
    def call() -> None:
        calls.append(1)
        raise Down

    with testing.clock():
        for _ in range(20):
            with pytest.raises(Down):
                call()
    # 16 for each of 20 calls without the budgets, which leave a fifth and some to begin with.
    assert len(calls) < 20 * 16 / 2
    assert outer.worst_case().calls == 16


def test_a_retry_budget_is_shared_by_the_functions_of_one_policy() -> None:
    guard = seawall.retry(max_attempts=2, base_delay="1ms", retry_budget={"ratio": 0.0, "per_second": 1.0})
    retries = []

    def fail() -> None:
        if seawall.current().attempt > 1:
            retries.append(1)
        raise Down

    def make(n: int) -> Any:
        def another() -> None:
            fail()

        return guard(another)

    with testing.clock():
        for call in map(make, range(40)):
            with pytest.raises(Down):
                call()
    assert len(retries) == 10, "one a second over ten seconds, however many functions draw on it"


def test_the_order_of_parts_does_not_matter() -> None:
    seen = []
    for parts in ([retry(), breaker(2)], [breaker(2), retry()]):
        with testing.clock() as clock:
            with pytest.raises(Down):
                seawall.policy(None, *parts).call(lambda: (_ for _ in ()).throw(Down))
            seen.append(clock.sleeps)
    assert seen == [[1.0], [1.0]]
