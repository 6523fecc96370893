"""Ordinary functions: threads that are walked away from, queues, Ctrl-C."""

from __future__ import annotations

import ctypes
import threading

import pytest
import seawall


def test_thread_walks_away_and_the_slot_stays_taken_until_the_work_ends() -> None:
    entered, release = threading.Event(), threading.Event()

    def stuck() -> str:
        entered.set()
        release.wait(30)
        return "late"

    guard = seawall.policy(
        "walks", seawall.bulkhead(max_concurrent=1), seawall.timeout(attempt="50ms", thread=True)
    )
    with pytest.raises(seawall.TimeoutExceededError) as caught:
        guard.call(stuck)
    assert caught.value.code == "timeout.attempt" and entered.wait(30)
    with pytest.raises(seawall.BulkheadFullError):
        guard.call(lambda: "never")
    release.set()
    pause = threading.Event()
    for _ in range(3000):
        try:
            assert guard.call(lambda: "free") == "free"
            break
        except seawall.BulkheadFullError:
            pause.wait(0.01)
    else:
        pytest.fail("the slot was never given back")


def test_without_a_thread_a_late_value_is_delivered_and_counts_as_a_failure(events: list[dict[str, object]]) -> None:
    guard = seawall.policy("late", seawall.circuit_breaker(), seawall.timeout(attempt="1s"))
    with seawall.testing.clock() as clock:
        assert guard.call(lambda: clock.advance("2s") or "late") == "late"
        assert guard.breaker.counts.failures == 1
    assert [event["event"] for event in events] == ["attempt.failed", "timeout.late"]


def test_queued_calls_run_one_after_another() -> None:
    guard = seawall.bulkhead(max_concurrent=1, max_queue=20)
    inside, most = 0, 0
    lock = threading.Lock()

    def work(n: int) -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        with lock:
            inside -= 1
        done.append(n)

    done: list[int] = []
    threads = [threading.Thread(target=guard.call, args=(work, n)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (sorted(done), most) == (list(range(20)), 1)


def test_many_threads_lose_no_outcome() -> None:
    guard = seawall.policy("counted", seawall.circuit_breaker(window_size=10_000, minimum_throughput=10_000))

    def work() -> None:
        for n in range(250):
            try:
                guard.call(fails if n % 5 == 0 else int)
            except ConnectionError:
                pass

    def fails() -> None:
        raise ConnectionError

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (guard.breaker.counts.total, guard.breaker.counts.failures) == (2000, 400)


def test_an_interrupt_in_a_queue_leaves_it_and_is_not_swallowed() -> None:
    guard = seawall.bulkhead(max_concurrent=1, max_queue=1)
    entered, release, queued = threading.Event(), threading.Event(), threading.Event()
    unsubscribe = seawall.on_event(lambda event: queued.set() if event["event"] == "bulkhead.queued" else None)
    ends: list[str] = []

    def holds() -> None:
        entered.set()
        release.wait(30)

    def waits() -> None:
        try:
            guard.call(lambda: ends.append("ran"))
        except KeyboardInterrupt:
            ends.append("interrupted")

    holder, waiter = threading.Thread(target=guard.call, args=(holds,)), threading.Thread(target=waits)
    holder.start()
    assert entered.wait(30)
    waiter.start()
    assert queued.wait(30)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(waiter.ident or 0), ctypes.py_object(KeyboardInterrupt))
    waiter.join(30)
    unsubscribe()
    release.set()
    holder.join(30)
    assert ends == ["interrupted"]
    assert guard.call(lambda: "free") == "free"


def test_an_interrupt_in_the_function_is_neutral_and_not_retried() -> None:
    calls: list[int] = []

    def stops() -> None:
        calls.append(1)
        raise KeyboardInterrupt

    guard = seawall.policy("stops", seawall.fallback("no"), seawall.retry(), seawall.circuit_breaker())
    with pytest.raises(KeyboardInterrupt):
        guard.call(stops)
    assert (len(calls), guard.breaker.counts.total) == (1, 0)


def test_at_most_so_many_threads_are_abandoned() -> None:
    release = threading.Event()
    guard = seawall.timeout(attempt="1ms", thread=True)
    refused = None
    try:
        for _ in range(65):
            try:
                guard.call(release.wait, 60)
            except seawall.TimeoutExceededError:
                continue
            except seawall.BulkheadFullError as error:
                refused = error
                break
    finally:
        release.set()
        # They count for the whole process, so the next test starts when the last one has ended.
        for thread in threading.enumerate():
            if thread.name.startswith("seawall-"):
                thread.join(30)
    assert refused is not None and refused.code == "bulkhead.full"


def test_advancing_wakes_calls_in_other_threads() -> None:
    entered = threading.Event()
    release = threading.Event()

    def stuck() -> None:
        entered.set()
        release.wait(30)

    ends: list[object] = []

    def call() -> None:
        try:
            seawall.timeout(attempt="5s", thread=True).call(stuck)
        except seawall.TimeoutExceededError as error:
            ends.append(error.code)

    with seawall.testing.clock() as clock:
        thread = threading.Thread(target=call)
        thread.start()
        assert entered.wait(30)
        clock.advance("4999ms")
        assert ends == []
        clock.advance("1ms")
        thread.join(30)
        release.set()
        assert ends == ["timeout.attempt"]
        assert clock.now == 5.0


def test_without_auto_advance_a_wait_lasts_until_the_clock_moves() -> None:
    asked = threading.Event()
    unsubscribe = seawall.on_event(lambda event: asked.set() if event["event"] == "retry.scheduled" else None)
    calls: list[float] = []

    with seawall.testing.clock(auto_advance=False) as clock:

        def fails_once() -> str:
            calls.append(clock.now)
            if len(calls) == 1:
                raise ConnectionError
            return "ok"

        ends: list[str] = []
        guard = seawall.retry(base_delay="1s", jitter="none")
        thread = threading.Thread(target=lambda: ends.append(guard.call(fails_once)))
        thread.start()
        assert asked.wait(30)
        while not clock.sleeps:
            asked.wait(0.001)
        clock.advance("1s")
        thread.join(30)
    unsubscribe()
    assert (ends, calls) == (["ok"], [0.0, 1.0])
