"""The fast path of async functions: coroutines to everybody who looks, and nothing lost or held where it steps aside."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import inspect
import logging
import pickle
import sys
import tracemalloc
from collections.abc import Generator
from typing import Any

import fast_path
import pytest
import seawall
from fast_path import quick

pytestmark = fast_path.NEEDED


@seawall.policy(None, seawall.retry(max_attempts=2, base_delay=0.001), seawall.circuit_breaker(), seawall.bulkhead(max_concurrent=2))
async def later(x: int, *, by: int = 2) -> tuple[int, int, bool]:
    """Doubles, later."""
    here = seawall.current()
    await asyncio.sleep(0)
    return x * by, here.attempt, here.correlation_id == seawall.correlation_id() is not None


class Clerk:
    @seawall.circuit_breaker
    async def ask(self, x: int) -> tuple[Clerk, int]:
        return self, x


def test_async_functions_take_it_and_stay_coroutine_functions() -> None:
    assert inspect.iscoroutinefunction(later) and asyncio.iscoroutinefunction(later) and later.__doc__ == "Doubles, later."
    clerk = Clerk()
    assert inspect.iscoroutinefunction(clerk.ask) and inspect.iscoroutinefunction(Clerk.ask)
    before, asked = quick(later), quick(Clerk.ask)

    async def main() -> None:
        assert await later(2) == (4, 1, True)
        assert await later(2, by=3) == (6, 1, True)
        assert await clerk.ask(1) == (clerk, 1) == await Clerk.ask(clerk, 1)
        assert await asyncio.wait_for(later(x=1), 5) == (2, 1, True)
        assert await asyncio.gather(later(1), asyncio.create_task(later(2))) == [(2, 1, True), (4, 1, True)]
        assert seawall.current().attempt == 0 and seawall.correlation_id() is None

    asyncio.run(main())
    assert asyncio.run(later(5)) == (10, 1, True)
    assert quick(later) - before == 6 and quick(Clerk.ask) - asked == 2
    assert pickle.loads(pickle.dumps(later)) is later


def test_an_async_call_that_fails_goes_on_in_the_driver() -> None:
    failing = iter([ConnectionError("a"), None, ConnectionError("b"), ConnectionError("c")])

    @seawall.retry(max_attempts=2, base_delay=0.001)
    async def flaky(wait: bool) -> int:
        if wait:
            await asyncio.sleep(0)
        error = next(failing)
        if error is not None:
            raise error
        return seawall.current().attempt

    async def main() -> None:
        assert await flaky(False) == 2
        with pytest.raises(ConnectionError, match="c") as caught:
            await flaky(True)
        failure = seawall.failure(caught.value)
        assert failure is not None and len(failure.attempts) == 2

    asyncio.run(main())


def test_cancellation_frees_the_slot_at_any_moment() -> None:
    started: list[int] = []

    @seawall.policy(None, seawall.bulkhead(max_concurrent=1), seawall.circuit_breaker(consecutive_failures=1))
    async def wait() -> str:
        started.append(1)
        if len(started) % 2:
            await asyncio.sleep(60)
        return "done"

    async def main() -> None:
        for _ in range(3):
            task = asyncio.create_task(wait())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await wait() == "done"
        unstarted = asyncio.create_task(wait())
        unstarted.cancel()
        with pytest.raises(asyncio.CancelledError):
            await unstarted
        started.append(1)
        assert await wait() == "done"

    asyncio.run(main())


def test_a_task_made_inside_knows_the_call_and_so_does_one_that_outlives_it() -> None:
    async def child(pause: int) -> tuple[int, str | None]:
        for _ in range(pause):
            await asyncio.sleep(0)
        return seawall.current().attempt, seawall.correlation_id()

    @seawall.circuit_breaker
    async def parent() -> tuple[str | None, asyncio.Task[Any]]:
        outliving = asyncio.create_task(child(5))
        first = await asyncio.create_task(child(0))
        assert first == (1, seawall.correlation_id())
        with seawall.correlate("inside"):
            assert seawall.correlation_id() == "inside" and seawall.current().correlation_id == first[1]
        return first[1], outliving

    async def main() -> None:
        identity, outliving = await parent()
        assert seawall.current().attempt == 0 and seawall.correlation_id() is None
        assert await outliving == (1, identity)

    asyncio.run(main())


def test_nested_async_and_sync_calls_share_one_id() -> None:
    @seawall.bulkhead(max_concurrent=4)
    def lookup() -> str | None:
        return seawall.correlation_id()

    @seawall.retry(max_attempts=2)
    async def inner() -> str | None:
        return lookup()

    @seawall.circuit_breaker
    async def outer() -> set[str | None]:
        return {await inner(), lookup(), *await asyncio.gather(inner(), inner()), seawall.correlation_id()}

    async def main() -> None:
        assert len(await outer()) == 1
        assert await outer() != await outer()

    asyncio.run(main())


def test_an_awaitable_driven_by_hand_keeps_to_the_protocol() -> None:
    class Pause:
        def __await__(self) -> Generator[str, Any, Any]:
            got = yield "paused"
            return got

    @seawall.policy(None, seawall.bulkhead(max_concurrent=1))
    async def pause() -> tuple[Any, str]:
        return await Pause(), "end"

    made = pause()
    assert made.send(None) == "paused"
    with pytest.raises(StopIteration) as stop:
        made.send(7)
    assert stop.value.value == (7, "end")
    with pytest.raises(RuntimeError):
        made.send(None)
    closed = pause()
    assert closed.send(None) == "paused"
    closed.close()
    unstarted = pause()
    unstarted.close()
    dropped, context = pause(), contextvars.copy_context()
    assert context.run(dropped.send, None) == "paused"
    del dropped, context
    gc.collect()
    thrown = pause()
    thrown.send(None)
    with pytest.raises(KeyboardInterrupt):
        thrown.throw(KeyboardInterrupt)
    again = pause()
    assert again.send(None) == "paused", "every slot was given back"
    again.close()

    @seawall.circuit_breaker
    async def fail() -> None:
        raise ConnectionError

    with pytest.raises(seawall.ConfigError, match="task of asyncio"):
        fail().send(None)


def test_a_call_that_is_never_awaited_is_warned_of_and_takes_nothing() -> None:
    @seawall.bulkhead(max_concurrent=1)
    async def once() -> int:
        return 1

    with pytest.warns(RuntimeWarning, match="once.* was never awaited"):
        once()
        gc.collect()
    assert asyncio.run(once()) == 1


def test_async_calls_keep_and_lose_no_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("seawall"), "disabled", True)
    marker = object()

    @seawall.policy(None, seawall.circuit_breaker(consecutive_failures=10**6), seawall.bulkhead(max_concurrent=4))
    async def give(value: object, fail: bool = False) -> object:
        seawall.current()
        if fail:
            raise ConnectionError
        return value

    async def play(times: int) -> None:
        for n in range(times):
            await give(marker)
            if n % 10 == 0:
                with pytest.raises(ConnectionError):
                    await give(marker, fail=True)

    asyncio.run(play(200))
    gc.collect()
    held = [sys.getrefcount(each) for each in (marker, give, give.__wrapped__)]  # type: ignore[attr-defined]
    tracemalloc.start()
    asyncio.run(play(200))
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    asyncio.run(play(3_000))
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert [sys.getrefcount(each) for each in (marker, give, give.__wrapped__)] == held  # type: ignore[attr-defined]
    assert grown < 30_000


def test_schedulers_and_debuggers_find_what_they_look_for() -> None:
    async def main() -> None:
        task = asyncio.create_task(later(1))
        assert "later" in repr(task) and "later" in repr(task.get_coro())
        await asyncio.sleep(0)
        assert [frame.f_code.co_name for frame in task.get_stack()] == ["later"]
        assert asyncio.iscoroutine(task.get_coro()) and inspect.isawaitable(task.get_coro())
        assert await task == (2, 1, True)
        assert "later" in repr(task)

    asyncio.run(main(), debug=True)
    assert inspect.signature(later).parameters.keys() == {"x", "by"}
    assert inspect.getsource(later).startswith("@seawall.policy")


def test_what_is_async_without_being_a_function_is_known_for_it() -> None:
    class Caller:
        async def __call__(self, x: int) -> int:
            return x

    partly = seawall.circuit_breaker(functools.partial(later, by=5))
    called = seawall.circuit_breaker(Caller())
    assert inspect.iscoroutinefunction(partly) and inspect.iscoroutinefunction(called)
    assert asyncio.run(partly(2)) == (10, 1, True)
    assert asyncio.run(called(3)) == 3
