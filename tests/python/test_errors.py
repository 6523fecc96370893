"""Errors: their tree, their fields, their notes, and that they survive a pickle."""

from __future__ import annotations

import asyncio
import pickle
import sys

import pytest
import seawall


def failing(error: Exception) -> None:
    raise error


def test_every_error_pickles_with_its_fields() -> None:
    kinds = [
        seawall.SeawallError,
        seawall.CircuitOpenError,
        seawall.BulkheadFullError,
        seawall.RateLimitedError,
        seawall.TimeoutExceededError,
        seawall.InjectedFaultError,
        seawall.StoreError,
    ]
    for kind in kinds:
        error = kind("no", policy="p", key="k", retry_after=1.5, correlation_id="c")
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is kind
        assert (again.args, again.code, again.policy, again.key) == (("no",), error.code, "p", "k")
        assert (again.retry_after, again.correlation_id) == (1.5, "c")
    config = pickle.loads(pickle.dumps(seawall.ConfigError("wrong", path="a.b")))
    assert (str(config), config.path) == ("a.b: wrong", "a.b")


def test_the_tree() -> None:
    assert issubclass(seawall.CircuitOpenError, seawall.RejectedError)
    assert issubclass(seawall.BulkheadFullError, seawall.RejectedError)
    assert issubclass(seawall.RateLimitedError, seawall.RejectedError)
    assert issubclass(seawall.TimeoutExceededError, TimeoutError)
    assert issubclass(seawall.TimeoutExceededError, asyncio.TimeoutError)
    assert issubclass(seawall.ConfigError, ValueError)
    assert seawall.RateLimitedError("no", retry_after=0.2).http_headers == {"retry-after": "1"}
    assert seawall.RateLimitedError("no").http_status == 429


def test_used_up_retries_raise_the_callees_own_error_with_one_note() -> None:
    own = ConnectionError("down")
    guard = seawall.policy("noted", seawall.retry(max_attempts=2, retry_budget=None))
    with seawall.testing.clock():
        for _ in range(2):
            with pytest.raises(ConnectionError) as caught:
                guard.call(failing, own)
            assert caught.value is own
        found = seawall.failure(own)
    assert found is not None
    assert (found.reason, len(found.attempts), found.policy) == ("attempts_exhausted", 2, "noted")
    assert len(found.delays) == 1
    if sys.version_info >= (3, 11):
        assert len(own.__notes__) == 1
        assert "2 attempts" in own.__notes__[0]
    assert seawall.failure(pickle.loads(pickle.dumps(own))) == found


def test_failure_is_none_for_strangers() -> None:
    assert seawall.failure(ValueError()) is None


def test_an_error_that_takes_no_attributes_is_raised_all_the_same() -> None:
    class Sealed(Exception):
        def __setattr__(self, name: str, value: object) -> None:
            raise AttributeError(name)

    own = Sealed("down")
    with pytest.raises(Sealed) as caught:
        seawall.bulkhead().call(failing, own)
    assert caught.value is own


def test_a_time_out_is_caused_by_the_last_error_of_the_callee() -> None:
    async def play() -> BaseException:
        calls = 0

        async def work() -> None:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise ConnectionError("down")
            await asyncio.sleep(3600)

        guard = seawall.policy("cut", seawall.retry(jitter="none"), seawall.timeout(total="2s"))
        with seawall.testing.clock() as clock:
            task = asyncio.ensure_future(guard.acall(work))
            await clock.aadvance("2s")
            with pytest.raises(seawall.TimeoutExceededError) as caught:
                await task
        return caught.value

    error = asyncio.run(play())
    assert isinstance(error.__cause__, ConnectionError)


def test_transient_is_strict() -> None:
    class Response:
        def __init__(self, status_code: int, headers: dict[str, str] | None = None) -> None:
            self.status_code = status_code
            self.headers = headers or {}

    assert [status for status in (200, 404, 408, 425, 429, 500, 503) if seawall.transient(Response(status))] == [408, 425, 429, 500, 503]
    assert seawall.transient(Response(400, {"Retry-After": "3"}))
    assert seawall.transient(ConnectionResetError()) and seawall.transient(TimeoutError())
    assert not seawall.transient(ValueError())


def test_errno_names_and_statuses_match() -> None:
    class Refused(Exception):
        status = 429

    guard = seawall.policy("codes", seawall.retry(max_attempts=2, on=["ECONNREFUSED", "http:4xx"], retry_budget=None))
    with seawall.testing.clock() as clock:
        for error, waits in ((OSError(111, "refused"), 1), (Refused(), 1), (OSError(2, "missing"), 0)):
            before = len(clock.sleeps)
            with pytest.raises(type(error)):
                guard.call(failing, error)
            assert len(clock.sleeps) - before == waits, error


def test_the_servers_wait_is_honoured() -> None:
    class Throttled(Exception):
        status_code = 503

    class Response:
        headers = {"retry-after": "7"}

    error = Throttled("slow down")
    error.response = Response()  # type: ignore[attr-defined]
    with seawall.testing.clock() as clock, pytest.raises(Throttled):
        seawall.retry(max_attempts=2, base_delay="100ms", jitter="none").call(failing, error)
    assert clock.sleeps == [7.1]


def test_an_error_whose_attributes_raise_is_raised_all_the_same() -> None:
    class Hostile(Exception):
        @property
        def status_code(self) -> int:
            raise RuntimeError("in the property")

        @property
        def code(self) -> str:
            raise RuntimeError("in the property")

    guard = seawall.policy(
        "hostile", seawall.bulkhead(max_concurrent=1), seawall.circuit_breaker(on=["x"]), seawall.fallback("no", on=["x"])
    )
    for _ in range(2):
        with pytest.raises(Hostile):
            guard.call(failing, Hostile())
    assert guard.snapshot()["counts"]["seawall_bulkhead_in_flight"] == 0


def test_a_predicate_that_raises_matches_nothing() -> None:
    def broken(error: BaseException) -> bool:
        raise RuntimeError("in the predicate")

    with seawall.testing.clock() as clock, pytest.raises(ConnectionError):
        seawall.retry(on=broken).call(failing, ConnectionError())
    assert clock.sleeps == []


def test_a_failed_fallback_raises_the_original_with_its_own_attached() -> None:
    late = LookupError("no cache")

    def cached() -> None:
        assert isinstance(seawall.current().error, ConnectionError)
        raise late

    def work() -> None:
        raise ConnectionError("down")

    with pytest.raises(ConnectionError) as caught:
        seawall.fallback(cached).call(work)
    assert caught.value.__context__ is late
