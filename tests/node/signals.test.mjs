// The caller's signal, cut attempts, and what must never happen: unhandled rejections and leaked listeners.

import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';

import * as seawall from 'seawall';
import { clock } from 'seawall/testing';

const { bulkhead, circuitBreaker, fallback, policy, retry, timeout } = seawall;

function virtual(t, options) {
  const time = clock(options);
  t.after(() => time.restore());
  return time;
}

const never = () => new Promise(() => undefined);
const fails = () => Promise.reject(new Error('boom'));

test('a signal that is aborted already ends the call before it begins', async (t) => {
  virtual(t);
  let calls = 0;
  const reason = new Error('gave up');
  await assert.rejects(retry().run(() => (calls += 1), { signal: AbortSignal.abort(reason) }), (error) => error === reason);
  assert.equal(calls, 0);
});

for (const [where, guard, callee] of [
  ['back-off', () => retry({ baseDelay: '1m' }), fails],
  ['an attempt', () => policy(retry(), timeout({ total: '1m' })), never],
]) {
  test(`an abort ends ${where}, and the listener is gone`, async (t) => {
    const time = virtual(t, { autoAdvance: false });
    const abort = new AbortController();
    const reason = new Error('gave up');
    const promise = guard().run(callee, { signal: abort.signal });
    const rejected = assert.rejects(promise, (error) => error === reason);
    await time.advance('1s');
    assert.equal(getEventListeners(abort.signal, 'abort').length, 1);
    abort.abort(reason);
    await rejected;
    assert.equal(getEventListeners(abort.signal, 'abort').length, 0);
  });
}

test('an abort in a queue leaves it, holding nothing', async (t) => {
  const time = virtual(t);
  const guard = bulkhead({ maxConcurrent: 1, maxQueue: 1 });
  let release;
  const first = guard.run(() => new Promise((resolve) => (release = resolve)));
  const abort = new AbortController();
  const second = guard.run(() => 2, { signal: abort.signal });
  const rejected = assert.rejects(second, { name: 'AbortError' });
  await time.advance(0);
  abort.abort();
  await rejected;
  release(1);
  assert.equal(await first, 1);
  assert.equal(await guard.run(() => 3), 3);
});

test('an abort is neutral to the breaker and never answered by a fallback', async (t) => {
  const time = virtual(t);
  const guard = policy(fallback('instead'), circuitBreaker({ consecutiveFailures: 1 }));
  const abort = new AbortController();
  const promise = guard.run(({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))), { signal: abort.signal });
  const rejected = assert.rejects(promise, { name: 'AbortError' });
  await time.advance(0);
  abort.abort();
  await rejected;
  assert.equal(guard.breaker.state, 'closed');
  assert.equal(guard.breaker.counts.total, 0);
});

test('a cut attempt aborts its own signal; what it does later is nobody’s problem', async (t) => {
  const time = virtual(t);
  const unhandled = [];
  const note = (reason) => unhandled.push(reason);
  process.on('unhandledRejection', note);
  t.after(() => process.off('unhandledRejection', note));
  const signals = [];
  const late = [];
  const promise = policy(retry({ maxAttempts: 2 }), timeout({ attempt: '1s' })).run(({ signal }) => {
    signals.push(signal);
    return new Promise((_, reject) => late.push(reject));
  });
  const rejected = assert.rejects(promise, (error) => error instanceof seawall.TimeoutExceededError && error.code === 'timeout.attempt');
  await time.advance('3s');
  await rejected;
  assert.deepEqual(signals.map(({ aborted }) => aborted), [true, true]);
  for (const reject of late) reject(new Error('late'));
  await time.advance('1s');
  assert.deepEqual(unhandled, []);
});

test('the signal is made only when somebody reads it', async (t) => {
  virtual(t);
  const made = [];
  const Real = globalThis.AbortController;
  globalThis.AbortController = class extends Real {
    constructor() {
      super();
      made.push(this);
    }
  };
  t.after(() => (globalThis.AbortController = Real));
  await retry().run(() => 1);
  assert.equal(made.length, 0);
  await retry().run(({ signal }) => assert.equal(signal.aborted, false));
  assert.equal(made.length, 1);
});

test('an outer limit cuts what runs inside, back-off included', async (t) => {
  const time = virtual(t, { autoAdvance: false });
  let calls = 0;
  const inner = retry({ baseDelay: '10m', maxDelay: '10m', jitter: 'none' })(() => {
    calls += 1;
    return fails();
  });
  const promise = timeout({ total: '1s' }).run(() => inner());
  const rejected = assert.rejects(promise, (error) => error.code === 'timeout.total' || error.message === 'boom');
  await time.advance('1h');
  await rejected;
  assert.equal(calls, 1);
});

test('a total limit names the last error of the callee as its cause', async (t) => {
  const time = virtual(t);
  let calls = 0;
  const promise = policy(retry({ maxAttempts: 5, jitter: 'none' }), timeout({ total: '1s' })).run(() => ((calls += 1) === 1 ? fails() : never()));
  const rejected = assert.rejects(promise, (error) => error.code === 'timeout.total' && error.cause.message === 'boom');
  await time.advance('2s');
  await rejected;
});
