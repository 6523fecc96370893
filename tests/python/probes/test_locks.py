"""The library holds a lock while the callee runs, so that one slow call makes all others wait; or it takes none where it must, and loses outcomes."""

from __future__ import annotations

import threading

import pytest
import seawall
from crowd import PATIENCE, Down, threads

PARTS = {
    "breaker": lambda: seawall.circuit_breaker(),
    "window": lambda: seawall.circuit_breaker(window_size=100, failure_ratio=0.5),
    "bulkhead": lambda: seawall.bulkhead(max_concurrent=8),
    "rate limit": lambda: seawall.rate_limit(rate="1000/s"),
    "stack": lambda: seawall.policy(None, seawall.retry(), seawall.circuit_breaker(), seawall.bulkhead(max_concurrent=8)),
    "thread": lambda: seawall.timeout(attempt="1m", thread=True),
}


@pytest.mark.parametrize("name", PARTS)
def test_calls_are_inside_at_the_same_time(name: str) -> None:
    meeting = threading.Barrier(8)

    @PARTS[name]()
    def call(n: int) -> int:
        # Passes only if all of them are in here.
        meeting.wait(PATIENCE)
        return n

    assert threads(8, call) == list(range(8))


def test_no_outcome_is_lost() -> None:
    guard = seawall.circuit_breaker(window_size=10_000, minimum_throughput=10_000)

    @guard
    def call(fails: bool) -> None:
        if fails:
            raise Down

    def work(n: int) -> None:
        for turn in range(500):
            try:
                call(turn % 2 == 0)
            except Down:
                continue

    assert threads(8, work) == [None] * 8
    assert (guard.breaker.counts.total, guard.breaker.counts.failures) == (4000, 2000)


def test_a_bulkhead_never_holds_more_than_it_may() -> None:
    guard = seawall.bulkhead(max_concurrent=3)
    lock, inside, most = threading.Lock(), 0, 0

    @guard
    def call() -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        with lock:
            inside -= 1

    def work(n: int) -> None:
        for _ in range(300):
            try:
                call()
            except seawall.BulkheadFullError:
                continue

    assert threads(8, work) == [None] * 8
    assert 1 <= most <= 3 and inside == 0
    assert [guard.call(int) for _ in range(3)] == [0, 0, 0], "every slot came back"
