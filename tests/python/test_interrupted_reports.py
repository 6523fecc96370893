"""Interrupts that strike between the end of a function and the report of it: whoever waits for that report would wait for ever."""

from __future__ import annotations

from typing import Any

import pytest
import seawall
from seawall import _call, testing


def fail() -> None:
    raise ConnectionError


@pytest.mark.parametrize("is_fast", [False, True])
@pytest.mark.parametrize("place", ["on", "on_result", "retry_after"])
def test_an_interrupt_in_a_predicate_ends_the_call(place: str, is_fast: bool) -> None:
    def interrupt(*args: object) -> Any:
        raise KeyboardInterrupt

    guard = seawall.policy(None, seawall.retry(max_attempts=3, **{place: interrupt}), seawall.circuit_breaker(), seawall.bulkhead(max_concurrent=1))
    fn = int if place == "on_result" else fail
    call = guard(fn)
    with testing.clock():
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                call() if is_fast else guard.call(fn)
        assert guard.breaker.counts.failures == 0


@pytest.mark.parametrize("is_fast", [False, True])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_interrupt_around_the_report_of_an_end_ends_the_call(monkeypatch: pytest.MonkeyPatch, moment: str, is_fast: bool) -> None:
    guard = seawall.policy(None, seawall.retry(max_attempts=3, base_delay="1s"), seawall.bulkhead(max_concurrent=1))
    report = _call.Session.ended
    struck: list[int] = []

    def ended(self: _call.Session, *args: Any) -> Any:
        if moment == "after":
            ops = report(self, *args)
        if not struck:
            struck.append(1)
            raise KeyboardInterrupt
        return ops if moment == "after" else report(self, *args)

    call = guard(fail)
    with testing.clock() as clock:
        monkeypatch.setattr(_call.Session, "ended", ended)
        with pytest.raises(KeyboardInterrupt):
            call() if is_fast else guard.call(fail)
        assert clock.sleeps == []
        assert guard.call(int) == 0, "the slot came back"
