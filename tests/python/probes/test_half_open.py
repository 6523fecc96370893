"""A herd rushes through a half-open breaker onto a dependency that is still down, because every caller takes itself for the trial."""

from __future__ import annotations

import asyncio
import threading

import pytest
import seawall
from crowd import PATIENCE, Down, afail, fail, tasks, threads, trip
from seawall import testing


def breaker(**options: int) -> seawall.Policy[object]:
    return seawall.circuit_breaker(consecutive_failures=2, break_duration="5s", break_jitter=0, **options)  # type: ignore[return-value]


@pytest.mark.parametrize("slots", [1, 3])
def test_threads(slots: int) -> None:
    guard = breaker(half_open_max_calls=slots, half_open_successes=1)
    inside, go = threading.Semaphore(0), threading.Event()

    @guard
    def call(n: int) -> None:
        inside.release()
        assert go.wait(PATIENCE)
        raise Down

    def one(n: int) -> object:
        try:
            return call(n)
        except seawall.CircuitOpenError:
            rejected.release()
            raise

    rejected = threading.Semaphore(0)
    with testing.clock() as clock:
        trip(lambda: guard.call(fail), 2)
        clock.advance("5s")

        def let_go() -> None:
            # The trials are held inside until everybody else was turned away.
            for _ in range(8 - slots):
                assert rejected.acquire(timeout=PATIENCE)
            go.set()

        watcher = threading.Thread(target=let_go)
        watcher.start()
        ends = threads(8, one)
        watcher.join(PATIENCE)
        assert sum(isinstance(end, Down) for end in ends) == slots
        assert sum(isinstance(end, seawall.CircuitOpenError) for end in ends) == 8 - slots
        assert guard.breaker.state == "open"


@pytest.mark.parametrize("slots", [1, 3])
def test_tasks(slots: int) -> None:
    guard = breaker(half_open_max_calls=slots, half_open_successes=1)
    reached = 0

    @guard
    async def call(n: int) -> None:
        nonlocal reached
        reached += 1
        await asyncio.sleep(0)
        raise Down

    async def main() -> list[object]:
        with testing.clock() as clock:
            for _ in range(2):
                with pytest.raises(Down):
                    await guard.acall(afail)
            clock.advance("5s")
            return await tasks(50, call)

    ends = asyncio.run(main())
    assert reached == slots
    assert sum(isinstance(end, seawall.CircuitOpenError) for end in ends) == 50 - slots


def test_it_closes_only_after_as_many_successes_as_were_asked_for() -> None:
    guard = breaker(half_open_max_calls=3, half_open_successes=2)
    with testing.clock() as clock:
        trip(lambda: guard.call(fail), 2)
        clock.advance("5s")
        states = []
        for _ in range(2):
            guard.call(int)
            states.append(guard.breaker.state)
        assert states == ["half_open", "closed"]


def test_a_retry_around_it_takes_no_more_than_the_slots() -> None:
    reached = []

    @seawall.policy(None, seawall.retry(max_attempts=5, base_delay="1ms"), breaker(half_open_max_calls=2, half_open_successes=2))
    def call() -> None:
        reached.append(seawall.current().attempt)
        raise Down

    with testing.clock() as clock:
        with pytest.raises(Down):
            call()
        assert len(reached) == 2, "the breaker opened after the second"
        clock.advance("5s")
        del reached[:]
        with pytest.raises(Down):
            call()
        assert len(reached) == 1, "of two slots one was spent: two successes are out of reach"


def test_each_key_has_a_trial_of_its_own() -> None:
    guard = seawall.circuit_breaker(
        consecutive_failures=1, break_duration="5s", break_jitter=0, half_open_max_calls=1, half_open_successes=1, key=lambda host: host
    )
    with testing.clock() as clock:
        for host in ("a", "b"):
            with pytest.raises(Down):
                guard.call(fail, host)
        clock.advance("5s")
        assert guard.call(str, "a") == "a"
        assert guard.using(key="a").breaker.state == "closed"
        assert guard.using(key="b").breaker.state == "half_open"
