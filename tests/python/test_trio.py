"""Guarded functions in programs of trio: every kind of call that has a driver, and trio's own rules of cancellation."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest
import seawall
import trio
from seawall import _letters
from trio.testing import wait_all_tasks_blocked


def play(main: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        with trio.fail_after(60):
            await main()

    trio.run(limited)


def test_retries_wait_by_trios_own_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    sleep = trio.sleep

    async def recorded(seconds: float) -> None:
        asked.append(seconds)
        await sleep(0)

    monkeypatch.setattr(trio, "sleep", recorded)

    @seawall.retry(max_attempts=3, base_delay="40ms", jitter="none")
    async def flaky() -> str:
        if len(asked) < 2:
            raise ConnectionError
        return "up"

    async def main() -> None:
        assert await flaky() == "up"

    play(main)
    assert asked == [0.04, 0.08]


def test_a_cut_attempt_is_cancelled_and_its_cleanup_awaited() -> None:
    cleaned: list[str] = []

    async def slow() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(0)
            cleaned.append("up")

    async def main() -> None:
        async def call() -> None:
            with pytest.raises(seawall.TimeoutExceededError):
                await seawall.timeout(attempt="1s").acall(slow)

        with seawall.testing.clock() as clock:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(call)
                await clock.aadvance("1s")
        assert cleaned == ["up"]

    play(main)


def test_real_limits_of_many_calls_on_one_run() -> None:
    @seawall.timeout(attempt="20ms")
    async def slow() -> None:
        await trio.sleep_forever()

    async def one() -> None:
        with pytest.raises(seawall.TimeoutExceededError):
            await slow()
        # The cut is over: what comes next is not cancelled.
        await trio.sleep(0)
        assert trio.current_effective_deadline() > -math.inf

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(one)

    play(main)


def test_a_cut_keeps_what_else_a_nursery_of_the_callee_raised() -> None:
    async def fails_when_cut() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise KeyError("cleanup")

    async def callee() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(fails_when_cut)

    async def main() -> None:
        with pytest.raises(seawall.TimeoutExceededError):
            await seawall.timeout(attempt="10ms").acall(callee)

    play(main)


def test_the_callers_own_cancellation_is_neutral_and_goes_out(events: list[dict[str, object]]) -> None:
    guard = seawall.policy("trio", seawall.retry(max_attempts=5), seawall.circuit_breaker(consecutive_failures=1))
    attempts: list[int] = []

    async def slow() -> None:
        attempts.append(1)
        await trio.sleep_forever()

    async def main() -> None:
        with trio.move_on_after(0.01) as scope:
            await guard.acall(slow)
        assert scope.cancelled_caught and attempts == [1]

    play(main)
    assert (guard.breaker.state, guard.breaker.counts.total) == ("closed", 0)
    assert "attempt.failed" not in [event["event"] for event in events]


def test_where_a_cut_and_the_caller_cancel_together_the_callers_wins() -> None:
    async def main() -> None:
        outer = trio.CancelScope()

        async def slow() -> None:
            try:
                await trio.sleep_forever()
            finally:
                outer.cancel()

        with outer:
            await seawall.retry().acall(lambda: seawall.timeout(attempt="10ms").acall(slow))
        assert outer.cancelled_caught

    play(main)


def test_cancelling_a_back_off_ends_it() -> None:
    async def fails() -> None:
        raise ConnectionError

    async def main() -> None:
        with trio.move_on_after(0.01) as scope:
            await seawall.retry(base_delay="1h", max_delay="1h", jitter="none").acall(fails)
        assert scope.cancelled_caught

    play(main)


def test_a_bulkhead_of_one_with_fifty_tasks_and_a_waiter_that_is_cancelled() -> None:
    guard = seawall.bulkhead(max_concurrent=1, max_queue=60)
    order: list[int] = []
    inside = most = 0

    @guard
    async def work(number: int) -> None:
        nonlocal inside, most
        inside, most = inside + 1, max(most, inside + 1)
        await trio.sleep(0)
        inside -= 1
        order.append(number)

    async def main() -> None:
        entered, release = trio.Event(), trio.Event()

        async def hold() -> None:
            entered.set()
            await release.wait()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(guard.acall, hold)
            await entered.wait()
            scopes = [trio.CancelScope() for _ in range(50)]

            async def one(number: int) -> None:
                with scopes[number]:
                    await work(number)

            for number in range(50):
                nursery.start_soon(one, number)
                await wait_all_tasks_blocked()
            scopes[7].cancel()
            await wait_all_tasks_blocked()
            assert scopes[7].cancelled_caught and order == []
            release.set()
        assert order == [number for number in range(50) if number != 7] and most == 1
        assert await guard.acall(free) == "free"

    async def free() -> str:
        return "free"

    play(main)


def test_a_waiter_cancelled_in_the_moment_of_its_grant_passes_the_slot_on() -> None:
    guard = seawall.bulkhead(max_concurrent=1, max_queue=5)

    async def main() -> None:
        release, done = trio.Event(), trio.Event()

        async def finish() -> None:
            done.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(guard.acall, release.wait)
            await wait_all_tasks_blocked()
            scope = trio.CancelScope()

            async def second() -> None:
                with scope:
                    await guard.acall(trio.sleep_forever)

            nursery.start_soon(second)
            await wait_all_tasks_blocked()
            nursery.start_soon(guard.acall, finish)
            await wait_all_tasks_blocked()
            release.set()
            scope.cancel()
            await done.wait()
            assert scope.cancelled_caught

    play(main)


def test_a_hedge_cancels_its_loser_and_awaits_it() -> None:
    ends: list[str] = []
    begun = 0

    @seawall.hedge(delay="10ms")
    async def answer() -> int:
        nonlocal begun
        begun += 1
        if begun > 1:
            return begun
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(0)
            ends.append(str(seawall.current().attempt))
        raise AssertionError

    async def main() -> None:
        assert await answer() == 2
        assert ends == ["1"]

    play(main)


def test_the_caller_of_a_hedge_gives_up() -> None:
    ended: list[int] = []

    @seawall.hedge(delay="5ms")
    async def stuck() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(seawall.current().attempt)

    async def main() -> None:
        with trio.move_on_after(0.1) as scope:
            await stuck()
        assert scope.cancelled_caught and sorted(ended) == [1, 2]

    play(main)


def test_a_stream_may_be_left_and_its_scopes_may_interleave_with_the_consumers() -> None:
    closed: list[str] = []

    @seawall.timeout(idle="20ms")
    async def tokens() -> AsyncGenerator[int, None]:
        try:
            for number in range(3):
                yield number
            await trio.sleep_forever()
        finally:
            closed.append("callee")

    async def main() -> None:
        seen: list[int] = []
        async with aclosing(tokens()) as stream:
            async for number in stream:
                seen.append(number)
                # The consumer's own scopes open and close between items, and its time does not count.
                with trio.move_on_after(0.03):
                    await trio.sleep_forever()
                if number == 1:
                    break
        assert (seen, closed) == ([0, 1], ["callee"])
        with pytest.raises(seawall.TimeoutExceededError) as caught:
            async for number in tokens():
                seen.append(number)
        assert (seen, caught.value.code) == ([0, 1, 0, 1, 2], "timeout.idle")

    play(main)


def test_a_guarded_block_is_cut_and_the_code_after_it_is_not() -> None:
    async def main() -> None:
        with pytest.raises(seawall.TimeoutExceededError):
            async with seawall.timeout(attempt="10ms").guard():
                await trio.sleep_forever()
        await trio.sleep(0)
        with trio.move_on_after(0.01) as scope:
            async with seawall.timeout(attempt="1h").guard():
                await trio.sleep_forever()
        assert scope.cancelled_caught

    play(main)


def test_a_letter_is_written_though_the_caller_gives_up(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scope = trio.CancelScope()
    record = _letters.record

    def cancelled_meanwhile(session: Any) -> bool:
        trio.from_thread.run_sync(scope.cancel, trio_token=token[0])
        return record(session)

    monkeypatch.setattr(_letters, "record", cancelled_meanwhile)
    token: list[trio.lowlevel.TrioToken] = []

    @seawall.dead_letter("orders", store=store)
    async def fails(order: int) -> None:
        raise ConnectionError(order)

    async def main() -> None:
        token.append(trio.lowlevel.current_trio_token())
        with scope:
            await fails(7)
        assert scope.cancelled_caught
        queue = seawall.DeadLetterQueue("orders", store=store)
        assert [letter.args for letter in await queue.apeek()] == [[7]]

    play(main)


@pytest.mark.parametrize("concurrency", [1, 3])
def test_letters_are_redriven(store: str, concurrency: int) -> None:
    queue = seawall.DeadLetterQueue("orders", store=store)
    for number in range(5):
        queue.put({"number": number})
    handled: list[int] = []

    async def handle(letter: seawall.DeadLetter) -> None:
        await trio.sleep(0)
        payload: Any = letter.payload
        handled.append(payload["number"])

    async def main() -> None:
        report = await queue.aredrive(handle, concurrency=concurrency)
        assert (report.ok, report.failed, sorted(handled)) == (5, 0, [0, 1, 2, 3, 4])

    play(main)


def test_a_cancelled_redrive_gives_its_letters_back(store: str) -> None:
    queue = seawall.DeadLetterQueue("orders", store=store)
    for number in range(5):
        queue.put({"number": number})

    async def stuck(letter: seawall.DeadLetter) -> None:
        await trio.sleep_forever()

    async def main() -> None:
        with trio.move_on_after(0.3) as scope:
            await queue.aredrive(stuck, concurrency=3)
        assert scope.cancelled_caught and queue.stats().ready == 5

    play(main)


def test_an_unguarded_loop_is_refused_by_name() -> None:
    async def work() -> None:
        raise ConnectionError

    call = seawall.retry().acall(work)
    with pytest.raises(seawall.ConfigError, match="asyncio or trio"):
        call.send(None)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="before Python 3.11 a class of asyncio is a base of one of ours")
def test_neither_library_is_imported_before_it_runs_a_call() -> None:
    program = """
import sys
import seawall
assert "trio" not in sys.modules and "asyncio" not in sys.modules
import asyncio

@seawall.policy("p", seawall.retry(base_delay="1ms"), seawall.timeout(attempt="1s"))
async def work():
    return 1

assert asyncio.run(work()) == 1
assert "trio" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
