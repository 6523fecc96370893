// Metrics for prom-client and OpenTelemetry, with the libraries themselves.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { context, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { AggregationTemporality, InMemoryMetricExporter, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import client from 'prom-client';

import * as seawall from 'seawall';
import { instrument } from 'seawall/otel';
import { register } from 'seawall/prometheus';
import { clock } from 'seawall/testing';

const down = () => Promise.reject(Object.assign(new Error('down'), { code: 'ECONNRESET' }));

function virtual(t) {
  const time = clock({ autoAdvance: true });
  t.after(() => time.restore());
  return time;
}

/** A line as name, labels in order, and value. */
function normal(line) {
  const [, name, labels = '', value] = /^([^{ ]+)(?:\{(.*)\})? (.*)$/.exec(line);
  return `${name}{${labels.split(',').sort().join(',')}} ${Number(value)}`;
}

const samples = (text) => text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).map(normal).sort();

test('a registry of prom-client shows what the text shows', async (t) => {
  virtual(t);
  const shop = seawall.policy('shop', seawall.retry({ maxAttempts: 2, baseDelay: '1s', jitter: 'none' }));
  await assert.rejects(shop.run(down));
  const registry = new client.Registry();
  const remove = register(registry);
  const shown = await registry.metrics();
  assert.match(shown, /^# TYPE seawall_retry_wait_seconds histogram$/m);
  assert.match(shown, /^seawall_retry_wait_seconds_bucket\{.*le="1.024".*\} 1$/m);
  assert.deepEqual(samples(shown), samples(seawall.metrics()));
  await assert.rejects(shop.run(down));
  assert.deepEqual(samples(await registry.metrics()), samples(seawall.metrics()), 'each scrape reads anew');
  remove();
  assert.equal((await registry.metrics()).trim(), '');
});

/** A meter provider that collects when it is told to. */
function meters(t) {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000, exportTimeoutMillis: 1_000 });
  const provider = new MeterProvider({ readers: [reader] });
  t.after(() => provider.shutdown());
  const collect = async () => {
    exporter.reset();
    await reader.forceFlush();
    return new Map(exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics.map((metric) => [metric.descriptor.name, metric]))));
  };
  return { provider, collect };
}

function valueOf(metric, attributes) {
  const fits = (point) => Object.entries(attributes).every(([name, value]) => point.attributes[`seawall.${name}`] === value);
  return metric?.dataPoints.find(fits)?.value;
}

test('meters of OpenTelemetry show what was counted at each collection', async (t) => {
  const { provider, collect } = meters(t);
  const end = instrument({ meterProvider: provider });
  const shop = seawall.policy('metered', seawall.circuitBreaker({ consecutiveFailures: 2 }), seawall.retry({ maxAttempts: 2, baseDelay: '1ms' }));
  await shop.run(() => 1);
  assert.equal(valueOf((await collect()).get('seawall.calls'), { 'policy.name': 'metered', outcome: 'success' }), 1);
  await assert.rejects(shop.run(down));
  const found = await collect();
  assert.equal(valueOf(found.get('seawall.calls'), { 'policy.name': 'metered', outcome: 'failure' }), 1);
  assert.equal(valueOf(found.get('seawall.breaker.state'), { 'policy.name': 'metered', state: 'open' }), 1);
  assert.equal(valueOf(found.get('seawall.attempt.duration.count'), { 'policy.name': 'metered', outcome: 'failure' }), 2);
  assert.equal(found.get('seawall.attempt.duration.sum').descriptor.unit, 's');
  end();
  await assert.rejects(shop.run(down));
  const after = (await collect()).get('seawall.calls');
  assert.equal(after === undefined ? 1 : valueOf(after, { 'policy.name': 'metered', outcome: 'failure' }), 1, 'what has ended reads no more');
});

test('events are events of the span that a call runs in, and its trace goes out', async (t) => {
  const exporter = new InMemorySpanExporter();
  const tracing = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  const end = instrument({ meterProvider: meters(t).provider });
  t.after(() => context.disable());
  virtual(t);
  const sent = [];
  const charge = seawall.retry({ name: 'traced', maxAttempts: 2, baseDelay: '1s', jitter: 'none' })(async () => {
    sent.push(seawall.headers().traceparent);
    await down();
  });
  const span = tracing.getTracer('test').startSpan('checkout');
  await context.with(trace.setSpan(context.active(), span), () => seawall.correlate('web-1', () => assert.rejects(charge())));
  span.end();
  const { traceId, spanId } = span.spanContext();
  assert.deepEqual(sent, Array(2).fill(`00-${traceId}-${spanId}-01`));
  const [finished] = exporter.getFinishedSpans();
  assert.deepEqual(finished.events.map(({ name }) => name), ['attempt.failed', 'retry.scheduled', 'attempt.failed', 'retry.stopped'].map((name) => `seawall.${name}`));
  const { attributes } = finished.events.at(-1);
  assert.equal(attributes['seawall.policy.name'], 'traced');
  assert.equal(attributes['seawall.correlation_id'], 'web-1');
  assert.equal(attributes['seawall.reason'], 'attempts_exhausted');
  end();
  assert.equal(context.with(trace.setSpan(context.active(), span), () => seawall.headers().traceparent), undefined);
});
