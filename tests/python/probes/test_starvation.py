"""A few stuck calls take up a shared pool, and the next call times out without its body having run."""

from __future__ import annotations

import threading

import pytest
import seawall
from crowd import PATIENCE, threads


def test_a_call_runs_whatever_others_hang() -> None:
    go = threading.Event()
    guard = seawall.timeout(attempt="20ms", thread=True)
    ran = []

    def stuck() -> None:
        go.wait(PATIENCE)

    def quick() -> str:
        ran.append(1)
        return "ran"

    try:
        for _ in range(40):
            with pytest.raises(seawall.TimeoutExceededError):
                guard.call(stuck)
        assert seawall.timeout(attempt="30s", thread=True).call(quick) == "ran"
        assert ran == [1]
    finally:
        go.set()


def test_calls_that_are_still_waited_for_hold_up_nobody() -> None:
    go = threading.Event()
    guard = seawall.timeout(attempt="30s", thread=True)
    inside = threading.Semaphore(0)

    def hold() -> None:
        inside.release()
        assert go.wait(PATIENCE)

    def work(n: int) -> object:
        if n:
            return guard.call(hold)
        for _ in range(30):
            assert inside.acquire(timeout=PATIENCE)
        found = guard.call(lambda: "ran")
        go.set()
        return found

    assert threads(31, work) == ["ran", *[None] * 30]


def test_the_first_in_the_queue_is_the_next_inside() -> None:
    guard = seawall.bulkhead(max_concurrent=1, max_queue=20)
    order: list[int] = []
    entered, go = threading.Event(), threading.Event()

    @guard
    def call(n: int) -> None:
        order.append(n)
        if n == 0:
            entered.set()
            assert go.wait(PATIENCE)

    crowd = [threading.Thread(target=call, args=(n,)) for n in range(6)]
    crowd[0].start()
    assert entered.wait(PATIENCE)
    pause = threading.Event()
    for n, each in enumerate(crowd[1:], 1):
        each.start()
        # The next one comes once this one is queued.
        for _ in range(3000):
            if guard.snapshot()["limits"]["queued"] == n:
                break
            pause.wait(0.01)
        else:
            pytest.fail("it was never queued")
    go.set()
    for each in crowd:
        each.join(PATIENCE)
    assert order == list(range(6))
