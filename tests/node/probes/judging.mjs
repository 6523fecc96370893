// What counts as a failure, and what follows from it.

import assert from 'node:assert/strict';

import { circuitBreaker, CircuitOpenError, failure, onEvent, policy, retry, timeout } from 'seawall';
import { clock } from 'seawall/testing';

import { errorOf, fails, probe } from './probe.mjs';

const status = (code, extra = {}) => () => Promise.reject(Object.assign(new Error(`status ${code}`), { status: code, ...extra }));

probe('the first failure of a quiet service: the circuit stays closed', async () => {
  clock();
  const guard = circuitBreaker();
  await errorOf(guard.run(fails));
  assert.equal(guard.breaker.state, 'closed');
});

probe('a client\'s mistake, 4xx: no failure of the service, and not retried; 429 is', async () => {
  clock();
  let calls = 0;
  const guard = policy(retry({ maxAttempts: 2 }), circuitBreaker({ consecutiveFailures: 2 }));
  for (let n = 0; n < 10; n += 1) await errorOf(guard.run(() => (calls += 1, status(404)())));
  assert.deepEqual([calls, guard.breaker.state], [10, 'closed']);
  await errorOf(guard.run(() => (calls += 1, status(429)())));
  assert.deepEqual([calls, guard.breaker.state], [12, 'open']);
});

probe('a result that says 503: a failure where `onResult` says so, and given back in the end', async () => {
  clock();
  let calls = 0;
  const onResult = (response) => response.status >= 500;
  const guard = policy(retry({ maxAttempts: 3, onResult }), circuitBreaker({ consecutiveFailures: 3, onResult }));
  const response = await guard.run(() => (calls += 1, { status: 503 }));
  assert.deepEqual([response.status, calls, guard.breaker.state], [503, 3, 'open']);
});

probe('a programming error: it is not retried, and opens no circuit', async () => {
  clock();
  let calls = 0;
  const guard = policy(retry(), circuitBreaker({ consecutiveFailures: 1 }));
  const error = await errorOf(guard.run(() => (calls += 1, undefined.property)));
  assert.ok(error instanceof TypeError);
  assert.deepEqual([calls, guard.breaker.state], [1, 'closed']);
});

probe('a retry around a circuit that opens: it stops, and the callee\'s own error surfaces', async () => {
  clock();
  let calls = 0;
  const error = await errorOf(policy(retry({ maxAttempts: 10 }), circuitBreaker({ consecutiveFailures: 2 })).run(() => (calls += 1, fails())));
  assert.deepEqual([calls, error.message, failure(error).reason], [2, 'boom', 'breaker_open']);
});

probe('a rejection by an inner circuit: no failure of the outer one, and not retried', async () => {
  clock();
  const inner = circuitBreaker({ consecutiveFailures: 1 });
  await errorOf(inner.run(fails));
  const outer = policy(retry(), circuitBreaker({ consecutiveFailures: 1 }));
  let calls = 0;
  assert.ok((await errorOf(outer.run(() => (calls += 1, inner.run(() => 1))))) instanceof CircuitOpenError);
  assert.deepEqual([calls, outer.breaker.state], [1, 'closed']);
});

probe('Retry-After: waited for, never undercut, and not waited for where it is too long', async () => {
  const time = clock();
  const guard = retry({ maxAttempts: 2, jitter: 'none', baseDelay: '100ms' });
  await errorOf(guard.run(status(503, { headers: { 'retry-after': '7' } })));
  assert.ok(time.sleeps.length === 1 && time.sleeps[0] >= 7000, String(time.sleeps));
  const error = await errorOf(guard.run(status(503, { headers: new Headers({ 'Retry-After': '3600' }) })));
  assert.deepEqual([time.sleeps.length, failure(error).reason], [1, 'retry_after_too_long']);
});

probe('a service that is down for everybody: a budget keeps the retries from doubling its load', async () => {
  clock();
  let calls = 0;
  const guard = retry({ maxAttempts: 4 });
  const reasons = new Set();
  for (let n = 0; n < 500; n += 1) reasons.add(failure(await errorOf(guard.run(() => (calls += 1, fails())))).reason);
  assert.ok(calls < 500 * 1.5, `${calls} calls`);
  assert.ok(reasons.has('budget_exhausted'));
});

probe('policies that are idle or succeed: no event', async () => {
  clock();
  const events = [];
  onEvent((event) => void events.push(event));
  const guard = policy(retry(), circuitBreaker(), timeout({ attempt: '1s', total: '5s' }));
  for (let n = 0; n < 100; n += 1) await guard.run(() => n);
  assert.deepEqual(events, []);
});

probe('the wait before the next attempt: shorter than what is left of the total, or none is made', async () => {
  const time = clock();
  let calls = 0;
  const error = await errorOf(policy(retry({ baseDelay: '3s', jitter: 'none' }), timeout({ total: '2s' })).run(() => (calls += 1, fails())));
  assert.deepEqual([calls, time.sleeps.length, error.message, failure(error).reason], [1, 0, 'boom', 'no_time_left']);
});
