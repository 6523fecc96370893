"""What `current()` and the correlation id say inside calls on the fast path."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Generator
from typing import Any

import fast_path
import pytest
import seawall
from fast_path import quick

pytestmark = fast_path.NEEDED


def test_current_is_right_inside_nested_calls_on_both_ways() -> None:
    seen: list[seawall.Current] = []

    @seawall.bulkhead(max_concurrent=1)
    def inner() -> str | None:
        seen.append(seawall.current())
        return seawall.correlation_id()

    @seawall.timeout(total="10s")
    def between() -> str | None:
        seen.append(seawall.current())
        return inner()

    @seawall.circuit_breaker
    def outer() -> str | None:
        seen.append(seawall.current())
        return between()

    identity = outer()
    assert identity is not None and {here.correlation_id for here in seen} == {identity}
    assert [here.attempt for here in seen] == [1, 1, 1]
    assert [here.remaining is not None for here in seen] == [False, True, True]
    assert seawall.current().attempt == 0 and seawall.correlation_id() is None
    with seawall.correlate("order-7"):
        assert outer() == "order-7"
    assert outer() not in (identity, "order-7", None)


def test_current_asked_only_deep_inside_speaks_of_every_call_around() -> None:
    @seawall.circuit_breaker
    def outer() -> tuple[Any, Any, Any]:
        before = inner()
        return before, inner(), seawall.correlation_id()

    @seawall.circuit_breaker
    def inner() -> str | None:
        return seawall.correlation_id()

    first, second, own = outer()
    assert first == second == own is not None
    assert seawall.correlation_id() is None


def test_an_id_given_inside_a_call_holds_for_what_is_inside_of_it() -> None:
    @seawall.circuit_breaker
    def outer() -> tuple[Any, Any, Any]:
        with seawall.correlate("inside"):
            here = (seawall.correlation_id(), seawall.current().correlation_id)
        return (*here, seawall.correlation_id())

    inside, current, own = outer()
    assert inside == "inside" and current == own != "inside"


def test_copied_contexts_and_tasks_and_threads() -> None:
    @seawall.circuit_breaker
    def outer(what: str) -> Any:
        if what == "copy":
            inner = contextvars.copy_context().run(seawall.current)
            return inner.correlation_id == seawall.correlation_id() and seawall.current().attempt
        if what == "loop":
            return asyncio.run(task())
        found: list[int] = []
        thread = threading.Thread(target=lambda: found.append(seawall.current().attempt))
        thread.start()
        thread.join()
        return found[0]

    async def task() -> int:
        return (await asyncio.gather(asyncio.create_task(attempt())))[0]

    async def attempt() -> int:
        return seawall.current().attempt

    assert outer("copy") == 1
    assert outer("loop") == 1
    assert outer("thread") == 0
    assert seawall.current().attempt == 0 and seawall.correlation_id() is None


def test_a_generator_resumed_inside_sees_the_call_that_resumes_it() -> None:
    def attempts() -> Generator[int, None, None]:
        while True:
            yield seawall.current().attempt

    made = attempts()
    assert next(made) == 0

    @seawall.circuit_breaker
    def resume() -> int:
        return next(made)

    assert resume() == 1 and next(made) == 0


def test_deadlines_reach_the_driver() -> None:
    @seawall.circuit_breaker
    def remaining() -> float | None:
        return seawall.current().remaining

    assert remaining() is None
    with seawall.receive({"x-seawall-deadline-ms": "5000"}, trust=True):
        assert remaining() is not None
    with seawall.receive({"x-seawall-deadline-ms": "0"}, trust=True), pytest.raises(seawall.TimeoutExceededError):
        remaining()
    assert quick(remaining) == 1


def test_a_guarded_stream_speaks_of_itself_inside_a_call_that_began_later() -> None:
    @seawall.retry(max_attempts=2)
    def identities() -> Generator[str | None, None, None]:
        while True:
            yield seawall.current().correlation_id

    stream = identities()
    own = next(stream)

    @seawall.circuit_breaker
    def outer() -> tuple[str | None, str | None, str | None]:
        return next(stream), seawall.correlation_id(), next(stream)

    first, around, second = outer()
    assert own == first == second != around is not None
    assert next(stream) == own


def test_a_driver_inside_a_call_is_believed_and_so_is_a_call_inside_of_that() -> None:
    @seawall.circuit_breaker
    def innermost() -> list[float | None]:
        return [seawall.current().remaining]

    @seawall.timeout(total="10s")
    def driven() -> list[float | None]:
        return [seawall.current().remaining, *innermost(), seawall.current().remaining]

    @seawall.circuit_breaker
    def outer() -> list[float | None]:
        return [seawall.current().remaining, *driven(), seawall.current().remaining]

    assert [left is not None for left in outer()] == [False, True, True, True, False]
