"""The fast path: what it keeps of a function, when it steps aside, and that nothing is lost or held where it does."""

from __future__ import annotations

import copy
import functools
import gc
import inspect
import logging
import pickle
import subprocess
import sys
import threading
import tracemalloc
import typing
import weakref
from collections.abc import Generator
from pathlib import Path
from typing import Any

import fast_path
import pytest
import seawall
from fast_path import quick
from seawall import _fast, testing

pytestmark = fast_path.NEEDED


@seawall.circuit_breaker
def double(x: int, *, by: int = 2) -> int:
    """Doubles."""
    return x * by


class Till:
    @seawall.retry(max_attempts=3)
    def charge(self, amount: int, tip: int = 0) -> tuple[Till, int]:
        return self, amount + tip

    @classmethod
    @seawall.bulkhead(max_concurrent=2)
    def name(cls) -> str:
        return cls.__name__


def test_every_way_to_call_takes_it() -> None:
    before = quick(double)
    assert [double(2), double(2, by=3), double(x=1), double(*[4]), double(**{"x": 5, "by": 1})] == [4, 6, 2, 8, 5]
    assert double.__call__(3) == 6
    assert quick(double) - before == 5, "an explicit __call__ is the driver's"


def test_a_function_keeps_all_that_tools_look_at() -> None:
    assert (double.__name__, double.__doc__, double.__module__) == ("double", "Doubles.", __name__)
    assert str(inspect.signature(double)) == "(x: 'int', *, by: 'int' = 2) -> 'int'"
    assert typing.get_type_hints(double) == {"x": int, "by": int, "return": int}
    assert inspect.unwrap(double).__name__ == "double" and inspect.isroutine(double) and callable(double)
    assert repr(double).startswith("<guarded <function double")
    double.note = "mine"  # type: ignore[attr-defined]
    assert vars(double)["note"] == "mine"


def test_it_is_pickled_and_copied_by_name_and_can_be_referred_to_weakly() -> None:
    assert pickle.loads(pickle.dumps(double)) is double
    assert pickle.loads(pickle.dumps(Till.charge)) is Till.charge
    assert copy.copy(double) is double and copy.deepcopy([double])[0] is double
    assert weakref.ref(double)() is double
    with pytest.raises(TypeError):
        type(double)()


def test_methods_bind() -> None:
    till = Till()
    assert till.charge(1) == (till, 1)
    bound = till.charge
    assert inspect.ismethod(bound) and bound(2, tip=3) == (till, 5)
    assert Till.charge(till, 4) == (till, 4)
    assert Till.name() == "Till"
    assert functools.partial(till.charge, 7)() == (till, 7)
    assert quick(Till.charge) == 4


def test_what_is_raised_goes_on_in_the_driver() -> None:
    events: list[dict[str, Any]] = []
    failing = iter([ValueError("a"), KeyError("b"), None])

    @seawall.retry(max_attempts=3, base_delay=0.001)
    def flaky(x: int) -> int:
        error = next(failing)
        if error is not None:
            raise error
        return x + seawall.current().attempt

    unsubscribe = seawall.on_event(events.append)
    with testing.clock() as clock:
        assert flaky(10) == 13
        assert len(clock.sleeps) == 2
    unsubscribe()
    assert [event["event"] for event in events] == ["retry.scheduled", "retry.scheduled"] or len(events) >= 2


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interrupt_is_no_failure_and_frees_what_was_held(kind: type[BaseException]) -> None:
    @seawall.policy(None, seawall.circuit_breaker(consecutive_failures=1), seawall.bulkhead(max_concurrent=1))
    def stop(do: bool) -> str:
        if do:
            raise kind
        return "done"

    for _ in range(3):
        with pytest.raises(kind):
            stop(True)
    assert stop(False) == "done" and stop.policy.breaker.state == "closed"  # type: ignore[attr-defined]


def test_both_ways_make_the_same_errors() -> None:
    def story() -> list[object]:
        found: list[object] = []
        with testing.clock(seed=7):

            @seawall.circuit_breaker(consecutive_failures=2)
            def down(x: int) -> None:
                raise ConnectionError("down")

            for n in range(6):
                with pytest.raises(Exception) as caught:
                    down(n)
                error = caught.value
                failure = seawall.failure(error)
                assert failure is not None and failure.correlation_id
                found.append((type(error), str(error), getattr(error, "retry_after", None), getattr(error, "policy", None)))
                found.append((failure.attempts, failure.reason, failure.policy, failure.key, failure.letter_id, failure.injected))
                if isinstance(error, seawall.SeawallError):
                    found.append((error.code, error.key, error.__cause__, error.__context__))
                    assert pickle.loads(pickle.dumps(error)).code == error.code
            found.append(down.policy.breaker.counts)  # type: ignore[attr-defined]
        return found

    quickly = story()
    before = _fast.set_on(False)
    try:
        assert story() == quickly
    finally:
        _fast.set_on(before)


