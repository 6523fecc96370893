"""What the process has counted."""

from __future__ import annotations

import json

from seawall import _native
from seawall._plan import Written

# Metric to value; a metric with a label has the label's value after a colon, as in "seawall_calls_total:success".
Snapshot = dict[str, int]


def metrics() -> str:
    """All metrics of this process as Prometheus text."""
    return _native.metrics()


def snapshot() -> dict[str, Snapshot]:
    """The same as a dict: policy, metric, value."""
    found: dict[str, Snapshot] = json.loads(_native.snapshot())
    return found


def snapshot_of(written: Written) -> Snapshot:
    """The values of one policy; resolves it if it was never called."""
    label = written.plan(None).label
    return snapshot().get(label, {})
