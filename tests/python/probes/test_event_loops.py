"""State is bound to the event loop that saw it first, so the second loop, or a thread, hangs or raises; a raising listener hits the call."""

from __future__ import annotations

import asyncio

import pytest
import seawall
from crowd import Down, tasks, threads
from seawall import testing

PARTS = {
    "breaker": lambda: seawall.circuit_breaker(),
    "queue": lambda: seawall.bulkhead(max_concurrent=1, max_queue=50),
    "rate": lambda: seawall.rate_limit(rate="1000/s", burst=1, max_wait="10s"),
    "timeout": lambda: seawall.timeout(attempt="30s", total="1m"),
    "stack": lambda: seawall.policy(
        None, seawall.retry(), seawall.circuit_breaker(), seawall.bulkhead(max_concurrent=2, max_queue=50), seawall.timeout(attempt="30s")
    ),
}


@pytest.mark.parametrize("name", PARTS)
def test_one_function_on_two_loops_in_turn(name: str) -> None:
    @PARTS[name]()
    async def call(n: int) -> int:
        await asyncio.sleep(0)
        return n

    for _ in range(2):
        # Twenty at once, so that something has to wait.
        assert asyncio.run(tasks(20, call)) == list(range(20))


@pytest.mark.parametrize("name", PARTS)
def test_one_function_on_four_loops_at_once(name: str) -> None:
    @PARTS[name]()
    async def call(n: int) -> int:
        await asyncio.sleep(0)
        return n

    assert threads(4, lambda _: asyncio.run(tasks(10, call))) == [list(range(10))] * 4


def test_a_loop_that_was_closed_in_mid_call_takes_no_slot_along() -> None:
    guard = seawall.bulkhead(max_concurrent=1)

    @guard
    async def hang() -> None:
        await asyncio.Event().wait()

    async def leave() -> None:
        task = asyncio.ensure_future(hang())
        await asyncio.sleep(0)
        assert not task.done()

    asyncio.run(leave())
    assert guard.call(lambda: "free") == "free"


def test_a_listener_that_raises_hurts_no_call(caplog: pytest.LogCaptureFixture) -> None:
    def hook(event: object) -> None:
        raise RuntimeError("the listener is broken")

    unsubscribe = seawall.on_event(hook)
    try:
        with testing.clock():
            guard = seawall.policy(None, seawall.retry(max_attempts=2, base_delay="1ms"), seawall.circuit_breaker(consecutive_failures=2))

            def fail() -> None:
                raise Down

            with pytest.raises(Down):
                guard.call(fail)
            with pytest.raises(seawall.CircuitOpenError):
                guard.call(fail)
    finally:
        unsubscribe()
    assert sum("a hook raised" in record.message for record in caplog.records) == 1
