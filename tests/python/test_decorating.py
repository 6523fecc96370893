"""What decorating keeps, what it refuses, and what a handle does."""

from __future__ import annotations

import asyncio
import functools
import inspect
import subprocess
import sys
from typing import Any

import pytest
import seawall


def test_a_function_keeps_its_signature_name_and_docstring() -> None:
    @seawall.retry(max_attempts=2)
    def price(product: str, *, currency: str = "EUR") -> str:
        """The price."""
        return f"{product} {currency}"

    assert price("tea") == "tea EUR"
    assert (price.__name__, price.__doc__) == ("price", "The price.")
    assert list(inspect.signature(price).parameters) == ["product", "currency"]
    assert not inspect.iscoroutinefunction(price)


def test_a_coroutine_function_stays_one() -> None:
    @seawall.circuit_breaker
    async def price(product: str) -> str:
        return product

    assert inspect.iscoroutinefunction(price)
    assert asyncio.run(price("tea")) == "tea"


@pytest.mark.parametrize("word", [seawall.retry, seawall.circuit_breaker, seawall.bulkhead])
def test_bare_words_decorate(word: Any) -> None:
    @word
    def double(x: int) -> int:
        return 2 * x

    assert double(4) == 8
    assert isinstance(seawall.policy_of(double), seawall.Policy)


def test_methods_class_methods_and_static_methods() -> None:
    guard = seawall.retry(max_attempts=2)

    class Till:
        def __init__(self, rate: int) -> None:
            self.rate = rate

        @guard
        def charge(self, amount: int) -> int:
            return amount * self.rate

        @guard
        @classmethod
        def name(cls) -> str:
            return cls.__name__

        @staticmethod
        @guard
        def add(a: int, b: int) -> int:
            return a + b

        @guard
        async def later(self, amount: int) -> int:
            return amount + self.rate

    till = Till(3)
    assert (till.charge(5), Till.name(), Till.add(1, 2), asyncio.run(till.later(1))) == (15, "Till", 3, 4)


def test_two_functions_share_the_state_of_one_policy_and_one_name() -> None:
    first = seawall.policy("shared", seawall.circuit_breaker(consecutive_failures=1))
    second = seawall.policy("shared", seawall.circuit_breaker(consecutive_failures=1))

    @first
    def fails() -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        fails()
    assert (first.breaker.state, second.breaker.state) == ("open", "open")
    with pytest.raises(seawall.CircuitOpenError) as caught:
        second.call(lambda: None)
    assert (caught.value.code, caught.value.policy, caught.value.http_status) == ("circuit.open", "shared", 503)
    assert caught.value.http_headers["retry-after"].isdigit()
    first.breaker.reset()
    assert second.breaker.state == "closed"


def test_unnamed_policies_share_nothing_and_are_labelled_by_their_first_function() -> None:
    one, other = (seawall.circuit_breaker(consecutive_failures=1) for _ in range(2))

    def broken() -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        one.call(broken)
    assert (one.breaker.state, other.breaker.state) == ("open", "closed")
    with pytest.raises(seawall.CircuitOpenError) as caught:
        one.call(broken)
    assert caught.value.policy == f"{__name__}.test_unnamed_policies_share_nothing_and_are_labelled_by_their_first_function.<locals>.broken"


def test_a_key_partitions_and_may_be_a_path_of_parameters() -> None:
    class Order:
        def __init__(self, tenant: str) -> None:
            self.tenant = tenant

    guard = seawall.policy("keyed", seawall.circuit_breaker(consecutive_failures=1), key="order.tenant")

    @guard
    def charge(order: Order) -> str:
        if order.tenant == "bad":
            raise ConnectionError
        return order.tenant

    with pytest.raises(ConnectionError):
        charge(Order("bad"))
    with pytest.raises(seawall.CircuitOpenError) as caught:
        charge(Order("bad"))
    assert caught.value.key == "bad"
    assert charge(Order("good")) == "good"
    assert (guard.using(key="bad").breaker.state, guard.using(key="good").breaker.state) == ("open", "closed")
    with pytest.raises(seawall.ConfigError, match="key"):
        _ = guard.breaker.state


