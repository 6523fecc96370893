"""What is measured: for each library the guarded functions that it offers, each around the same callee.

A case is named after what it guards with. One that a library does not offer is left out.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
from collections.abc import Callable, Iterator
from typing import Any

Guard = Callable[[Callable[..., Any]], Callable[..., Any]]


def callee(value: Any) -> Any:
    return value


async def async_callee(value: Any) -> Any:
    return value


def failing(value: Any) -> Any:
    raise ConnectionError


async def async_failing(value: Any) -> Any:
    raise ConnectionError


def closure(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that does nothing, in Python: the floor for libraries written in it."""

    def inner(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return inner


def async_closure(fn: Callable[..., Any]) -> Callable[..., Any]:
    async def inner(*args: Any, **kwargs: Any) -> Any:
        return await fn(*args, **kwargs)

    return inner


def floor() -> dict[str, Guard]:
    return {"breaker": closure, "async breaker": async_closure}


def seawall() -> dict[str, Guard]:
    import seawall

    def breaker() -> Any:
        return seawall.circuit_breaker(consecutive_failures=5, break_duration="1h", max_break_duration="1h")

    retry, bulkhead = seawall.retry(max_attempts=3), seawall.bulkhead(max_concurrent=100)

    def stack(fn: Callable[..., Any]) -> Callable[..., Any]:
        return seawall.policy(None, seawall.retry(max_attempts=3), breaker(), seawall.bulkhead(max_concurrent=100))(fn)

    def timed(fn: Callable[..., Any]) -> Callable[..., Any]:
        parts = (seawall.retry(max_attempts=3), breaker(), seawall.bulkhead(max_concurrent=100), seawall.timeout(attempt="30s"))
        return seawall.policy(None, *parts)(fn)

    def guard(fn: Callable[..., Any]) -> Callable[..., Any]:
        return breaker()(fn)

    return {
        "breaker": guard,
        "window": seawall.circuit_breaker(failure_ratio=0.5, window_size=100, minimum_throughput=10),
        "retry": retry,
        "bulkhead": bulkhead,
        "stack": stack,
        "open": guard,
        "async breaker": guard,
        "async retry": retry,
        "async stack with timeout": timed,
        "async open": guard,
    }


def tenacity() -> dict[str, Guard]:
    import tenacity

    guard = tenacity.retry(stop=tenacity.stop_after_attempt(3), reraise=True)
    return {"retry": guard, "async retry": guard}


def stamina() -> dict[str, Guard]:
    import stamina

    guard = stamina.retry(on=Exception, attempts=3)
    return {"retry": guard, "async retry": guard}


def backoff() -> dict[str, Guard]:
    import backoff

    guard = backoff.on_exception(backoff.expo, Exception, max_tries=3)
    return {"retry": guard, "async retry": guard}


def circuitbreaker() -> dict[str, Guard]:
    import circuitbreaker

    def guard(fn: Callable[..., Any]) -> Callable[..., Any]:
        return circuitbreaker.CircuitBreaker(failure_threshold=5, recovery_timeout=3600)(fn)

    return {"breaker": guard, "open": guard, "async breaker": guard, "async open": guard}


def pybreaker() -> dict[str, Guard]:
    import pybreaker

    def guard(fn: Callable[..., Any]) -> Callable[..., Any]:
        return pybreaker.CircuitBreaker(fail_max=5, reset_timeout=3600)(fn)

    return {"breaker": guard, "open": guard}


def pyresilience() -> dict[str, Guard]:
    import pyresilience as lib

    def with_parts(*names: str) -> Guard:
        def guard(fn: Callable[..., Any]) -> Callable[..., Any]:
            parts = {
                "circuit_breaker": lib.CircuitBreakerConfig(failure_threshold=5, recovery_timeout=3600),
                "retry": lib.RetryConfig(max_attempts=3),
                "bulkhead": lib.BulkheadConfig(max_concurrent=100),
                "timeout": lib.TimeoutConfig(seconds=30),
            }
            return lib.resilient(**{name: parts[name] for name in names})(fn)

        return guard

    def window(fn: Callable[..., Any]) -> Callable[..., Any]:
        config = lib.CircuitBreakerConfig(sliding_window_size=100, failure_rate_threshold=0.5, minimum_calls=10)
        return lib.resilient(circuit_breaker=config)(fn)

    breaker, retry = with_parts("circuit_breaker"), with_parts("retry")
    return {
        "breaker": breaker,
        "window": window,
        "retry": retry,
        "bulkhead": with_parts("bulkhead"),
        "stack": with_parts("retry", "circuit_breaker", "bulkhead"),
        "open": breaker,
        "async breaker": breaker,
        "async retry": retry,
        "async stack with timeout": with_parts("retry", "circuit_breaker", "bulkhead", "timeout"),
        "async open": breaker,
    }


def interlock() -> dict[str, Guard]:
    import interlock as lib

    def breaker() -> Any:
        return lib.CircuitBreaker(
            name="bench",
            config=lib.Config(failure_rate_threshold=0.5, minimum_number_of_calls=5, window_size=100, wait_duration_in_open=3600.0),
        )

    def guard(fn: Callable[..., Any]) -> Callable[..., Any]:
        return breaker()(fn)

    def stack(fn: Callable[..., Any]) -> Callable[..., Any]:
        return lib.Pipeline.builder().retry(attempts=3).circuit_breaker(breaker()).bulkhead(100).build()(fn)

    return {
        "breaker": guard,
        "window": guard,
        "bulkhead": lib.Pipeline(lib.BulkheadStrategy(100)),
        "stack": stack,
        "open": guard,
        "async breaker": guard,
        "async open": guard,
    }


LIBRARIES = {
    "a closure that does nothing": floor,
    "seawall": seawall,
    "tenacity": tenacity,
    "stamina": stamina,
    "backoff": backoff,
    "circuitbreaker": circuitbreaker,
    "pybreaker": pybreaker,
    "pyresilience": pyresilience,
    "interlock-cb": interlock,
}


def offered() -> Iterator[tuple[str, dict[str, Guard]]]:
    """The libraries that are installed."""
    for name, make in LIBRARIES.items():
        with contextlib.suppress(ImportError):
            yield name, make()


def version(name: str) -> str:
    """Which version of a library was measured."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(name)
    return ""
