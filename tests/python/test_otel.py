"""OpenTelemetry, with its own SDK and exporters that keep what they get."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import seawall
import seawall.otel
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


@pytest.fixture
def reader() -> Iterator[InMemoryMetricReader]:
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader])
    end = seawall.otel.instrument(meter_provider=provider)
    yield reader
    end()
    provider.shutdown()


@pytest.fixture
def tracer() -> tuple[trace.Tracer, InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider.get_tracer("test"), exporter


def collected(reader: InMemoryMetricReader) -> dict[str, Any]:
    data = reader.get_metrics_data()
    return {
        metric.name: metric
        for resource in (data.resource_metrics if data else [])
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def value(metric: Any, **attributes: str) -> float | None:
    wanted = {f"seawall.{name}": text for name, text in attributes.items()}
    return next((point.value for point in metric.data.data_points if wanted.items() <= dict(point.attributes).items()), None)


def fail() -> None:
    raise ConnectionError("down")


def test_meters_show_what_was_counted_at_each_collection(reader: InMemoryMetricReader) -> None:
    with seawall.testing.clock():
        shop = seawall.policy("shop", seawall.circuit_breaker(consecutive_failures=2), seawall.retry(max_attempts=2, base_delay="1s"))
        assert shop.call(lambda: 1) == 1
        first = collected(reader)
        assert value(first["seawall.calls"], **{"policy.name": "shop", "outcome": "success"}) == 1
        with pytest.raises(ConnectionError):
            shop.call(fail)
        second = collected(reader)
    assert value(second["seawall.calls"], **{"policy.name": "shop", "outcome": "failure"}) == 1
    assert value(second["seawall.breaker.state"], **{"policy.name": "shop", "state": "open"}) == 1
    assert value(second["seawall.attempt.duration.count"], **{"policy.name": "shop", "outcome": "failure"}) == 2
    assert second["seawall.attempt.duration.sum"].unit == "s"
    assert all("lang" not in point.attributes for metric in second.values() for point in metric.data.data_points)


def test_events_are_events_of_the_span_and_its_trace_goes_out(
    reader: InMemoryMetricReader, tracer: tuple[trace.Tracer, InMemorySpanExporter]
) -> None:
    tracing, exporter = tracer
    sent: list[dict[str, str]] = []

    @seawall.retry(name="shop", max_attempts=2, base_delay="1s", jitter="none")
    def charge() -> None:
        sent.append(seawall.headers())
        raise ConnectionError("down")

    with seawall.testing.clock(), tracing.start_as_current_span("checkout") as span, pytest.raises(ConnectionError), seawall.correlate("web-1"):
        charge()
    context = span.get_span_context()
    assert [headers["traceparent"] for headers in sent] == [f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"] * 2
    [finished] = exporter.get_finished_spans()
    # The SDK adds one of its own for the error that left the block.
    ours = [event for event in finished.events if event.name.startswith("seawall.")]
    assert [event.name for event in ours] == [f"seawall.{name}" for name in ("attempt.failed", "retry.scheduled", "attempt.failed", "retry.stopped")]
    last = dict(ours[-1].attributes or {})
    assert last["seawall.policy.name"] == "shop" and last["seawall.correlation_id"] == "web-1"
    assert last["seawall.reason"] == "attempts_exhausted" and last["error.type"] == "ConnectionError"


def test_what_has_ended_tells_nothing(tracer: tuple[trace.Tracer, InMemorySpanExporter]) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader])
    seawall.otel.instrument(meter_provider=provider)()
    tracing, exporter = tracer
    with tracing.start_as_current_span("checkout"), pytest.raises(ConnectionError):
        seawall.retry(max_attempts=1)(fail)()
        assert "traceparent" not in seawall.headers()
    assert collected(reader) == {}
    assert not [event for span in exporter.get_finished_spans() for event in span.events if event.name.startswith("seawall.")]
