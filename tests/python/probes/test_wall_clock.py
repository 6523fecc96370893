"""Somebody sets the clock, and circuits stay open for an hour, close at once, or limits never end."""

from __future__ import annotations

import datetime
import time
from typing import Any

import pytest
import seawall
from crowd import Down, fail, trip
from seawall import testing


@pytest.fixture(params=[-3600, 3600])
def jump(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Moves the wall clock by an hour, as the package could see it."""
    real_time, real_ns, by = time.time, time.time_ns, request.param

    class Moved(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
            return datetime.datetime.fromtimestamp(time.time(), tz)

    def moved() -> None:
        monkeypatch.setattr(time, "time", lambda: real_time() + by)
        monkeypatch.setattr(time, "time_ns", lambda: real_ns() + by * 10**9)
        monkeypatch.setattr("datetime.datetime", Moved)

    return moved


def test_an_open_circuit_stays_open_and_closes_when_it_would_have(jump: Any) -> None:
    guard = seawall.circuit_breaker(consecutive_failures=1, break_duration="1m", break_jitter=0, half_open_successes=1)
    with testing.clock() as clock:
        trip(lambda: guard.call(fail), 1)
        jump()
        assert guard.breaker.state == "open"
        with pytest.raises(seawall.CircuitOpenError) as caught:
            guard.call(int)
        assert caught.value.retry_after == 60.0
        clock.advance("1m")
        assert guard.call(int) == 0 and guard.breaker.state == "closed"


def test_on_the_real_clock_too(jump: Any) -> None:
    guard = seawall.circuit_breaker(consecutive_failures=1, break_duration="10m", max_break_duration="10m", break_jitter=0)
    trip(lambda: guard.call(fail), 1)
    jump()
    with pytest.raises(seawall.CircuitOpenError) as caught:
        guard.call(int)
    assert caught.value.retry_after is not None and 0 < caught.value.retry_after <= 600


def test_a_total_limit_is_kept(jump: Any) -> None:
    @seawall.policy(None, seawall.retry(max_attempts=9, base_delay="1s", jitter="none", retry_budget=None), seawall.timeout(total="10s"))
    def call() -> None:
        if seawall.current().attempt == 2:
            jump()
        raise Down

    with testing.clock() as clock:
        with pytest.raises(Down) as caught:
            call()
        assert clock.sleeps == [1.0, 2.0, 4.0]
        assert seawall.failure(caught.value).reason == "no_time_left"  # type: ignore[union-attr]


def test_windows_and_rate_limits_do_not_move(jump: Any) -> None:
    counted = seawall.circuit_breaker(failure_ratio=0.5, minimum_throughput=4, sampling_duration="10s")
    limited = seawall.rate_limit(rate="1/m", burst=2)
    with testing.clock():
        trip(lambda: counted.call(fail), 3)
        limited.call(int)
        jump()
        assert counted.breaker.counts.failures == 3
        limited.call(int)
        with pytest.raises(seawall.RateLimitedError) as caught:
            limited.call(int)
        assert caught.value.retry_after == 60.0
