"""The metrics for `prometheus_client`: `REGISTRY.register(seawall.prometheus.Collector())`.

What calls count is counted already; it is read when the registry is scraped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from prometheus_client import Metric
from prometheus_client.registry import Collector as Base

from seawall import _native

__all__ = ["Collector"]


class Collector(Base):
    """Gives a registry all metrics of this process, with the names and labels of `seawall.metrics()`."""

    def collect(self) -> Iterator[Metric]:
        """One metric for each that has samples."""
        for family in families():
            name: str = family["name"]
            # A registry puts the `_total` of a counter back.
            metric = Metric(name.removesuffix("_total"), family["help"], family["kind"])
            for suffix, labels, value in family["samples"]:
                metric.add_sample(name + suffix, labels, value)
            yield metric

    def describe(self) -> Iterator[Metric]:
        """Nothing, so that to register asks for no samples."""
        return iter(())


def families() -> list[dict[str, Any]]:
    """Those that have samples."""
    found: list[dict[str, Any]] = json.loads(_native.metric_families())
    return [family for family in found if family["samples"]]
