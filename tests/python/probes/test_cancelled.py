"""A cancelled or interrupted call is taken for a success or a failure, is swallowed or retried, or keeps what it held."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import seawall
from crowd import Down, afail, fail, trip
from seawall import _call, testing

SIGNALS = [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError]


def breaker() -> Any:
    return seawall.circuit_breaker(
        consecutive_failures=1, break_duration="5s", break_jitter=0, half_open_max_calls=1, half_open_successes=1
    )


@pytest.mark.parametrize("signal", SIGNALS)
def test_an_interrupt_is_neither_success_nor_failure(signal: type[BaseException]) -> None:
    calls = []

    @seawall.policy(None, seawall.retry(max_attempts=5), seawall.circuit_breaker(), seawall.fallback("no"))
    def call() -> None:
        calls.append(1)
        raise signal

    with testing.clock() as clock:
        for _ in range(3):
            with pytest.raises(signal):
                call()
        counts = seawall.policy_of(call).breaker.counts  # type: ignore[union-attr]
        assert (len(calls), counts.total, counts.failures, clock.sleeps) == (3, 0, 0, [])


@pytest.mark.parametrize("signal", SIGNALS)
def test_an_interrupted_trial_gives_its_slot_back_and_does_not_close(signal: type[BaseException]) -> None:
    guard = breaker()

    def interrupt() -> None:
        raise signal

    with testing.clock() as clock:
        trip(lambda: guard.call(fail), 1)
        clock.advance("5s")
        for _ in range(3):
            with pytest.raises(signal):
                guard.call(interrupt)
            assert guard.breaker.state == "half_open"
        assert guard.call(int) == 0
        assert guard.breaker.state == "closed"


def test_a_cancelled_trial_task_gives_its_slot_back_and_does_not_close() -> None:
    guard = breaker()

    @guard
    async def hang() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        with testing.clock() as clock:
            with pytest.raises(Down):
                await guard.acall(afail)
            clock.advance("5s")
            trial = asyncio.ensure_future(hang())
            await asyncio.sleep(0)
            with pytest.raises(seawall.CircuitOpenError):
                await guard.acall(asyncio.sleep, 0)
            trial.cancel()
            with pytest.raises(asyncio.CancelledError):
                await trial
            assert guard.breaker.state == "half_open"
            await guard.acall(asyncio.sleep, 0)
            assert guard.breaker.state == "closed"

    asyncio.run(main())


def test_cancelling_counts_for_nothing_and_is_not_retried() -> None:
    guard = seawall.policy(None, seawall.retry(max_attempts=5), seawall.circuit_breaker(), seawall.fallback(None))
    begun = 0

    @guard
    async def hang() -> None:
        nonlocal begun
        begun += 1
        await asyncio.Event().wait()

    async def main() -> None:
        for _ in range(10):
            task = asyncio.ensure_future(hang())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert (begun, guard.breaker.counts.total, guard.breaker.counts.failures) == (10, 0, 0)


def test_cancelling_ends_a_back_off_at_once() -> None:
    @seawall.retry(max_attempts=5, base_delay="1h", max_delay="1h", jitter="none", retry_budget=None)
    async def call() -> None:
        waiting.set()
        raise Down

    async def main() -> None:
        nonlocal waiting
        waiting = asyncio.Event()
        task = asyncio.ensure_future(call())
        await waiting.wait()
        await asyncio.sleep(0)
        task.cancel()
        # Within the limit of asyncio's own, an hour before the back-off is over.
        done, _ = await asyncio.wait([task], timeout=20)
        assert done and task.cancelled()

    waiting: asyncio.Event = None  # type: ignore[assignment]
    asyncio.run(main())


@pytest.mark.parametrize("way", ["decorated", "acall", "guard"])
def test_a_cancelled_waiter_gives_its_place_back(way: str) -> None:
    guard = seawall.bulkhead(max_concurrent=1, max_queue=1)

    @guard
    async def hold(until: asyncio.Event) -> str:
        await until.wait()
        return "held"

    async def in_a_block(until: asyncio.Event) -> str:
        async with guard.guard():
            await until.wait()
        return "held"

    async def main() -> None:
        free = asyncio.Event()

        def call() -> asyncio.Future[str]:
            if way == "decorated":
                return asyncio.ensure_future(hold(free))
            if way == "acall":
                return asyncio.ensure_future(guard.acall(free.wait))
            return asyncio.ensure_future(in_a_block(free))

        async def turn() -> None:
            for _ in range(5):
                await asyncio.sleep(0)

        first = call()
        await turn()
        for _ in range(3):
            waiter = call()
            await turn()
            waiter.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiter
        waiter = call()
        await turn()
        full = call()
        with pytest.raises(seawall.BulkheadFullError):
            await full
        free.set()
        await asyncio.gather(first, waiter)
        assert await guard.acall(asyncio.sleep, 0, "free") == "free"

    asyncio.run(main())


@pytest.mark.parametrize("is_fast", [False, True])
@pytest.mark.parametrize("place", ["on", "on_result", "retry_after"])
def test_an_interrupt_in_a_predicate_ends_the_call(place: str, is_fast: bool) -> None:
    """The function is over and its end not reported yet: whoever waits for that report waits for ever."""

    def interrupt(*args: object) -> Any:
        raise KeyboardInterrupt

    guard = seawall.policy(None, seawall.retry(max_attempts=3, **{place: interrupt}), seawall.circuit_breaker(), seawall.bulkhead(max_concurrent=1))
    fn = int if place == "on_result" else fail
    call = guard(fn)
    with testing.clock():
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                call() if is_fast else guard.call(fn)
        assert guard.breaker.counts.failures == 0


@pytest.mark.parametrize("is_fast", [False, True])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_interrupt_around_the_report_of_an_end_ends_the_call(monkeypatch: pytest.MonkeyPatch, moment: str, is_fast: bool) -> None:
    guard = seawall.policy(None, seawall.retry(max_attempts=3, base_delay="1s"), seawall.bulkhead(max_concurrent=1))
    report = _call.Session.ended
    struck: list[int] = []

    def ended(self: _call.Session, *args: Any) -> Any:
        if moment == "after":
            ops = report(self, *args)
        if not struck:
            struck.append(1)
            raise KeyboardInterrupt
        return ops if moment == "after" else report(self, *args)

    call = guard(fail)
    with testing.clock() as clock:
        monkeypatch.setattr(_call.Session, "ended", ended)
        with pytest.raises(KeyboardInterrupt):
            call() if is_fast else guard.call(fail)
        assert clock.sleeps == []
        assert guard.call(int) == 0, "the slot came back"
