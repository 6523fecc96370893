// The caller's signal, and the attempt's.

import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';

import { bulkhead, circuitBreaker, current, deadLetter, DeadLetterQueue, fallback, hedge, policy, rateLimit, retry, timeout } from 'seawall';
import { clock } from 'seawall/testing';

import { errorOf, fails, never, probe, promised, settle } from './probe.mjs';

const left = new Error('the user left');

probe('an attempt that is out of time: its function sees the aborted signal', async () => {
  const time = clock();
  const seen = [];
  const call = errorOf(policy(retry({ maxAttempts: 2 }), timeout({ attempt: '1s' })).run(({ signal }) => {
    seen.push(signal);
    return never();
  }));
  await time.advance('5s');
  assert.equal((await call).code, 'timeout.attempt');
  assert.deepEqual(seen.map(({ aborted }) => aborted), [true, true]);
  assert.notEqual(seen[0], seen[1]);
});

probe('a signal that is read after the attempt was cut: it is aborted already', async () => {
  const time = clock();
  const { promise, resolve } = promised();
  let seen;
  const call = errorOf(timeout({ attempt: '1s' }).run(async () => {
    await promise;
    seen = current().signal;
  }));
  await time.advance('1s');
  await call;
  resolve();
  await settle();
  assert.equal(seen.aborted, true);
});

probe('an abort in a back-off of an hour: the call ends, and no timer is left', async () => {
  const controller = new AbortController();
  const call = errorOf(retry({ baseDelay: '1h', maxDelay: '1h', jitter: 'none' }).run(fails, { signal: controller.signal }));
  await settle();
  controller.abort(left);
  assert.equal(await call, left);
});

probe('an abort in a queue: the call leaves it, and the next has its place', async () => {
  const guard = bulkhead({ maxConcurrent: 1, maxQueue: 1 });
  const { promise, resolve } = promised();
  const first = guard.run(() => promise);
  const controller = new AbortController();
  let ran = false;
  const second = errorOf(guard.run(() => (ran = true), { signal: controller.signal }));
  await settle();
  controller.abort(left);
  assert.equal(await second, left);
  const third = guard.run(() => 'third');
  resolve('first');
  assert.deepEqual([await first, await third, ran], ['first', 'third', false]);
});

probe('an abort in a wait for the rate limit: the call ends, and its turn is given back', async () => {
  const time = clock({ autoAdvance: false });
  const guard = rateLimit({ rate: '1/s', burst: 1, maxWait: '10s' });
  await guard.run(() => 1);
  const controller = new AbortController();
  const second = errorOf(guard.run(() => 2, { signal: controller.signal }));
  await settle();
  controller.abort(left);
  assert.equal(await second, left);
  const third = guard.run(() => 3);
  await time.advance('1s');
  assert.equal(await third, 3);
});

probe('an abort in an attempt whose function takes no notice: the call ends at once', async () => {
  for (const guard of [retry(), timeout({ attempt: '1h' }), bulkhead(), hedge({ delay: '1h' }), policy(retry(), circuitBreaker(), timeout({ total: '1h' }))]) {
    const controller = new AbortController();
    const call = errorOf(guard.run(never, { signal: controller.signal }));
    await settle();
    controller.abort(left);
    assert.equal(await call, left);
  }
});

probe('an abort is nobody\'s failure: no vote, no retry, no fallback, no letter', async () => {
  clock();
  let calls = 0;
  const guard = policy('shop', fallback('instead'), deadLetter('orders', { store: 'memory:' }), retry(), circuitBreaker({ consecutiveFailures: 1 }));
  const controller = new AbortController();
  const call = errorOf(guard.run(({ signal }) => {
    calls += 1;
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  }, { signal: controller.signal }));
  await settle();
  controller.abort(left);
  assert.equal(await call, left);
  assert.equal(calls, 1);
  assert.equal(guard.breaker.state, 'closed');
  assert.deepEqual([guard.breaker.counts.total, guard.breaker.counts.failures], [0, 0]);
  assert.equal((await new DeadLetterQueue('orders', { store: 'memory:' }).peek()).length, 0);
});

probe('a caller\'s time limit by AbortSignal.timeout: it ends the call with its own reason', async () => {
  const guard = policy(retry(), circuitBreaker({ consecutiveFailures: 1 }));
  // The process would end before: a signal's own timer does not keep it alive, and neither does the call.
  const alive = setInterval(() => undefined, 1000);
  const error = await errorOf(guard.run(never, { signal: AbortSignal.timeout(10) }));
  clearInterval(alive);
  assert.equal(error.name, 'TimeoutError');
  assert.equal(guard.breaker.counts.total, 0);
});

probe('a signal shared by a hundred calls in a row: no listener is left on it', async () => {
  clock();
  const { signal } = new AbortController();
  const guard = policy(retry({ maxAttempts: 2 }), circuitBreaker({ consecutiveFailures: 1000 }), bulkhead(), timeout({ attempt: '1s', total: '5s' }));
  for (let n = 0; n < 100; n += 1) {
    const call = guard.run((now) => {
      assert.equal(now.signal.aborted, false);
      return n % 3 === 0 ? fails() : n;
    }, { signal });
    await call.catch(() => undefined);
  }
  assert.equal(getEventListeners(signal, 'abort').length, 0);
});

probe('a signal shared by five hundred calls at once: no warning, and no listener is left on it', async () => {
  clock();
  const { signal } = new AbortController();
  const guard = policy(retry(), bulkhead({ maxConcurrent: 100, maxQueue: 400 }), timeout({ attempt: '1h' }));
  const { promise, resolve } = promised();
  const calls = Array.from({ length: 500 }, () => guard.run((now) => promise.then(() => now.signal.aborted), { signal }));
  await settle();
  resolve();
  assert.ok((await Promise.all(calls)).every((aborted) => !aborted));
  assert.equal(getEventListeners(signal, 'abort').length, 0);
});

probe('five hundred calls at once that read their signals and share none: no warning', async () => {
  clock();
  const guard = policy(retry(), timeout({ attempt: '1h' }));
  const outer = policy(retry(), timeout({ total: '2h' }));
  await outer.run(() => Promise.all(Array.from({ length: 500 }, () => guard.run(async ({ signal }) => {
    await settle();
    return signal.aborted;
  }))));
});
