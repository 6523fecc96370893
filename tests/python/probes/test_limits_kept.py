"""A total limit of 0.3 s takes a second, or eight, because waits are not counted or the limit's own error is retried; defaults never end."""

from __future__ import annotations

import asyncio

import pytest
import seawall
from crowd import Down, afail, fail
from seawall import testing


@pytest.mark.parametrize("is_async", [False, True])
def test_waits_that_do_not_fit_are_not_begun(is_async: bool) -> None:
    guard = seawall.policy(
        None, seawall.retry(max_attempts=9, base_delay="1s", jitter="none", retry_budget=None), seawall.timeout(total="300ms")
    )
    with testing.clock() as clock:
        with pytest.raises(Down) as caught:
            asyncio.run(guard.acall(afail)) if is_async else guard.call(fail)
        assert (clock.now, clock.sleeps) == (0.0, [])
    assert seawall.failure(caught.value).reason == "no_time_left"  # type: ignore[union-attr]


def test_the_limits_own_error_is_not_retried() -> None:
    begun = []

    @seawall.policy(None, seawall.retry(max_attempts=9, base_delay="1ms", retry_budget=None), seawall.timeout(total="300ms"))
    async def call() -> None:
        begun.append(1)
        await asyncio.Event().wait()

    async def main() -> float:
        with testing.clock() as clock:
            task = asyncio.ensure_future(call())
            await clock.aadvance("300ms")
            with pytest.raises(seawall.TimeoutExceededError) as caught:
                await task
            assert caught.value.code == "timeout.total"
            return clock.now

    assert (asyncio.run(main()), begun) == (0.3, [1])


def test_a_limit_around_another_policys_waits_holds_too() -> None:
    @seawall.timeout(total="300ms")
    @seawall.retry(max_attempts=9, base_delay="1s", jitter="none", retry_budget=None)
    def call() -> None:
        raise Down

    with testing.clock() as clock:
        with pytest.raises(Down):
            call()
        assert clock.now == 0.0


def test_the_wait_comes_from_the_error_and_is_never_shorter() -> None:
    class Busy(Down):
        retry_after = 7

    with testing.clock() as clock:
        with pytest.raises(Busy):
            seawall.retry(max_attempts=2, base_delay="1ms").call(lambda: (_ for _ in ()).throw(Busy))
        assert len(clock.sleeps) == 1 and 7.0 <= clock.sleeps[0] < 7.1


def test_the_last_error_is_the_callees_own() -> None:
    with testing.clock(), pytest.raises(Down, match="down") as caught:
        seawall.retry(max_attempts=3, base_delay="1ms").call(fail)
    assert type(caught.value) is Down and caught.value.__cause__ is None


def test_the_bare_defaults_end_and_wait() -> None:
    with testing.clock() as clock:
        with pytest.raises(Down):
            seawall.retry(fail)()  # type: ignore[call-overload]
        assert len(clock.sleeps) == 2 and sum(clock.sleeps) > 0


def test_full_jitter_spreads_a_herd_over_the_whole_wait() -> None:
    first, fourth = [], []
    for seed in range(300):
        with testing.clock(seed=seed) as clock:
            with pytest.raises(Down):
                seawall.retry(max_attempts=5, base_delay="1s", retry_budget=None).call(fail)
            first.append(clock.sleeps[0])
            fourth.append(clock.sleeps[3])
    for waits, most in ((first, 1.0), (fourth, 8.0)):
        assert 0 <= min(waits) < 0.1 * most and 0.9 * most < max(waits) <= most
        assert 0.4 * most < sum(waits) / len(waits) < 0.6 * most