def test_a_repeated_refusal_is_quick_and_a_loud_one_is_told() -> None:
    told: list[str] = []
    with testing.clock() as clock:

        @seawall.circuit_breaker(consecutive_failures=1, break_duration="1h")
        def down() -> None:
            raise ConnectionError

        def call() -> None:
            with pytest.raises((ConnectionError, seawall.CircuitOpenError)):
                down()

        for _ in range(5):
            call()
        assert quick(down) == 3, "the first refusal is told loudly, by the driver"
        unsubscribe = seawall.on_event(lambda event: told.append(event["severity"]))
        call()
        unsubscribe()
        assert told == ["debug"] and quick(down) == 3
        clock.advance("2s")
        unsubscribe = seawall.on_event(lambda event: told.append(event["repeats"]))
        call()
        unsubscribe()
        assert told[1] == 4, "refusals on the fast path are among the repeats"


def test_a_quick_refusal_has_the_id_of_its_context_or_one_of_its_own() -> None:
    with testing.clock():

        @seawall.circuit_breaker(consecutive_failures=1, break_duration="1h")
        def down() -> None:
            raise ConnectionError

        @seawall.bulkhead(max_concurrent=1)
        def around() -> tuple[str | None, str | None]:
            return refused().correlation_id, seawall.correlation_id()

        def refused() -> seawall.CircuitOpenError:
            with pytest.raises(seawall.CircuitOpenError) as caught:
                down()
            return caught.value

        with pytest.raises(ConnectionError):
            down()
        refused()
        first, second = refused(), refused()
        assert first.correlation_id == first.correlation_id != second.correlation_id
        failure = seawall.failure(first)
        assert failure is not None and failure.correlation_id == first.correlation_id
        third = refused()
        assert pickle.loads(pickle.dumps(third)).correlation_id == third.correlation_id
        with seawall.correlate("order-7"):
            assert refused().correlation_id == "order-7"
        inside, outside = around()
        assert inside == outside is not None
        assert quick(down) == 5


def test_letters_of_a_call_inside_are_recovered_by_the_retry_around_it() -> None:
    with testing.clock():
        queue = seawall.DeadLetterQueue("fast-inner", store="memory:")
        queue.purge(all=True)

        @seawall.policy("fast-inner", seawall.dead_letter(store="memory:"))
        def inner() -> None:
            raise ConnectionError("down")

        @seawall.retry(max_attempts=2)
        def outer() -> str:
            try:
                inner()
            except ConnectionError:
                return "caught"
            return "passed"

        assert outer() == "caught" and quick(outer) == 0, "the driver recovers"
        assert [letter.state for letter in queue.peek(10)] == []


def test_an_awaitable_is_refused_and_its_coroutine_closed() -> None:
    async def later() -> int:
        return 1

    @seawall.policy(None, seawall.bulkhead(max_concurrent=1))
    def give(what: Any) -> Any:
        return what() if callable(what) else what

    with pytest.raises(seawall.ConfigError, match="awaitable"):
        give(later)

    def numbers() -> Generator[int, None, None]:
        yield 1

    assert list(give(numbers)) == [1]
    assert give(iter([1, 2])) is not None and give(b"x") == b"x" and give(1.5) == 1.5


def test_changes_make_it_look_again(tmp_path: Path) -> None:
    policy = seawall.policy("fast-reload", seawall.circuit_breaker(consecutive_failures=5))

    @policy
    def call() -> int:
        return 1

    call()
    policy.set_mode("disabled", reason="test")
    call()
    policy.set_mode("enforce", reason="test")
    path = tmp_path / "seawall.json"
    path.write_text('{"policy": {"fast-reload": {"circuit_breaker": {"consecutive_failures": 1}}}}')
    seawall.load(path)
    call()
    with testing.disabled():
        call()
    assert quick(call) >= 1
    policy.breaker.isolate(reason="test")
    with pytest.raises(seawall.CircuitOpenError) as caught:
        call()
    assert caught.value.code == "circuit.isolated"


