"""A call that began before the breaker changed its state ends after, and its old news closes or opens the circuit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
import seawall
from crowd import PATIENCE, Down, afail, fail, trip
from seawall import testing


def breaker() -> Any:
    return seawall.circuit_breaker(
        consecutive_failures=2, break_duration="5s", break_jitter=0, half_open_max_calls=1, half_open_successes=1
    )


def in_a_thread(guard: Any, end: Callable[[], Any]) -> Callable[[], None]:
    """A call in flight; calling what this gives lets it end."""
    entered, go = threading.Event(), threading.Event()

    @guard
    def late() -> Any:
        entered.set()
        assert go.wait(PATIENCE)
        return end()

    def run() -> None:
        try:
            late()
        except Down:
            return

    thread = threading.Thread(target=run)
    thread.start()
    assert entered.wait(PATIENCE)

    def finish() -> None:
        go.set()
        thread.join(PATIENCE)
        assert not thread.is_alive()

    return finish


def test_a_late_success_does_not_close_an_open_breaker() -> None:
    guard = breaker()
    with testing.clock():
        finish = in_a_thread(guard, int)
        trip(lambda: guard.call(fail), 2)
        finish()
        assert guard.breaker.state == "open"


def test_a_late_success_is_no_vote_for_the_trial_either() -> None:
    guard = breaker()
    with testing.clock() as clock:
        finish = in_a_thread(guard, int)
        trip(lambda: guard.call(fail), 2)
        clock.advance("5s")
        assert guard.breaker.state == "half_open"
        finish()
        assert guard.breaker.state == "half_open"
        with pytest.raises(Down):
            guard.call(fail)
        assert guard.breaker.state == "open"


def test_late_failures_do_not_overrule_a_good_trial() -> None:
    guard = breaker()
    with testing.clock() as clock:
        finishes = [in_a_thread(guard, fail) for _ in range(3)]
        trip(lambda: guard.call(fail), 2)
        clock.advance("5s")
        guard.call(int)
        for finish in finishes:
            finish()
        assert guard.breaker.state == "closed"
        assert guard.breaker.counts.failures == 0


def test_the_same_with_tasks() -> None:
    guard = breaker()

    async def main() -> tuple[str, str]:
        with testing.clock() as clock:
            go = asyncio.Event()

            @guard
            async def late(succeeds: bool) -> None:
                await go.wait()
                if not succeeds:
                    raise Down

            pending = [asyncio.ensure_future(late(n % 2 == 0)) for n in range(6)]
            await asyncio.sleep(0)
            for _ in range(2):
                with pytest.raises(Down):
                    await guard.acall(afail)
            opened = guard.breaker.state
            clock.advance("5s")
            await guard.acall(asyncio.sleep, 0)
            go.set()
            await asyncio.gather(*pending, return_exceptions=True)
            return opened, guard.breaker.state

    assert asyncio.run(main()) == ("open", "closed")
