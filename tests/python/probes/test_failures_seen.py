"""The wrapper returns before the callee has run: failures of async functions, generators and async generators are never counted, or items come twice."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import seawall
from crowd import Down, afail, fail
from seawall import testing


def breaker() -> Any:
    return seawall.circuit_breaker(consecutive_failures=2, break_duration="1m")


def test_those_of_async_functions() -> None:
    guard = breaker()
    call = guard(afail)
    assert inspect.iscoroutinefunction(call)

    async def main() -> None:
        for _ in range(2):
            with pytest.raises(Down):
                await call()
        with pytest.raises(seawall.CircuitOpenError):
            await call()

    asyncio.run(main())
    assert guard.breaker.counts.rejected == 1


def test_those_of_generators_while_they_are_iterated() -> None:
    guard = breaker()

    @guard
    def items() -> Iterator[int]:
        yield 1
        raise Down

    for _ in range(2):
        with pytest.raises(Down):
            list(items())
    with pytest.raises(seawall.CircuitOpenError):
        next(iter(items()))


def test_those_of_async_generators() -> None:
    guard = breaker()

    @guard
    async def items() -> AsyncIterator[int]:
        yield 1
        raise Down

    async def main() -> None:
        for _ in range(2):
            with pytest.raises(Down):
                [item async for item in items()]
        with pytest.raises(seawall.CircuitOpenError):
            [item async for item in items()]

    asyncio.run(main())


def test_no_item_comes_twice_and_none_is_held_back() -> None:
    seen, made = [], []

    @seawall.retry(max_attempts=3, base_delay="1ms", retry_budget=None)
    def items() -> Iterator[int]:
        attempt = seawall.current().attempt
        made.append(attempt)
        if attempt == 1:
            raise Down
        for n in (1, 2):
            made.append(f"item {n}")
            yield n
        raise Down

    with testing.clock(), pytest.raises(Down):
        for item in items():
            seen.append(item)
            made.append(f"seen {item}")
    assert seen == [1, 2]
    assert made == [1, 2, "item 1", "seen 1", "item 2", "seen 2"]


def test_the_call_that_trips_raises_the_callees_own_error() -> None:
    guard = breaker()
    for _ in range(2):
        with pytest.raises(Down) as caught:
            guard.call(fail)
        assert type(caught.value) is Down
    with pytest.raises(seawall.CircuitOpenError) as rejected:
        guard.call(fail)
    assert rejected.value.retry_after is not None


@pytest.mark.parametrize("way", ["callable object", "partial", "method"])
def test_those_of_what_only_resembles_a_generator_function(way: str) -> None:


    class Source:
        def __call__(self) -> Iterator[int]:
            yield 1
            raise Down

        def items(self) -> Iterator[int]:
            yield 1
            raise Down

    guard = breaker()
    made: Any = {
        "callable object": Source(),
        "partial": functools.partial(Source.items, Source()),
        "method": Source().items,
    }[way]
    call = guard(made)
    for _ in range(2):
        with pytest.raises(Down):
            list(call())
    with pytest.raises(seawall.CircuitOpenError):
        list(call())
