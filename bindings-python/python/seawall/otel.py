"""Metrics, span events and `traceparent` for OpenTelemetry: `seawall.otel.instrument()`, once the application has set up its SDK.

It needs `opentelemetry-api` and no SDK of its own.

- Counters and gauges are observable instruments: `seawall.calls`, `seawall.breaker.state`, with dots for underscores and without `_total`
  and `_seconds`. The API takes no histogram that was counted elsewhere, so durations come as three counters: `….bucket` with the attribute
  `le`, `….count` and `….sum`.
- Every event of a guarded call is an event of the span that it runs in.
- `seawall.headers()`, and with it every adapter, sends the `traceparent` of that span.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

from seawall import _context, _native
from seawall._events import on_event
from seawall._table import METRICS

__all__ = ["instrument"]

_NAMES = {"policy": "seawall.policy.name", "error_type": "error.type", "le": "le"}
_UNITS = {"seconds": "s", "ratio": "1"}

Sample = tuple[str, dict[str, str], float]


def instrument(meter_provider: MeterProvider | None = None) -> Callable[[], None]:
    """Tells OpenTelemetry what this process counts and does. Gives a function that ends it.

    meter_provider: in place of the global one.
    """
    counts = _Counts()
    meter = metrics.get_meter("seawall", _version(), meter_provider=meter_provider)
    for family in counts.families():
        counts.observe(meter, family)
    unsubscribe = on_event(_tell_span)
    _context.trace_source = _traceparent

    def end() -> None:
        counts.is_over = True
        unsubscribe()
        if _context.trace_source is _traceparent:
            _context.trace_source = None

    return end


class _Counts:
    """What instruments show. Read anew when the first of them is asked, so that those of one collection belong together."""

    def __init__(self) -> None:
        self.is_over = False
        self._samples: dict[str, list[Sample]] = {}

    def families(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(_native.metric_families())
        self._samples = {family["name"]: family["samples"] for family in found}
        return found

    def observe(self, meter: metrics.Meter, family: dict[str, Any]) -> None:
        name, kind = family["name"], family["kind"]
        shown = name.removesuffix("_total").removesuffix("_seconds").replace("_", ".")
        unit = _UNITS.get(family["unit"], "1")
        if kind == "gauge":
            meter.create_observable_gauge(shown, [self._reader(name, "")], unit, family["help"])
        elif kind == "counter":
            meter.create_observable_counter(shown, [self._reader(name, "")], unit, family["help"])
        else:
            for suffix in ("_bucket", "_count", "_sum"):
                unit = "s" if suffix == "_sum" else "1"
                meter.create_observable_counter(shown + suffix.replace("_", "."), [self._reader(name, suffix)], unit, family["help"])

    def _reader(self, name: str, suffix: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        is_first = name == next(iter(METRICS))

        def read(_options: CallbackOptions) -> Iterable[Observation]:
            if self.is_over:
                return []
            if is_first:
                self.families()
            samples = self._samples.get(name, [])
            return [Observation(value, _attributes(labels)) for of, labels, value in samples if of == suffix]

        return read


def _attributes(labels: dict[str, str]) -> dict[str, str]:
    # The language is the resource's to say.
    return {_NAMES.get(name, f"seawall.{name}"): value for name, value in labels.items() if name != "lang"}


def _tell_span(event: dict[str, Any]) -> None:
    span = trace.get_current_span()
    if span.is_recording():
        attributes: dict[str, Any] = {}
        for name, value in event.items():
            if name != "event" and value is not None:
                attributes[_NAMES.get(name, f"seawall.{name}")] = value if isinstance(value, (str, bool, int, float)) else json.dumps(value)
        span.add_event(f"seawall.{event['event']}", attributes)


def _traceparent() -> str | None:
    context = trace.get_current_span().get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}" if context.is_valid else None


def _version() -> str:
    from importlib.metadata import version

    return version("seawall")
