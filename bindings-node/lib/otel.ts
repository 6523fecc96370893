/**
 * Metrics, span events and `traceparent` for OpenTelemetry: `instrument()`, once the application has set up its SDK. It needs `@opentelemetry/api` and no SDK of
 * its own.
 *
 * Counters and gauges are observable instruments: `seawall.calls`, `seawall.breaker.state`, with dots for underscores and without `_total` and `_seconds`. The API
 * takes no histogram that was counted elsewhere, so durations come as three counters: `….bucket` with the attribute `le`, `….count` and `….sum`. Every event of a
 * guarded call is an event of the span that it runs in. `headers()`, and with it every adapter, sends the `traceparent` of that span.
 */

import { type Attributes, isSpanContextValid, type Meter, type MeterProvider, metrics, type Observable, trace } from '@opentelemetry/api';

import { useTraceSource } from './context.js';
import { onEvent, type SeawallEvent } from './events.js';
import { families, type Family } from './prometheus.js';

const NAMES: Readonly<Record<string, string>> = { policy: 'seawall.policy.name', error_type: 'error.type', le: 'le' };
const UNITS: Readonly<Record<string, string>> = { seconds: 's', ratio: '1' };

/** Tells OpenTelemetry what this process counts and does. Gives the way to end it. `meterProvider`: in place of the global one. */
export function instrument(options: { meterProvider?: MeterProvider } = {}): () => void {
  const meter = (options.meterProvider ?? metrics).getMeter('seawall');
  const ends = [measure(meter), onEvent(tellSpan)];
  const before = useTraceSource(traceparent);
  return () => {
    ends.forEach((end) => end());
    useTraceSource(before);
  };
}

interface Instrument {
  readonly observable: Observable;
  readonly name: string;
  readonly suffix: string;
}

/** All instruments are shown by one callback, so that those of one collection belong together. */
function measure(meter: Meter): () => void {
  const instruments = families().flatMap((family) => make(meter, family));
  const observables = instruments.map(({ observable }) => observable);
  const show = (result: { observe: (observable: Observable, value: number, attributes: Attributes) => void }): void => {
    const now = new Map(families().map((family) => [family.name, family.samples]));
    for (const { observable, name, suffix } of instruments) {
      for (const [of, labels, value] of now.get(name) ?? []) if (of === suffix) result.observe(observable, value, attributesOf(labels));
    }
  };
  meter.addBatchObservableCallback(show, observables);
  return () => meter.removeBatchObservableCallback(show, observables);
}

function make(meter: Meter, { name, kind, unit, help }: Family): Instrument[] {
  const shown = name.replace(/_total$/, '').replace(/_seconds$/, '').replaceAll('_', '.');
  const options = { description: help, unit: UNITS[unit] ?? '1' };
  if (kind === 'gauge') return [{ observable: meter.createObservableGauge(shown, options), name, suffix: '' }];
  if (kind === 'counter') return [{ observable: meter.createObservableCounter(shown, options), name, suffix: '' }];
  return ['_bucket', '_count', '_sum'].map((suffix) => ({
    observable: meter.createObservableCounter(shown + suffix.replace('_', '.'), { ...options, unit: suffix === '_sum' ? 's' : '1' }),
    name,
    suffix,
  }));
}

/** The language is the resource's to say. */
function attributesOf(labels: Readonly<Record<string, string>>): Attributes {
  return Object.fromEntries(
    Object.entries(labels)
      .filter(([name]) => name !== 'lang')
      .map(([name, value]) => [NAMES[name] ?? `seawall.${name}`, value]),
  );
}

function tellSpan(event: SeawallEvent): void {
  const span = trace.getActiveSpan();
  if (span?.isRecording() !== true) return;
  const attributes: Attributes = {};
  for (const [name, value] of Object.entries(event)) {
    if (name === 'event' || value === null || value === undefined) continue;
    attributes[NAMES[name] ?? `seawall.${name}`] = typeof value === 'object' ? JSON.stringify(value) : (value as string | number | boolean);
  }
  span.addEvent(`seawall.${event.event}`, attributes);
}

function traceparent(): string | undefined {
  const context = trace.getActiveSpan()?.spanContext();
  if (context === undefined || !isSpanContextValid(context)) return undefined;
  return `00-${context.traceId}-${context.spanId}-${context.traceFlags.toString(16).padStart(2, '0')}`;
}
