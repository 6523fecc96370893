"""The deadlines of the calls on one event loop share one timer of it."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest
import seawall
from seawall import _deadlines

T = TypeVar("T")


class Loop(asyncio.SelectorEventLoop):
    """A loop whose time stands still, and whose timers are fired by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.armed: list[float] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, *args: Any, **kwargs: Any) -> asyncio.TimerHandle:  # type: ignore[override]
        self.armed.append(when)
        return super().call_at(when, *args, **kwargs)


def play(body: Callable[[Loop], Coroutine[Any, Any, T]]) -> T:
    loop = Loop()
    try:
        return loop.run_until_complete(body(loop))
    finally:
        loop.close()


async def turn() -> None:
    """What is due by now is fired."""
    for _ in range(3):
        await asyncio.sleep(0)


def test_calls_in_time_arm_one_timer_between_them() -> None:
    async def main(loop: Loop) -> None:
        @seawall.timeout(attempt="1s", total="5s")
        async def call() -> int:
            await asyncio.sleep(0)
            return 1

        for _ in range(200):
            loop.now += 0.001
            assert await call() == 1
        # The first call's: that of the total limit, or of the attempt before it.
        assert 1 <= len(loop.armed) <= 2

    play(main)


def test_each_comes_at_its_moment_and_in_order() -> None:
    async def main(loop: Loop) -> None:
        came: list[str] = []
        deadlines = _deadlines.of(loop)
        deadlines.after(50, lambda: came.append("50"))
        deadlines.after(10, lambda: came.append("10"))
        deadlines.after(10, lambda: came.append("10 again"))
        taken_back = deadlines.after(20, lambda: came.append("20"))
        loop.now += 0.009
        await turn()
        assert came == []
        loop.now = 100.01
        await turn()
        assert came == ["10", "10 again"]
        taken_back.cancel()
        loop.now += 1
        await turn()
        assert came == ["10", "10 again", "50"]

    play(main)


def test_one_that_takes_back_another_of_the_same_moment_is_obeyed() -> None:
    async def main(loop: Loop) -> None:
        came: list[str] = []
        deadlines = _deadlines.of(loop)
        deadlines.after(10, lambda: second.cancel())
        second = deadlines.after(10, lambda: came.append("second"))
        loop.now += 1
        await turn()
        assert came == []

    play(main)


def test_what_falls_due_within_a_turn_of_the_loop_waits_for_what_the_turn_woke() -> None:
    async def main(loop: Loop) -> None:
        came: list[str] = []

        def block() -> None:
            # Runs in the turn that wakes the work, and takes until after its limit.
            loop.now = 100.031

        async def work() -> None:
            limit = _deadlines.of(loop).after(30, lambda: came.append("limit"))
            await asyncio.sleep(0.02)
            limit.cancel()

        loop.call_at(100.014, block)
        _deadlines.of(loop).after(16, lambda: came.append("another"))
        task = asyncio.ensure_future(work())
        await turn()
        loop.now = 100.025
        await task
        await turn()
        assert came == ["another"]

    play(main)


def test_many_that_are_overdue_come_in_two_turns() -> None:
    async def main(loop: Loop) -> None:
        came: list[int] = []
        for ms in range(100):
            _deadlines.of(loop).after(ms, lambda ms=ms: came.append(ms))  # type: ignore[misc]
        loop.now += 1
        await turn()
        assert came == list(range(100))

    play(main)


def test_what_is_asked_for_meanwhile_waits_for_the_next_turn() -> None:
    async def main(loop: Loop) -> None:
        count = 0

        def again() -> None:
            nonlocal count
            count += 1
            _deadlines.of(loop).after(0, again)

        _deadlines.of(loop).after(0, again)
        await turn()
        assert 1 <= count <= 3

    play(main)


def test_a_failure_is_told_and_keeps_nobody_from_coming() -> None:
    async def main(loop: Loop) -> None:
        told: list[object] = []
        came: list[int] = []
        loop.set_exception_handler(lambda _, context: told.append(context.get("exception")))
        error = ValueError("no")

        def fail() -> None:
            raise error

        _deadlines.of(loop).after(10, fail)
        _deadlines.of(loop).after(10, lambda: came.append(1))
        loop.now += 1
        await turn()
        assert (told, came) == ([error], [1])

    play(main)


def test_each_comes_in_the_context_of_who_asked() -> None:
    who: contextvars.ContextVar[str] = contextvars.ContextVar("who")

    async def main(loop: Loop) -> None:
        came: list[str | None] = []
        for name in ("a", "b"):
            who.set(name)
            _deadlines.of(loop).after(10, lambda: came.append(who.get(None)))
        who.set("c")
        loop.now += 1
        await turn()
        assert came == ["a", "b"]

    play(main)


def test_those_taken_back_keep_nothing_alive_and_do_not_pile_up() -> None:
    class Held:
        pass

    async def main(loop: Loop) -> None:
        deadlines = _deadlines.of(loop)
        held = Held()
        gone = weakref.ref(held)

        def act(held: Held = held) -> None:
            raise AssertionError(held)

        deadline = deadlines.after(3_600_000, act)
        del held, act
        deadline.cancel()
        assert gone() is None
        for _ in range(1000):
            deadlines.after(3_600_000, int).cancel()
        assert len(deadlines._heap) <= 2 * _deadlines._MANY  # pyright: ignore[reportPrivateUsage]

    play(main)


def test_a_closed_loop_is_let_go() -> None:
    loop = Loop()
    gone = weakref.ref(loop)

    async def main() -> None:
        _deadlines.of(loop).after(3_600_000, int)

    loop.run_until_complete(main())
    loop.close()
    del loop, main
    gc.collect()
    assert gone() is None


def test_limits_of_real_time_cut_calls_on_two_loops_in_turn() -> None:
    @seawall.timeout(attempt="20ms")
    async def stuck() -> None:
        await asyncio.sleep(3600)

    for _ in range(2):
        with pytest.raises(seawall.TimeoutExceededError):
            asyncio.run(asyncio.wait_for(stuck(), 60))
