// Modes: enforce, shadow and disabled, as an option or as a function that is asked at each call.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as seawall from 'seawall';
import { clock } from 'seawall/testing';

const { circuitBreaker, policy, retry } = seawall;

function virtual(t, options) {
  const time = clock(options);
  t.after(() => time.restore());
  return time;
}

const fails = () => Promise.reject(new Error('boom'));

test('shadow judges and reports, and enforces nothing', async (t) => {
  const time = virtual(t);
  const guard = policy({ mode: 'shadow' }, retry({ baseDelay: '1s', jitter: 'none' }), circuitBreaker({ consecutiveFailures: 1 }));
  const events = [];
  t.after(seawall.onEvent(({ event }) => events.push(event)));
  await assert.rejects(guard.run(fails), { message: 'boom' });
  assert.equal(await guard.run(() => 1), 1, 'an open circuit lets it through');
  assert.equal(guard.breaker.counts.rejected, 1);
  assert.deepEqual(time.sleeps, []);
  assert.ok(events.includes('breaker.opened') && events.includes('call.rejected'));
});

test('a function is asked at each call', async (t) => {
  virtual(t);
  let mode = 'disabled';
  let asked = 0;
  const guard = policy({ mode: () => (asked += 1) && mode }, circuitBreaker({ consecutiveFailures: 1 }));
  await assert.rejects(guard.run(fails), { message: 'boom' });
  assert.equal(guard.breaker.state, 'closed');
  mode = 'shadow';
  await assert.rejects(guard.run(fails), { message: 'boom' });
  assert.equal(guard.breaker.state, 'open');
  assert.equal(await guard.run(() => 1), 1);
  mode = 'enforce';
  await assert.rejects(guard.run(() => 1), seawall.CircuitOpenError);
  assert.equal(asked, 4);
});

test('a function that says nonsense is told so, and costs nothing but its call', async (t) => {
  virtual(t);
  let mode = 'shadwo';
  const guard = policy({ mode: () => mode }, circuitBreaker({ consecutiveFailures: 1 }));
  await assert.rejects(guard.run(() => 1), (error) => error instanceof seawall.ConfigError && /shadwo/.test(error.message));
  mode = 'enforce';
  assert.equal(await guard.run(() => 1), 1);
  assert.equal(guard.breaker.counts.total, 1);
});

test('an unknown mode is refused where it is written', () => {
  assert.throws(() => policy({ mode: 'shadwo' }, retry()), (error) => error instanceof seawall.ConfigError && /mode/.test(error.path));
});
