// Events: to hooks, to diagnostics_channel, as JSON lines.

import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { test } from 'node:test';

import * as seawall from 'seawall';
import { clock } from 'seawall/testing';

function listen(t, hook) {
  const stop = seawall.onEvent(hook);
  t.after(stop);
}

function virtual(t) {
  const time = clock();
  t.after(() => time.restore());
  return time;
}

const fails = () => Promise.reject(new Error('boom'));

test('a success is silent, a failure tells its story in order', async (t) => {
  virtual(t);
  const events = [];
  listen(t, (event) => events.push(event));
  const guard = seawall.policy('story', seawall.fallback(0), seawall.retry({ maxAttempts: 2 }));
  await guard.run(() => 1);
  assert.deepEqual(events, []);
  await seawall.correlate('order-7', () => guard.run(fails));
  assert.deepEqual(
    events.map(({ event }) => event),
    ['attempt.failed', 'retry.scheduled', 'attempt.failed', 'retry.stopped', 'fallback.used'],
  );
  for (const event of events) {
    assert.equal(event.policy, 'story');
    assert.equal(event.correlation_id, 'order-7');
  }
});

test('diagnostics channels get what hooks get', async (t) => {
  virtual(t);
  const seen = [];
  const note = (message, name) => seen.push([name, message.event]);
  for (const topic of ['attempt', 'breaker', 'call']) {
    subscribe(`seawall:${topic}`, note);
    t.after(() => unsubscribe(`seawall:${topic}`, note));
  }
  const guard = seawall.circuitBreaker({ consecutiveFailures: 1 });
  await guard.run(fails).catch(() => undefined);
  await guard.run(fails).catch(() => undefined);
  assert.deepEqual(seen, [
    ['seawall:attempt', 'attempt.failed'],
    ['seawall:breaker', 'breaker.opened'],
    ['seawall:call', 'call.rejected'],
  ]);
});

test('an async hook is refused, a failing one hurts nobody and is reported once', async (t) => {
  virtual(t);
  assert.throws(() => seawall.onEvent(async () => undefined), seawall.ConfigError);
  const warning = once(process, 'warning');
  listen(t, () => {
    throw new Error('hook broke');
  });
  const heard = [];
  listen(t, ({ event }) => heard.push(event));
  await assert.rejects(seawall.retry({ maxAttempts: 2 }).run(fails), /boom/);
  assert.equal(heard.length, 4);
  const [{ message }] = await warning;
  assert.match(message, /hook broke/);
});

test('what a hook raises reaches no hook, and unsubscribing is final', async (t) => {
  virtual(t);
  let count = 0;
  const stop = seawall.onEvent(() => {
    count += 1;
    seawall.circuitBreaker().breaker.reset();
  });
  seawall.circuitBreaker().breaker.reset();
  assert.equal(count, 1);
  stop();
  seawall.circuitBreaker().breaker.reset();
  assert.equal(count, 1);
});

test('an event is one JSON line with a time', () => {
  const line = seawall.eventLine({ event: 'retry.stopped', severity: 'warning', policy: 'p', correlation_id: 'c', attempt: 2, reason: 'not_retryable' });
  assert.ok(!line.includes('\n'));
  const { time, ...rest } = JSON.parse(line);
  assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.equal(rest.reason, 'not_retryable');
});

test('metrics and snapshots count', async (t) => {
  virtual(t);
  const guard = seawall.policy('counted', seawall.retry({ maxAttempts: 2 }));
  await guard.run(() => 1);
  await guard.run(fails).catch(() => undefined);
  assert.equal(guard.snapshot().counts['seawall_calls_total:success'], 1);
  assert.equal(guard.snapshot().counts['seawall_retries_total'], 1);
  assert.match(seawall.metrics(), /seawall_calls_total\{policy="counted",lang="node",outcome="failure"\} 1/);
  assert.equal(seawall.snapshot().counted['seawall_attempts_total:failure'], 2);
});

test('a bulkhead that adapts shows its limit and tells each move', async (t) => {
  const hands = virtual(t);
  const told = [];
  const stop = seawall.onEvent((event) => told.push(event));
  const guard = seawall.policy('found', seawall.bulkhead({ adaptive: true, maxLimit: 4 }), seawall.timeout({ attempt: '1s' }));
  assert.equal(guard.snapshot().limits.limit, 4);
  for (let round = 0; round < 20; round += 1) {
    const late = assert.rejects(guard.run(() => { const { signal } = seawall.current(); return new Promise((_, fail) => signal.addEventListener('abort', () => fail(signal.reason))); }), { code: 'timeout.attempt' });
    await hands.advance('1s');
    await late;
    await hands.advance('1s');
  }
  stop();
  const moves = told.filter((event) => event.event === 'bulkhead.limit_changed');
  assert.deepEqual(moves.map((move) => [move.from, move.to, move.reason]), [[4, 3, 'drops'], [3, 2, 'drops'], [2, 1, 'drops']]);
  assert.throws(() => seawall.bulkhead({ adaptive: true, maxConcurrent: 3 }), /bulkhead\.max_concurrent.*max_limit/);
});
