"""Seawall keeps a service standing when what it calls does not.

Circuit breaker, retry, dead-letter queue, bulkhead, rate limit, timeout, fallback and chaos, each a decorator and a part of a
policy; one correlation id through every log line, event, error and letter.
"""

from seawall import _fork
from seawall._afterwards import aflush, flush
from seawall._answers import dead_letter, fallback
from seawall._classify import transient
from seawall._context import Current, correlate, correlation_id, current, deadline, headers, receive
from seawall._errors import (
    BulkheadFullError,
    CircuitOpenError,
    ConfigError,
    Failure,
    InjectedFaultError,
    RateLimitedError,
    RejectedError,
    SeawallError,
    StoreError,
    TimeoutExceededError,
    failure,
)
from seawall._events import on_event
from seawall._lint import Finding, WorstCase, lint
from seawall._policy import Policy, policy, policy_of
from seawall._snapshot import metrics, snapshot
from seawall._strategies import bulkhead, chaos, circuit_breaker, hedge, rate_limit, retry, timeout
from seawall._table import ErrorCode
from seawall._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seawall import testing
    from seawall._config import load
    from seawall._dead_letters import DeadLetterQueue
    from seawall._json_formatter import JsonFormatter
    from seawall._letter import DeadLetter, RedriveJob, RedriveReport
else:
    # What most programs never touch, or not before they run, and what its modules import.
    _ON_DEMAND = {
        "DeadLetter": "_letter",
        "DeadLetterQueue": "_dead_letters",
        "JsonFormatter": "_json_formatter",
        "RedriveJob": "_letter",
        "RedriveReport": "_letter",
        "load": "_config",
        "testing": "testing",
    }

    def __getattr__(name):
        if name not in _ON_DEMAND:
            raise AttributeError(f"module 'seawall' has no attribute {name!r}")
        import importlib

        module = importlib.import_module(f"seawall.{_ON_DEMAND[name]}")
        found = module if name == "testing" else getattr(module, name)
        globals()[name] = found
        return found

    def __dir__():
        return sorted({*globals(), *_ON_DEMAND})

__all__ = [
    "BulkheadFullError",
    "CircuitOpenError",
    "ConfigError",
    "Current",
    "DeadLetter",
    "DeadLetterQueue",
    "ErrorCode",
    "Failure",
    "Finding",
    "InjectedFaultError",
    "JsonFormatter",
    "Policy",
    "RateLimitedError",
    "RedriveJob",
    "RedriveReport",
    "RejectedError",
    "SeawallError",
    "StoreError",
    "TimeoutExceededError",
    "WorstCase",
    "aflush",
    "bulkhead",
    "chaos",
    "circuit_breaker",
    "correlate",
    "correlation_id",
    "current",
    "dead_letter",
    "deadline",
    "failure",
    "fallback",
    "flush",
    "headers",
    "hedge",
    "lint",
    "load",
    "metrics",
    "on_event",
    "policy",
    "policy_of",
    "rate_limit",
    "receive",
    "retry",
    "snapshot",
    "testing",
    "timeout",
    "transient",
]

_fork.register()
