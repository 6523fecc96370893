"""What both type checkers must accept, in their strict modes, with the types that they must find."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from decimal import Decimal

import seawall
from typing_extensions import assert_type


@seawall.retry(max_attempts=4, base_delay="100ms", on=[ConnectionError, "http:5xx"])
@seawall.circuit_breaker(failure_ratio=0.5)
def price(product: str, *, currency: str = "EUR") -> Decimal:
    return Decimal(len(product + currency))


@seawall.bulkhead
async def stock(product: str) -> int:
    return len(product)


def cached(product: str) -> str:
    return product


payments = seawall.policy(
    "payments",
    seawall.fallback(None),
    seawall.dead_letter("orders", idempotency_key="order.id"),
    seawall.retry(max_attempts=4, retry_budget={"ratio": 0.1}),
    seawall.circuit_breaker(),
    seawall.bulkhead(max_concurrent=10),
    seawall.rate_limit(rate="100/s"),
    seawall.timeout(attempt="2s", total=10.0),
    key=lambda order: order,
)


@payments
def charge(order: str) -> str:
    return order


@payments
async def charge_later(order: str) -> str:
    return order


@seawall.fallback(cached)
def described(product: str) -> str:
    return product


class Till:
    @payments
    def charge(self, order: str) -> int:
        return len(order)

    @seawall.retry
    async def later(self, order: str) -> int:
        return len(order)


assert_type(price("tea"), Decimal)
assert_type(price("tea", currency="USD"), Decimal)
assert_type(charge("o"), "str | None")
assert_type(described("o"), str)
assert_type(Till().charge("o"), "int | None")
assert_type(payments.call(cached, "x"), "str | None")
assert_type(seawall.timeout(total="1s").call(cached, "x"), str)
assert_type(seawall.fallback(cached, None).call(cached, "x"), "str | None")
assert_type(seawall.fallback(value=3).call(cached, "x"), "str | int")


async def main() -> None:
    assert_type(await stock("tea"), int)
    assert_type(await charge_later("o"), "str | None")
    assert_type(await Till().later("o"), int)
    assert_type(await payments.acall(charge_later, "o"), "str | None")
    queue = seawall.DeadLetterQueue("orders", store="memory:")
    report = await queue.aredrive(redeliver, limit=None, error="ConnectionError")
    assert_type(report.ok, int)


async def redeliver(letter: seawall.DeadLetter) -> None:
    assert_type(letter.id, str)


def by_hand() -> None:
    breaker = payments.using(key="a").breaker
    breaker.isolate(reason="maintenance", expires_in="5m")
    assert_type(breaker.counts.failures, int)
    found = seawall.failure(ValueError())
    if found is not None:
        assert_type(found.delays, tuple[float, ...])
    with seawall.correlate("id"), seawall.receive({"x-request-id": "r"}):
        assert_type(seawall.correlation_id(), "str | None")
        assert_type(seawall.deadline(), "float | None")
        assert_type(seawall.deadline(1.0), float)
    with seawall.testing.clock() as clock:
        clock.advance("5s")
        assert_type(clock.sleeps, list[float])


kept: Callable[[str], Awaitable[int]] = stock


@seawall.retry(max_attempts=2)
def rows(count: int) -> Generator[int, str, bool]:
    yield from range(count)
    return True


@seawall.hedge(delay="100ms", max_hedges=2)
async def tokens(prompt: str) -> AsyncGenerator[str, None]:
    yield prompt


def no_rows(count: int) -> Iterator[None]:
    yield None


@seawall.fallback(no_rows)
def lines(count: int) -> Generator[int, None, None]:
    yield count


@seawall.fallback(stale_if_error=True, max_age="5m", max_entries=10)
def rate(currency: str) -> float:
    return float(len(currency))


assert_type(rows(1), Generator[int, str, bool])
assert_type(tokens("a"), AsyncGenerator[str, None])
assert_type(lines(1), Generator[int | None, None, None])
assert_type(rate("EUR"), float)
limited = seawall.policy("limited", seawall.timeout(attempt="1s", idle="2s"))
toggled = seawall.policy(None, seawall.circuit_breaker())


def block() -> None:
    with toggled.guard():
        pass


async def async_block() -> None:
    async with toggled.using(key="a").guard():
        pass

drill = seawall.chaos(
    rate="30%",
    fault=ConnectionError,
    window="2m every 10m",
    max_share=0.2,
    abort_when={"breaker": "open", "policy": "payments", "failure_ratio": 0.5, "minimum_throughput": 10},
    expires_in="1h",
)
