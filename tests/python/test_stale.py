"""`fallback(stale_if_error=True)`: the last good result of the same call."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import seawall


class Service:
    """Answers until it is down."""

    is_down = False

    def __init__(self, policy: seawall.Policy[Any]) -> None:
        self.read: Callable[..., Any] = policy(self._read)

    def _read(self, *args: Any, **kwargs: Any) -> Any:
        if self.is_down:
            raise ConnectionError
        return ["good", args, kwargs]


def test_the_last_good_result_of_the_same_call_answers() -> None:
    service = Service(seawall.fallback(stale_if_error=True, max_age="1m"))
    with seawall.testing.clock() as clock:
        good = service.read(1, name="a")
        service.is_down = True
        assert service.read(1, name="a") is good
        with pytest.raises(ConnectionError):
            service.read(2, name="a")
        clock.advance("61s")
        with pytest.raises(ConnectionError):
            service.read(1, name="a")


def test_it_comes_before_the_other_steps() -> None:
    service = Service(seawall.fallback("default", stale_if_error=True))
    good = service.read(1)
    service.is_down = True
    assert service.read(1) is good
    assert service.read(2) == "default"


def test_arguments_are_compared_by_value_however_they_are_given() -> None:
    is_down = False

    @seawall.fallback(stale_if_error=True)
    def read(number: object, unit: str = "m") -> object:
        if is_down:
            raise ConnectionError
        return number, unit

    good = read(number=1)
    read(Decimal(1))
    is_down = True
    assert read(1, "m") is good
    with pytest.raises(ConnectionError):
        read("1")


def test_the_receiver_is_left_aside() -> None:
    class Reader:
        is_down = False

        @seawall.fallback(stale_if_error=True)
        def read(self, number: int) -> list[int]:
            if self.is_down:
                raise ConnectionError
            return [number]

    good = Reader().read(1)
    other = Reader()
    other.is_down = True
    assert other.read(1) is good


def test_a_key_of_its_own() -> None:
    service = Service(seawall.fallback(stale_if_error=True, stale_key=lambda number, **_: number % 10))
    good = service.read(11)
    service.is_down = True
    assert service.read(21) is good


def test_what_has_no_value_is_not_kept_and_that_is_told_once(events: list[dict[str, object]]) -> None:
    service = Service(seawall.fallback(stale_if_error=True))
    thing = object()
    service.read(thing)
    service.read(thing)
    service.is_down = True
    with pytest.raises(ConnectionError):
        service.read(thing)
    assert [event["event"] for event in events].count("fallback.stale_skipped") == 1


def test_no_more_are_kept_than_allowed() -> None:
    service = Service(seawall.fallback(stale_if_error=True, max_entries=2))
    for number in range(3):
        service.read(number)
    service.is_down = True
    with pytest.raises(ConnectionError):
        service.read(0)
    assert service.read(1)[1] == (1,)
    assert service.read(2)[1] == (2,)


def test_a_rejected_result_is_not_kept() -> None:
    policy = seawall.policy(
        None, seawall.retry(max_attempts=1, on_result=lambda result: result == "bad"), seawall.fallback(stale_if_error=True)
    )
    results = iter(["bad"])

    def read() -> str:
        found = next(results, None)
        if found is None:
            raise ConnectionError
        return found

    read_safely = policy(read)
    assert read_safely() == "bad"
    with pytest.raises(ConnectionError):
        read_safely()


def test_named_policies_share_what_is_kept() -> None:
    is_down = False

    def read() -> list[int]:
        if is_down:
            raise ConnectionError
        return [1]

    good = seawall.policy("stale", seawall.fallback(stale_if_error=True))(read)()
    is_down = True
    assert seawall.policy("stale")(read)() is good
    seawall.testing.reset()
    with pytest.raises(ConnectionError):
        seawall.policy("stale", seawall.fallback(stale_if_error=True))(read)()
