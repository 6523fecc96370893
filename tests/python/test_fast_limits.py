"""Limits of time on the fast path: they cut as the driver does, and cost a call that ends in time next to nothing."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import sys
import weakref
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import fast_path
import pytest
import seawall
from fast_path import quick
from seawall import _clock, _fast, testing
from test_deadlines import Loop, play, turn

pytestmark = [
    fast_path.NEEDED,
    pytest.mark.skipif(sys.version_info < (3, 11), reason="before 3.11 an async call with a limit of time is the driver's"),
]


async def advance(clock: testing.Clock, ms: int) -> None:
    """Moves virtual time on, timer by timer, with the loop's work between them."""
    virtual = clock._virtual
    await testing._settle(virtual)
    target = round(clock.now * 1000 + ms) * _clock.MS
    while virtual.step(target):
        await testing._settle(virtual)
    await testing._settle(virtual)


def test_a_call_that_is_never_suspended_asks_nothing_of_the_loop() -> None:
    async def main(loop: Loop) -> None:
        @seawall.policy(None, seawall.timeout(attempt="1s", total="5s"), seawall.bulkhead(max_concurrent=1))
        async def call() -> int:
            return 1

        for _ in range(20):
            assert await call() == 1
        assert loop.armed == [] and quick(call) == 20

    play(main)


def test_suspended_calls_share_one_timer_and_nothing_is_kept_of_them() -> None:
    class Held:
        pass

    gone: list[weakref.ref[Held]] = []

    async def main(loop: Loop) -> None:
        @seawall.timeout(attempt="30s")
        async def call(held: Held) -> None:
            contextvars.ContextVar[Held]("held").set(held)
            gone.append(weakref.ref(held))
            await asyncio.sleep(0)

        for _ in range(50):
            await asyncio.create_task(call(Held()))
        await turn()
        gc.collect()
        assert len(loop.armed) == 1 and quick(call) == 50
        assert [each() for each in gone] == [None] * 50

    play(main)


def test_limits_of_many_lengths_come_in_their_order() -> None:
    came: list[tuple[int, int]] = []

    def stuck(ms: int) -> Callable[[], Awaitable[None]]:
        @seawall.timeout(attempt=ms / 1000)
        async def call() -> None:
            await asyncio.sleep(60)

        return call

    async def note(ms: int, n: int) -> None:
        try:
            await stuck(ms)()
        except seawall.TimeoutExceededError as error:
            assert error.code == "timeout.attempt"
            came.append((ms, n))

    async def play_out() -> None:
        # The long ones ask first, so that every shorter one needs an earlier alarm.
        await asyncio.gather(*(note(ms, n) for n in range(3) for ms in (60, 40, 20)))

    asyncio.run(play_out())
    assert [ms for ms, _ in came] == [20] * 3 + [40] * 3 + [60] * 3
    assert [n for _, n in came] == [0, 1, 2] * 3


def test_a_call_inside_another_task_of_the_same_limit_is_cut_first_if_it_began_first() -> None:
    came: list[str] = []

    @seawall.timeout(attempt="40ms")
    async def outer(begin: asyncio.Event) -> None:
        begin.set()
        await asyncio.sleep(60)

    async def note(name: str, call: Awaitable[None]) -> None:
        with pytest.raises(seawall.TimeoutExceededError):
            await call
        came.append(name)

    async def main() -> None:
        first, second = asyncio.Event(), asyncio.Event()
        tasks = [asyncio.create_task(note("first", outer(first)))]
        await first.wait()
        tasks.append(asyncio.create_task(note("second", outer(second))))
        await asyncio.gather(*tasks)

    asyncio.run(main())
    assert came == ["first", "second"]


Make = Callable[[seawall.Policy[Any], Callable[..., Any]], Callable[..., Awaitable[Any]]]


