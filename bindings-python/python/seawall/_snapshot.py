"""What the process has counted."""

from __future__ import annotations

from seawall import _native
from seawall._late import json
from seawall._plan import Written
from seawall._typing import Literal, TypedDict

# Metric to value; a metric with labels has their values after colons, as in "seawall_calls_total:success". Counters are there without the
# last ones too, as their sum.
Counts = dict[str, float]


class Ratios(TypedDict):
    """The window of the circuit breaker."""

    state: str
    total: int
    failure: float | None
    slow: float | None


class Limits(TypedDict):
    """What limits a call, and how much of it is in use. None where there is no such limit."""

    attempts: int | None
    max_concurrent: int | None
    limit: int | None
    max_queue: int | None
    in_flight: int | None
    queued: int | None
    rate_per_second: float | None
    burst: int | None
    attempt_ms: int | None
    total_ms: int | None


class Budget(TypedDict):
    """The retry budget: retries that it pays for now, and what each call adds."""

    left: float
    per_call: float


class Experiment(TypedDict):
    """Chaos: whether it may strike in this process, how it stands, what ended it early, how many attempts it saw and struck."""

    armed: bool
    state: Literal["disarmed", "running", "waiting", "aborted", "over"]
    aborted: Literal["breaker_open", "failure_ratio"] | None
    attempts: int
    struck: int


class Snapshot(TypedDict):
    """A policy as it stands. `counts` are over all keys; what belongs to one key is None on a keyed policy without a key."""

    mode: str
    counts: Counts
    ratios: Ratios | None
    limits: Limits
    budget: Budget | None
    chaos: Experiment | None


def metrics(open_metrics: bool = False) -> str:
    """All metrics of this process as Prometheus text: what a `/metrics` answers, with the content type `text/plain; version=0.0.4`.

    With `open_metrics` as OpenMetrics text, of the type `application/openmetrics-text; version=1.0.0; charset=utf-8`.
    """
    return _native.metrics(open_metrics)


def snapshot() -> dict[str, Counts]:
    """The same as a dict: policy, metric, value."""
    found: dict[str, Counts] = json.loads(_native.snapshot())
    return found


def snapshot_of(written: Written, key: str | None) -> Snapshot:
    """One policy, or one key of it; resolves it if it was never called."""
    found: Snapshot = json.loads(written.plan(None).native.snapshot(key))
    return found