def test_a_path_that_starts_with_no_parameter_is_refused_at_decoration() -> None:
    guard = seawall.policy("typo", seawall.circuit_breaker(), key="ordr.tenant")
    with pytest.raises(seawall.ConfigError, match="ordr.*order"):

        @guard
        def charge(order: str) -> None: ...


def test_an_async_function_is_not_called_like_another() -> None:
    async def later() -> int:
        return 1

    guard = seawall.retry()
    with pytest.raises(seawall.ConfigError, match="acall"):
        guard.call(later)
    with pytest.raises(seawall.ConfigError, match="acall"):
        guard.call(functools.partial(later))
    with pytest.raises(seawall.ConfigError, match="acall"):
        guard.call(lambda: later())


def test_acall_takes_either_kind() -> None:
    async def later(x: int) -> int:
        return x

    async def main() -> tuple[int, int]:
        guard = seawall.retry()
        return await guard.acall(later, 1), await guard.acall(lambda: 2)

    assert asyncio.run(main()) == (1, 2)


def test_what_is_not_callable_gets_a_word_about_parentheses() -> None:
    with pytest.raises(seawall.ConfigError, match="parentheses"):
        seawall.retry()(5)  # type: ignore[call-overload]
    with pytest.raises(seawall.ConfigError, match="parentheses"):
        seawall.policy("p", seawall.retry)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: seawall.retry(max_attempts=0), "retry.max_attempts"),
        (lambda: seawall.retry(max_atempts=2), "max_attempts"),  # type: ignore[call-overload]
        (lambda: seawall.retry(base_delay="fast"), "retry.base_delay"),
        (lambda: seawall.circuit_breaker(failure_ratio=1.5), "circuit_breaker.failure_ratio"),
        (lambda: seawall.policy("p", seawall.timeout(attempt="2s", total="1s")), "timeout"),
        (lambda: seawall.policy("p", seawall.retry(), seawall.retry()), "retry"),
        (lambda: seawall.retry(on=[dict]), "retry.on"),  # type: ignore[list-item]
        (lambda: seawall.retry(on="http:9xx"), "http:"),
        (lambda: seawall.rate_limit(rate="fast"), "rate_limit.rate"),
        (lambda: seawall.fallback(), "fallback"),
    ],
)
def test_what_cannot_work_names_its_place(make: Any, words: str) -> None:
    with pytest.raises(seawall.ConfigError, match=words) as caught:
        make()
    assert isinstance(caught.value, ValueError)
    assert caught.value.code == "config.invalid"


def test_isolating_and_disabling_by_hand(events: list[dict[str, object]]) -> None:
    guard = seawall.policy("by-hand", seawall.circuit_breaker())
    guard.breaker.isolate(reason="maintenance", author="ada")
    with pytest.raises(seawall.CircuitOpenError) as caught:
        guard.call(lambda: 1)
    assert (caught.value.code, guard.breaker.state) == ("circuit.isolated", "isolated")
    guard.breaker.disable(reason="drill")
    assert (guard.call(lambda: 1), guard.breaker.state) == (1, "disabled")
    guard.breaker.reset()
    assert [event["event"] for event in events if str(event["event"]).startswith("breaker.")] == [
        "breaker.isolated",
        "breaker.disabled",
        "breaker.closed",
    ]
    assert guard.snapshot()["counts"]["seawall_calls_total:success"] == 1


def test_disabled_policies_do_nothing() -> None:
    @seawall.retry(max_attempts=3, base_delay="1ms")
    def fails() -> None:
        calls.append(1)
        raise ConnectionError

    calls: list[int] = []
    with seawall.testing.disabled(), pytest.raises(ConnectionError):
        fails()
    assert calls == [1]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="before Python 3.11 a class of asyncio is a base of one of ours")
def test_importing_it_loads_no_event_loop() -> None:
    script = "import sys, seawall; seawall.retry().call(int); print('asyncio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "False", done.stderr
