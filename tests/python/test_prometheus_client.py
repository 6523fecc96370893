"""The collector for prometheus_client."""

from __future__ import annotations

import prometheus_client
import pytest
import seawall
from prometheus_client.openmetrics import exposition
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from seawall.prometheus import Collector


def test_a_registry_has_what_the_text_has() -> None:
    registry = prometheus_client.CollectorRegistry()
    registry.register(Collector())
    with seawall.testing.clock():
        guard = seawall.policy("shop", seawall.retry(max_attempts=2, base_delay="1s", jitter="none"))
        with pytest.raises(ConnectionError):
            guard.call(fail)
        labels = {"policy": "shop", "lang": "python"}
        assert registry.get_sample_value("seawall_calls_total", {**labels, "outcome": "failure"}) == 1
        assert registry.get_sample_value("seawall_retry_wait_seconds_sum", {**labels, "reason": "failure"}) == 1
        assert registry.get_sample_value("seawall_retry_wait_seconds_bucket", {**labels, "reason": "failure", "le": "1.024"}) == 1
        shown = prometheus_client.generate_latest(registry).decode()
        ours = [line for line in seawall.metrics().splitlines() if not line.startswith("#")]
        theirs = [line for line in shown.splitlines() if not line.startswith("#")]
        # They put labels in order, and write whole numbers as 1.0.
        assert sorted(map(normal, ours)) == sorted(map(normal, theirs))
        assert list(text_string_to_metric_families(exposition.generate_latest(registry).decode()))


def normal(line: str) -> tuple[str, frozenset[str], float]:
    series, value = line.rsplit(" ", 1)
    name, _, labels = series.partition("{")
    return name, frozenset(labels.rstrip("}").split(",")), float(value)


def fail() -> None:
    raise ConnectionError("down")