def test_a_policy_changed_by_its_own_call_loses_nothing(tmp_path: Path) -> None:
    policy = seawall.policy("fast-inside", seawall.bulkhead(max_concurrent=1))
    path = tmp_path / "seawall.json"

    @policy
    def call(limit: int) -> int:
        path.write_text(f'{{"policy": {{"fast-inside": {{"bulkhead": {{"max_concurrent": {limit}}}}}}}}}')
        seawall.load(path)
        return limit

    assert [call(2), call(1), call(3), call(1), call(1)] == [2, 1, 3, 1, 1]
    assert policy.snapshot() is not None


def test_recursion_ends_as_ever() -> None:
    @seawall.circuit_breaker(consecutive_failures=100)
    def count(n: int) -> int:
        return 0 if n == 0 else 1 + count(n - 1)

    assert count(100) == 100

    @seawall.circuit_breaker(consecutive_failures=10_000)
    def forever() -> None:
        forever()

    with pytest.raises(RecursionError):
        forever()
    assert count(3) == 3


def test_threads_share_a_policy_without_losing_a_call() -> None:
    policy = seawall.policy(None, seawall.circuit_breaker(failure_ratio=1.0, window_size=100), seawall.bulkhead(max_concurrent=64))

    @policy
    def work(n: int) -> int:
        if n % 50 == 0:
            raise ConnectionError
        return n

    rejected = [0] * 8

    def many(thread: int) -> None:
        for n in range(2_000):
            try:
                work(n)
            except ConnectionError:
                rejected[thread] += 1

    threads = [threading.Thread(target=many, args=(thread,)) for thread in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert rejected == [40] * 8 and quick(work) == 8 * 1_960


def test_it_is_collected_with_its_cycles() -> None:
    def make() -> weakref.ref[Any]:
        @seawall.circuit_breaker
        def loop() -> Any:
            return loop

        loop.itself = loop  # type: ignore[attr-defined]
        assert loop() is loop
        return weakref.ref(loop)

    found = make()
    gc.collect()
    assert found() is None


def test_no_call_keeps_or_loses_a_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    # pytest's log capture would keep the records.
    monkeypatch.setattr(logging.getLogger("seawall"), "disabled", True)
    marker, error = object(), ValueError("x")

    @seawall.policy(None, seawall.circuit_breaker(consecutive_failures=10**6), seawall.fallback(None))
    def give(value: Any, *, other: Any = None) -> Any:
        if other is error:
            raise error
        seawall.current()
        return value

    def play(times: int) -> None:
        for _ in range(times):
            give(marker)
            give(marker, other=marker)
        for _ in range(times // 10):
            give(marker, other=error)
        error.__traceback__ = error.__context__ = None

    play(200)
    gc.collect()
    held = [sys.getrefcount(each) for each in (marker, give, give.__wrapped__, type(give))]  # type: ignore[attr-defined]
    tracemalloc.start()
    play(200)
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    play(5_000)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert [sys.getrefcount(each) for each in (marker, give, give.__wrapped__, type(give))] == held  # type: ignore[attr-defined]
    assert grown < 20_000


def test_a_call_that_passes_allocates_nothing() -> None:
    def nothing() -> None:
        return None

    guarded = seawall.policy(
        None, seawall.retry(max_attempts=3), seawall.circuit_breaker(consecutive_failures=5), seawall.bulkhead(max_concurrent=4)
    )(nothing)
    [guarded() for _ in range(100)]
    tracemalloc.start()
    try:
        tracemalloc.clear_traces()
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        guarded()
        peak = tracemalloc.get_traced_memory()[1] - before
        tracemalloc.reset_peak()
        nothing()
        bare = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert peak <= bare + 64


def test_greenlets_turn_it_off() -> None:
    program = (
        "import sys, types, seawall\n"
        "@seawall.circuit_breaker\n"
        "def f(): return 1\n"
        "f(); sys.modules['greenlet'] = types.ModuleType('greenlet'); f(); f()\n"
        "print(f.policy._written.plan(None).native.quick_calls())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


def test_the_environment_turns_it_off() -> None:
    program = "import seawall\n@seawall.retry\ndef f(): return 1\nprint(type(f).__name__, f())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"SEAWALL_FAST": "0"})
    assert done.stdout.split() == ["function", "1"]
