"""Generators and async generators under a policy: `retry`, limits and fallback until the first item, one vote, prompt closing."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import Any, NoReturn

import pytest
import seawall

Closed = list[str]


def breaker() -> seawall.Policy[NoReturn]:
    return seawall.policy(None, seawall.circuit_breaker(consecutive_failures=5))


def test_a_generator_stays_one_and_gives_its_items_and_its_result() -> None:
    @seawall.retry(max_attempts=2)
    def numbers(count: int) -> Generator[int, None, str]:
        """Counts."""
        yield from range(count)
        return "end"

    def outer() -> Generator[int, None, None]:
        results.append((yield from numbers(3)))

    results: list[str] = []
    assert inspect.isgeneratorfunction(numbers)
    assert numbers.__doc__ == "Counts."
    assert list(outer()) == [0, 1, 2]
    assert results == ["end"]


def test_a_function_that_returns_an_iterator_is_an_ordinary_call() -> None:
    policy = breaker()
    found = policy(lambda: iter([1, 2]))()
    assert policy.breaker.counts.total == 1
    assert list(found) == [1, 2]


def test_a_call_begins_with_the_first_item_asked_for() -> None:
    policy = breaker()

    @policy
    def numbers() -> Iterator[int]:
        yield 1

    stream = numbers()
    assert policy.breaker.counts.total == 0
    assert next(stream) == 1
    assert next(stream, None) is None
    assert policy.breaker.counts.total == 1


def test_what_is_sent_and_thrown_reaches_the_callee() -> None:
    seen: list[object] = []

    @seawall.circuit_breaker
    def echo() -> Generator[str, str, None]:
        try:
            while True:
                seen.append((yield "item"))
        except LookupError as error:
            seen.append(error)
            yield "caught"

    stream = echo()
    next(stream)
    assert stream.send("hello") == "item"
    thrown = LookupError()
    assert stream.throw(thrown) == "caught"
    assert seen == ["hello", thrown]


def test_it_is_retried_before_the_first_item_only() -> None:
    tries: list[int] = []

    @seawall.retry(max_attempts=3, base_delay="1s", jitter="none")
    def numbers() -> Iterator[int]:
        tries.append(seawall.current().attempt)
        if len(tries) == 1:
            raise ConnectionError("before")
        yield 1
        raise ConnectionError("after")

    with seawall.testing.clock() as clock:
        stream = numbers()
        assert next(stream) == 1
        assert clock.sleeps == [1.0]
        with pytest.raises(ConnectionError, match="after") as caught:
            next(stream)
    assert tries == [1, 2]
    found = seawall.failure(caught.value)
    assert found is not None
    assert str(found.reason) == "stream_broken"


def test_a_break_after_an_item_is_a_failure_and_stopping_is_a_success() -> None:
    policy = breaker()

    @policy
    def numbers(broken: bool) -> Generator[int, None, None]:
        yield 1
        if broken:
            raise ConnectionError
        yield 2

    with pytest.raises(ConnectionError):
        list(numbers(True))
    assert policy.breaker.counts.failures == 1
    stream = numbers(False)
    next(stream)
    stream.close()
    assert policy.breaker.counts.total == 2
    assert policy.breaker.counts.failures == 1
    assert policy.breaker.counts.consecutive_failures == 0


def test_an_abandoned_generator_is_closed_and_gives_its_slot_back() -> None:
    closed: Closed = []

    @seawall.bulkhead(max_concurrent=1)
    def numbers() -> Iterator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.append("closed")

    stream = numbers()
    next(stream)
    with pytest.raises(seawall.BulkheadFullError):
        next(numbers())
    del stream
    gc.collect()
    assert closed == ["closed"]
    assert list(numbers()) == [1, 2]


def test_an_error_of_the_cleanup_reaches_whoever_closes() -> None:
    @seawall.circuit_breaker
    def numbers() -> Generator[int, None, None]:
        try:
            yield 1
        finally:
            raise OSError("cleanup")

    stream = numbers()
    next(stream)
    with pytest.raises(OSError, match="cleanup"):
        stream.close()


def test_a_fallback_gives_a_stream_in_its_place() -> None:
    def broken(count: int) -> Iterator[int]:
        raise ConnectionError
        yield count

    def instead(count: int) -> Iterator[int]:
        assert isinstance(seawall.current().error, ConnectionError)
        yield from range(count)

    assert list(seawall.fallback(instead)(broken)(2)) == [0, 1]
    assert list(seawall.fallback([7, 8])(broken)(2)) == [7, 8]
    with pytest.raises(ConnectionError) as caught:
        list(seawall.fallback(5)(broken)(2))  # type: ignore[arg-type]
    assert isinstance(caught.value.__context__, seawall.ConfigError)


def test_the_callee_keeps_its_own_context_between_items() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="consumer")

    @seawall.retry(max_attempts=2)
    def numbers() -> Iterator[tuple[int, str]]:
        variable.set("callee")
        for _ in range(2):
            yield seawall.current().attempt, variable.get()

    for item in numbers():
        assert item == (1, "callee")
        assert variable.get() == "consumer"
        assert seawall.current().attempt == 0


def test_a_thread_of_its_own_closes_a_stream_that_is_walked_away_from() -> None:
    closed = threading.Event()
    threads: list[str] = []

    @seawall.timeout(attempt="1s", thread=True)
    def numbers() -> Generator[int, None, None]:
        threads.append(threading.current_thread().name)
        try:
            yield 1
            yield 2
        finally:
            closed.set()

    assert list(numbers()) == [1, 2]
    assert threads != [threading.current_thread().name]
    closed.clear()
    stream = numbers()
    next(stream)
    stream.close()
    assert closed.wait(10)


def test_switched_off_it_is_the_bare_generator() -> None:
    policy = breaker()

    @policy
    def numbers() -> Iterator[int]:
        yield 1

    with seawall.testing.disabled():
        assert list(numbers()) == [1]
    assert policy.breaker.counts.total == 0


# Async generators.


def run(main: Any) -> None:
    with seawall.testing.clock() as clock:
        asyncio.run(main(clock))


def test_an_async_generator_stays_one_and_is_closed_by_its_consumer() -> None:
    closed: Closed = []

    @seawall.retry(max_attempts=2)
    async def numbers() -> AsyncGenerator[int, None]:
        try:
            for number in range(3):
                await asyncio.sleep(0)
                yield number
        finally:
            await asyncio.sleep(0)
            closed.append("closed")

    async def main(clock: seawall.testing.Clock) -> None:
        assert [number async for number in numbers()] == [0, 1, 2]
        stream = numbers()
        assert await stream.__anext__() == 0
        await stream.aclose()
        assert closed == ["closed", "closed"]
        stream = numbers()
        await stream.__anext__()
        del stream
        gc.collect()
        await clock.aadvance("1ms")
        assert closed == ["closed"] * 3
        assert asyncio.all_tasks() == {asyncio.current_task()}

    assert inspect.isasyncgenfunction(numbers)
    run(main)


def test_the_idle_limit_cuts_between_items_and_the_consumers_time_is_free() -> None:
    cleaned: Closed = []
    policy = seawall.policy(None, seawall.circuit_breaker(), seawall.timeout(attempt="1s", idle="2s"))

    @policy
    async def numbers() -> AsyncIterator[int]:
        yield 1
        yield 2
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append("cleaned")

    async def main(clock: seawall.testing.Clock) -> None:
        stream = numbers()
        await stream.__anext__()
        await clock.aadvance("1h")
        await stream.__anext__()
        waiting = asyncio.ensure_future(stream.__anext__())
        await clock.aadvance("1900ms")
        assert not waiting.done()
        await clock.aadvance("100ms")
        with pytest.raises(seawall.TimeoutExceededError) as caught:
            await waiting
        assert str(caught.value.code) == "timeout.idle"
        assert cleaned == ["cleaned"]
        assert policy.breaker.counts.failures == 1

    run(main)


def test_the_attempt_limit_holds_until_the_first_item() -> None:
    tries: list[int] = []

    @seawall.policy(None, seawall.retry(max_attempts=2), seawall.timeout(attempt="1s"))
    async def numbers() -> AsyncIterator[int]:
        tries.append(1)
        if len(tries) == 1:
            await asyncio.Event().wait()
        yield 1

    async def main(clock: seawall.testing.Clock) -> None:
        first = asyncio.ensure_future(numbers().__anext__())
        await clock.aadvance("2s")
        assert await first == 1
        assert tries == [1, 1]

    run(main)


def test_a_cancelled_consumer_is_cancelled_and_the_callee_has_cleaned_up() -> None:
    cleaned: Closed = []
    policy = breaker()

    @policy
    async def numbers() -> AsyncIterator[int]:
        try:
            await asyncio.Event().wait()
            yield 1
        finally:
            await asyncio.sleep(0)
            cleaned.append("cleaned")

    async def main(clock: seawall.testing.Clock) -> None:
        async def consume() -> None:
            async for _ in numbers():
                raise AssertionError

        task = asyncio.create_task(consume())
        await clock.aadvance("1s")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert cleaned == ["cleaned"]
        assert policy.breaker.counts.total == 0

    run(main)


def test_what_is_sent_to_an_async_generator_reaches_the_callee() -> None:
    @seawall.circuit_breaker
    async def echo() -> AsyncGenerator[str, str]:
        given = "first"
        while True:
            try:
                given = yield given
            except LookupError:
                given = "caught"

    async def main(clock: seawall.testing.Clock) -> None:
        stream = echo()
        assert await stream.__anext__() == "first"
        assert await stream.asend("second") == "second"
        assert await stream.athrow(LookupError()) == "caught"
        await stream.aclose()

    run(main)


def test_an_async_fallback_gives_a_stream_in_its_place() -> None:
    async def broken() -> AsyncIterator[int]:
        raise ConnectionError
        yield 1

    async def instead() -> AsyncIterator[int]:
        yield 7

    async def main(clock: seawall.testing.Clock) -> None:
        assert [item async for item in seawall.fallback(instead)(broken)()] == [7]
        assert [item async for item in seawall.fallback([8, 9])(broken)()] == [8, 9]

    run(main)
