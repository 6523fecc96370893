"""The callee runs elsewhere, in a thread, a task or later, and has lost the context of its caller: its correlation id, its user, its trace."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar

import pytest
import seawall
from crowd import PATIENCE, Down, threads
from seawall import testing

user: ContextVar[str] = ContextVar("user", default="LOST")

POLICIES = {
    "plain": lambda: seawall.circuit_breaker(),
    "thread": lambda: seawall.timeout(attempt="1m", thread=True),
    "hedge": lambda: seawall.policy(None, seawall.hedge(delay="1m"), seawall.timeout(attempt="1m", thread=True)),
    "stack": lambda: seawall.policy(None, seawall.retry(), seawall.circuit_breaker(), seawall.bulkhead(max_queue=9), seawall.timeout(total="1m")),
}


@pytest.mark.parametrize("name", POLICIES)
def test_a_function_sees_it(name: str) -> None:
    @POLICIES[name]()
    def call() -> tuple[str, str | None]:
        return user.get(), seawall.current().correlation_id

    def work(n: int) -> tuple[str, str | None]:
        user.set(f"user {n}")
        with seawall.correlate(f"id-{n}"):
            return call()

    assert threads(4, work) == [(f"user {n}", f"id-{n}") for n in range(4)]


@pytest.mark.parametrize("name", ["plain", "stack"])
def test_a_task_sees_its_own(name: str) -> None:
    @POLICIES[name]()
    async def call() -> tuple[str, str | None]:
        await asyncio.sleep(0)
        return user.get(), seawall.current().correlation_id

    async def one(n: int) -> tuple[str, str | None]:
        user.set(f"user {n}")
        with seawall.correlate(f"id-{n}"):
            return await call()

    async def main() -> list[tuple[str, str | None]]:
        return await asyncio.gather(*map(one, range(20)))

    assert asyncio.run(main()) == [(f"user {n}", f"id-{n}") for n in range(20)]


def test_retries_and_fallbacks_see_it() -> None:
    seen = []

    def instead() -> str:
        return user.get()

    @seawall.policy(None, seawall.retry(max_attempts=3, base_delay="1s"), seawall.fallback(instead))
    def call() -> str:
        seen.append(user.get())
        raise Down

    with testing.clock():
        token = user.set("mine")
        try:
            assert call() == "mine"
        finally:
            user.reset(token)
    assert seen == ["mine"] * 3


def test_one_that_waited_in_a_queue_has_its_own_callers() -> None:
    guard = seawall.bulkhead(max_concurrent=1, max_queue=8)
    first, go = threading.Event(), threading.Event()

    @guard
    def call() -> str:
        if not first.is_set():
            first.set()
            assert go.wait(PATIENCE)
        return user.get()

    def work(n: int) -> str:
        user.set(f"user {n}")
        if n == 0:
            return call()
        assert first.wait(PATIENCE)
        if n == 4:
            go.set()
        return call()

    assert threads(5, work) == [f"user {n}" for n in range(5)]


def test_generators_see_it() -> None:
    guard = seawall.circuit_breaker()

    @guard
    def items() -> Iterator[str]:
        yield user.get()

    @guard
    async def async_items() -> AsyncIterator[str]:
        yield user.get()

    async def main() -> list[str]:
        return [item async for item in async_items()]

    token = user.set("mine")
    try:
        assert list(items()) == ["mine"]
        assert asyncio.run(main()) == ["mine"]
    finally:
        user.reset(token)


def test_what_an_ordinary_call_sets_stays_set_as_without_a_policy() -> None:
    @seawall.policy(None, seawall.retry(), seawall.circuit_breaker())
    def call() -> None:
        user.set("set inside")

    token = user.set("before")
    try:
        call()
        assert user.get() == "set inside"
    finally:
        user.reset(token)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="before Python 3.11 what can be cut has a task of its own")
def test_what_an_async_call_sets_stays_set_too() -> None:
    @seawall.circuit_breaker()
    async def call() -> None:
        user.set("set inside")

    async def main() -> str:
        await call()
        return user.get()

    assert asyncio.run(main()) == "set inside"
