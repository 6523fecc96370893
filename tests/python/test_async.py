"""Async functions: cuts, cancellation and queues, in the caller's own task."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
import seawall

T = TypeVar("T")


def play(main: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(main, 60))


def test_a_cut_attempt_is_cancelled_and_its_cleanup_awaited() -> None:
    cleaned: list[str] = []

    async def slow() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0)
            cleaned.append("up")

    async def main() -> None:
        with seawall.testing.clock() as clock:
            task = asyncio.ensure_future(seawall.timeout(attempt="1s").acall(slow))
            await clock.aadvance("1s")
            with pytest.raises(seawall.TimeoutExceededError):
                await task
        assert cleaned == ["up"]

    play(main())


def test_a_cut_leaves_the_task_uncancelled() -> None:
    async def slow() -> None:
        await asyncio.sleep(3600)

    async def main() -> None:
        with pytest.raises(seawall.TimeoutExceededError):
            await seawall.timeout(attempt="1ms").acall(slow)
        await asyncio.sleep(0)
        if sys.version_info >= (3, 11):
            task = asyncio.current_task()
            assert task is not None and task.cancelling() == 0

    play(main())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="before Python 3.11 what can be cut has a task of its own")
def test_the_function_runs_in_the_callers_own_task() -> None:
    async def main() -> None:
        async def which() -> object:
            return asyncio.current_task()

        assert await seawall.timeout(attempt="5s").acall(which) is asyncio.current_task()

    play(main())


def test_a_cancellation_by_the_caller_is_never_swallowed() -> None:
    async def main() -> None:
        entered = asyncio.Event()

        async def slow() -> None:
            entered.set()
            await asyncio.sleep(3600)

        guard = seawall.policy("kept", seawall.fallback("no"), seawall.retry(), seawall.circuit_breaker(), seawall.timeout(attempt="30s"))
        task = asyncio.ensure_future(guard.acall(slow))
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled() and guard.breaker.counts.total == 0

    play(main())


def test_where_a_cut_and_the_caller_cancel_together_the_callers_wins() -> None:
    async def main() -> None:
        entered = asyncio.Event()

        async def slow() -> None:
            entered.set()
            await asyncio.sleep(3600)

        with seawall.testing.clock() as clock:
            task = asyncio.ensure_future(seawall.retry(on=TimeoutError).acall(seawall.timeout(attempt="1s")(slow)))
            await entered.wait()
            clock.advance("1s")
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    play(main())


def test_an_outer_timeout_of_asyncio_still_works() -> None:
    async def slow() -> None:
        await asyncio.sleep(3600)

    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError) as caught:
            await asyncio.wait_for(seawall.timeout(attempt="30s").acall(slow), 0.01)
        assert not isinstance(caught.value, seawall.TimeoutExceededError)

    play(main())


def test_cancelling_a_back_off_ends_it() -> None:
    async def main() -> None:
        scheduled = asyncio.Event()
        unsubscribe = seawall.on_event(lambda event: scheduled.set() if event["event"] == "retry.scheduled" else None)

        async def fails() -> None:
            raise ConnectionError

        task = asyncio.ensure_future(seawall.retry(base_delay="1h", max_delay="1h", jitter="none").acall(fails))
        await scheduled.wait()
        unsubscribe()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    play(main())


def test_a_queue_is_first_come_first_served_and_a_cancelled_waiter_leaves_it() -> None:
    async def main() -> None:
        guard = seawall.bulkhead(max_concurrent=1, max_queue=5)
        gate = asyncio.Event()
        order: list[int] = []

        async def work(n: int) -> None:
            order.append(n)
            await gate.wait()

        tasks = [asyncio.ensure_future(guard.acall(work, n)) for n in range(5)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        tasks[3].cancel()
        gate.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert order == [0, 2, 4]
        await guard.acall(work, 9)

    play(main())


def test_a_waiter_cancelled_in_the_moment_of_its_grant_passes_the_slot_on() -> None:
    async def main() -> None:
        guard = seawall.bulkhead(max_concurrent=1, max_queue=5)
        gate = asyncio.Event()

        async def work(n: int) -> int:
            if n == 0:
                await gate.wait()
            return n

        first, second, third = (asyncio.ensure_future(guard.acall(work, n)) for n in range(3))
        await asyncio.sleep(0)
        gate.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        second.cancel()
        assert await first == 0
        assert await third == 2
        assert await guard.acall(work, 7) == 7
        await asyncio.gather(second, return_exceptions=True)

    play(main())


def test_threads_and_tasks_share_one_queue() -> None:
    async def main() -> None:
        guard = seawall.bulkhead(max_concurrent=2, max_queue=100)
        done: list[int] = []

        async def work(n: int) -> None:
            await asyncio.sleep(0)
            done.append(n)

        loop = asyncio.get_running_loop()
        threads = [loop.run_in_executor(None, guard.call, done.append, n) for n in range(100, 120)]
        await asyncio.gather(*(guard.acall(work, n) for n in range(20)), *threads)
        assert sorted(done) == [*range(20), *range(100, 120)]

    play(main())


def test_an_async_fallback() -> None:
    async def fails(x: int) -> int:
        raise ConnectionError

    async def cached(x: int) -> int:
        await asyncio.sleep(0)
        return -x

    assert play(seawall.fallback(cached).acall(fails, 3)) == -3


def test_sleep_is_looked_up_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    async def at_once(seconds: float) -> None:
        asked.append(seconds)

    async def fails() -> None:
        raise ConnectionError

    async def main() -> None:
        with pytest.raises(ConnectionError):
            await seawall.retry(max_attempts=2, base_delay="1s", jitter="none").acall(fails)

    monkeypatch.setattr(asyncio, "sleep", at_once)
    asyncio.run(main())
    assert asked == [1.0]


def test_time_sleep_is_looked_up_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    asked: list[float] = []
    monkeypatch.setattr(time, "sleep", asked.append)

    def fails() -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        seawall.retry(max_attempts=3, base_delay="1s", jitter="none").call(fails)
    # The second wait is cut, since an interrupt may be missed until a sleep ends.
    assert asked == [1.0, 1.0, 1.0]
