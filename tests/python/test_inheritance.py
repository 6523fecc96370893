"""What a call takes over from its policy and from the calls around it."""

from __future__ import annotations

import threading

import pytest

import seawall


def test_retry_inherits_on_and_the_fallback_still_answers_every_error() -> None:
    calls = 0
    with seawall.testing.clock():

        @seawall.policy("inherits", seawall.fallback("cached"), seawall.retry(max_attempts=3), on=ConnectionError)
        def declined() -> str:
            nonlocal calls
            calls += 1
            raise LookupError("no funds")

        assert declined() == "cached"
        assert calls == 1, "an error that `on` does not name is not retried"


def test_ignore_is_inherited_by_the_circuit_breaker() -> None:
    with seawall.testing.clock():
        guard = seawall.policy("spares", seawall.circuit_breaker(consecutive_failures=1), ignore=LookupError)

        def declined() -> None:
            raise LookupError("no funds")

        for _ in range(3):
            with pytest.raises(LookupError):
                guard.call(declined)
        assert guard.breaker.state == "closed"


def test_a_call_never_queues_behind_a_slot_of_its_own_chain() -> None:
    with seawall.testing.clock():
        guard = seawall.bulkhead(max_concurrent=1, max_queue=5)
        other = seawall.bulkhead(max_concurrent=1, max_queue=5)

        def inner() -> str:
            return "done"

        def outer() -> str:
            assert other.call(inner) == "done"
            with pytest.raises(seawall.BulkheadFullError):
                guard.call(inner)
            return "survived"

        # In a thread of its own, so that a call that did queue fails the test and does not hold it.
        ends: list[str] = []
        thread = threading.Thread(target=lambda: ends.append(guard.call(outer)), daemon=True)
        thread.start()
        thread.join(30)
        assert ends == ["survived"]
        assert guard.call(inner) == "done"