def decorated(policy: seawall.Policy[Any], fn: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    made: Callable[..., Awaitable[Any]] = policy(fn)
    return made


def driven(policy: seawall.Policy[Any], fn: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    async def call(*args: Any) -> Any:
        return await policy.acall(fn, *args)

    return call


def played(make: Make, play: Callable[[testing.Clock, Make, list[str]], Awaitable[None]]) -> list[str]:
    """What a scenario tells in virtual time: its own lines, and every event."""
    told: list[str] = []

    async def main() -> None:
        with testing.clock(seed=3) as clock:
            unsubscribe = seawall.on_event(lambda event: told.append(f"{clock.now:.3f} {event['event']} {event.get('attempt')}"))
            try:
                await play(clock, make, told)
            finally:
                unsubscribe()

    asyncio.run(main())
    return told


async def _cleanup_longer_than_the_total(clock: testing.Clock, make: Make, told: list[str]) -> None:
    done = asyncio.Event()

    async def callee() -> None:
        told.append(f"attempt {seawall.current().attempt} {seawall.current().remaining}")
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            told.append("cleaning up")
            await done.wait()

    policy = seawall.policy("a", seawall.timeout(attempt="100ms", total="250ms"), seawall.retry(max_attempts=3, jitter="none"))
    task = asyncio.create_task(_noted(make(policy, callee)(), told))
    await advance(clock, 100)
    await advance(clock, 200)
    done.set()
    await task


async def _retries_within_the_total(clock: testing.Clock, make: Make, told: list[str]) -> None:
    async def callee() -> None:
        told.append(f"attempt {seawall.current().attempt} {seawall.current().remaining} {seawall.deadline()}")
        await asyncio.get_running_loop().create_future()

    policy = seawall.policy(
        "a",
        seawall.timeout(attempt="100ms", total="250ms"),
        seawall.retry(max_attempts=5, jitter="none", base_delay="10ms"),
        seawall.circuit_breaker(consecutive_failures=5),
    )
    task = asyncio.create_task(_noted(make(policy, callee)(), told))
    for _ in range(6):
        await advance(clock, 50)
    await task


async def _an_error_in_time_and_then_the_total(clock: testing.Clock, make: Make, told: list[str]) -> None:
    failing = asyncio.Event()

    async def callee() -> None:
        told.append(f"attempt {seawall.current().attempt} {seawall.current().remaining}")
        await failing.wait()
        failing.clear()
        raise ConnectionError

    policy = seawall.policy("a", seawall.timeout(total="150ms"), seawall.retry(max_attempts=3, jitter="none", base_delay="20ms"))
    task = asyncio.create_task(_noted(make(policy, callee)(), told))
    await advance(clock, 60)
    failing.set()
    await advance(clock, 69)
    told.append(f"{clock.now:.3f} waiting: {not task.done()}")
    await advance(clock, 1)
    await task


async def _the_vote_is_cast_before_the_cleanup(clock: testing.Clock, make: Make, told: list[str]) -> None:
    done = asyncio.Event()

    async def callee() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await done.wait()

    policy = seawall.policy("a", seawall.timeout(attempt="100ms"), seawall.circuit_breaker(consecutive_failures=1))
    call = make(policy, callee)
    task = asyncio.create_task(_noted(call(), told))
    await advance(clock, 100)
    told.append(policy.breaker.state)
    await _noted(call(), told)
    done.set()
    await task


async def _a_callee_that_swallows_its_cancellation(clock: testing.Clock, make: Make, told: list[str]) -> None:
    async def callee() -> str:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            return "swallowed"
        return "never"

    task = asyncio.create_task(_noted(make(seawall.policy("a", seawall.timeout(total="100ms")), callee)(), told))
    await advance(clock, 100)
    await task
    assert task.cancelling() == 0


async def _the_caller_cancels_in_the_moment_of_the_limit(clock: testing.Clock, make: Make, told: list[str]) -> None:
    async def callee() -> None:
        await asyncio.get_running_loop().create_future()

    policy = seawall.policy("a", seawall.timeout(attempt="100ms"), seawall.fallback(value=1), seawall.bulkhead(max_concurrent=1))
    for cancel_first in (True, False):
        task = asyncio.create_task(_noted(make(policy, callee)(), told))
        await testing._settle(clock._virtual)
        if cancel_first:
            task.cancel()
        clock._virtual.step(round(clock.now * 1000 + 100) * _clock.MS)
        if not cancel_first:
            await asyncio.sleep(0)
            task.cancel()
        await task


async def _the_caller_cancels_while_the_callee_cleans_up(clock: testing.Clock, make: Make, told: list[str]) -> None:
    done = asyncio.Event()

    async def callee() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await done.wait()

    task = asyncio.create_task(_noted(make(seawall.policy("a", seawall.timeout(attempt="100ms")), callee)(), told))
    await advance(clock, 100)
    task.cancel()
    await task


async def _a_success_after_the_limit_without_a_pause(clock: testing.Clock, make: Make, told: list[str]) -> None:
    async def callee() -> str:
        seawall._native.clock_advance(150)
        return "late"

    policy = seawall.policy("a", seawall.timeout(attempt="100ms"), seawall.circuit_breaker(consecutive_failures=1))
    await _noted(make(policy, callee)(), told)
    told.append(policy.breaker.state)


SCENARIOS = [value for name, value in list(globals().items()) if inspect.iscoroutinefunction(value) and name.startswith(("_cl", "_re", "_a_", "_an_", "_the_"))]


async def _noted(call: Awaitable[Any], told: list[str]) -> None:
    try:
        told.append(f"returned {await call!r}")
    except asyncio.CancelledError:
        told.append("cancelled")
    except Exception as error:
        failure = seawall.failure(error)
        attempts = failure and [(each.number, each.outcome, each.duration) for each in failure.attempts]
        told.append(f"raised {type(error).__name__} {getattr(error, 'code', '')} {attempts} {type(error.__cause__).__name__}")


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__.strip("_"))
def test_both_ways_tell_the_same(scenario: Any) -> None:
    before = _fast.handed_over
    fast = played(decorated, scenario)
    assert _fast.handed_over > before, "it begins on the fast path"
    before = _fast.handed_over
    assert fast == played(driven, scenario)
    assert _fast.handed_over == before and len(fast) > 1


def test_calls_inside_know_the_limit_and_so_does_what_outlives_the_call() -> None:
    left: list[float | None] = []

    @seawall.circuit_breaker
    async def inner() -> None:
        left.append(seawall.deadline())
        await asyncio.sleep(0)
        left.append(seawall.current().remaining)

    @seawall.circuit_breaker
    def inner_sync() -> None:
        left.append(seawall.deadline())

    async def outliving() -> None:
        left.append(seawall.deadline())
        await asyncio.sleep(0.05)
        with pytest.raises(seawall.TimeoutExceededError) as caught:
            await inner()
        assert caught.value.code == "timeout.deadline"

    @seawall.timeout(total="30ms")
    async def outer() -> asyncio.Task[None]:
        await inner()
        inner_sync()
        await asyncio.create_task(inner())
        return asyncio.create_task(outliving())

    @seawall.timeout(total="30ms")
    def outer_sync() -> None:
        inner_sync()
        left.append(seawall.deadline())
        left.append(float(seawall.headers()["x-seawall-deadline-ms"]) / 1000)

    async def main() -> None:
        await (await outer())
        outer_sync()
        assert seawall.deadline() is None and seawall.current().remaining is None

    asyncio.run(main())
    assert len(left) == 9 and all(each is not None and 0 < each <= 0.03 for each in left)
    assert quick(outer) == quick(outer_sync) == 1 and quick(inner) == quick(inner_sync) == 0


def test_no_deadline_is_left_behind() -> None:
    @seawall.timeout(total="30s")
    async def limited() -> None:
        seawall.deadline()
        await asyncio.sleep(0)

    @seawall.circuit_breaker
    async def free() -> None:
        await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(limited(), free(), limited(), free())
        await limited()
        await free()

    asyncio.run(main())
    assert quick(free) == 3 and quick(limited) == 3


def test_a_sync_call_that_ends_late_is_told_of_and_votes() -> None:
    with testing.clock() as clock:
        told: list[str] = []
        unsubscribe = seawall.on_event(lambda event: told.append(event["event"]))

        @seawall.policy("late", seawall.timeout(attempt="100ms"), seawall.circuit_breaker(consecutive_failures=2))
        def late(ms: int) -> float | None:
            clock.advance(ms / 1000)
            return seawall.current().remaining

        assert late(99) == pytest.approx(0.001) and late(100) == 0
        assert quick(late) == 2
        assert late(101) == 0 == late(500)
        assert quick(late) == 2 and told.count("timeout.late") == 2 and late.policy.breaker.state == "open"  # type: ignore[attr-defined]
        unsubscribe()


def test_outside_of_a_task_a_call_that_waits_is_refused_and_holds_nothing() -> None:
    class Pause:
        def __await__(self) -> Generator[str, Any, Any]:
            yield "paused"

    raised: list[BaseException] = []

    @seawall.policy(None, seawall.timeout(total="1s"), seawall.bulkhead(max_concurrent=1))
    async def wait(pause: bool) -> int:
        try:
            if pause:
                await Pause()
        except BaseException as error:
            raised.append(error)
            raise
        return 1

    for _ in range(2):
        with pytest.raises(seawall.ConfigError, match="task of asyncio"):
            wait(True).send(None)
    assert [type(error) for error in raised] == [seawall.ConfigError] * 2
    with pytest.raises(StopIteration):
        wait(False).send(None)
    assert quick(wait) == 1


def test_a_call_closed_or_dropped_or_left_behind_by_its_loop_is_let_go() -> None:
    @seawall.policy(None, seawall.timeout(attempt="50ms"), seawall.bulkhead(max_concurrent=1))
    async def stuck() -> None:
        await asyncio.sleep(3600)

    async def close() -> None:
        running = stuck()
        running.send(None)
        running.close()
        dropped = stuck()
        dropped.send(None)
        del dropped
        gc.collect()

    for _ in range(2):
        asyncio.run(close())
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda *_: None)
        task = loop.create_task(stuck())
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        del task, loop
        gc.collect()
    with pytest.raises(seawall.TimeoutExceededError):
        asyncio.run(stuck())


def test_limited_calls_keep_and_lose_no_reference() -> None:
    marker = object()

    @seawall.policy(None, seawall.timeout(attempt="2ms"), seawall.bulkhead(max_concurrent=100))
    async def give(value: object, pause: float) -> object:
        await asyncio.sleep(pause)
        return value

    async def main() -> None:
        for _ in range(200):
            await give(marker, 0)
        await asyncio.gather(*(give(marker, 60) for _ in range(50)), return_exceptions=True)

    asyncio.run(main())
    gc.collect()
    held = [sys.getrefcount(each) for each in (marker, give, give.__wrapped__)]  # type: ignore[attr-defined]
    for _ in range(3):
        asyncio.run(main())
    gc.collect()
    assert [sys.getrefcount(each) for each in (marker, give, give.__wrapped__)] == held  # type: ignore[attr-defined]
