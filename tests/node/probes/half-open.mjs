// A circuit that is half open: who gets in, and what becomes of those who do.

import assert from 'node:assert/strict';

import { bulkhead, CircuitOpenError, circuitBreaker, policy, timeout } from 'seawall';
import { clock } from 'seawall/testing';

import { errorOf, fails, never, probe, promised } from './probe.mjs';

/** An open circuit, and the time at which it is half open. */
async function opened(options = {}, ...parts) {
  const time = clock();
  const guard = policy(circuitBreaker({ consecutiveFailures: 1, breakDuration: '5s', breakJitter: 0, halfOpenMaxCalls: 3, halfOpenSuccesses: 2, ...options }), ...parts);
  await errorOf(guard.run(fails));
  assert.equal(guard.breaker.state, 'open');
  await time.advance('5s');
  return { time, guard };
}

probe('a herd at a half-open circuit: only the trials get in, and the others are turned away at once and not parked', async () => {
  const { guard } = await opened();
  const { promise, resolve } = promised();
  let inside = 0;
  const herd = Array.from({ length: 50 }, () =>
    guard.run(() => {
      inside += 1;
      return promise;
    }).catch((error) => error),
  );
  const refused = await Promise.all(herd.slice(3));
  assert.ok(refused.every((error) => error instanceof CircuitOpenError));
  assert.equal(inside, 3);
  resolve('up');
  assert.deepEqual(await Promise.all(herd.slice(0, 3)), ['up', 'up', 'up']);
  assert.equal(guard.breaker.state, 'closed');
  assert.equal(inside, 3);
});

probe('a herd in the queue of a bulkhead above a circuit that opens: it is turned away at once', async () => {
  clock();
  const guard = policy(circuitBreaker({ consecutiveFailures: 1 }), bulkhead({ maxConcurrent: 1, maxQueue: 50 }));
  const { promise, reject } = promised();
  const first = errorOf(guard.run(() => promise));
  const queued = Array.from({ length: 50 }, () => errorOf(guard.run(() => 'never')));
  reject(new Error('boom'));
  assert.equal((await first).message, 'boom');
  assert.ok((await Promise.all(queued)).every((error) => error instanceof CircuitOpenError));
});

probe('a trial that never settles: its lease lapses, and the circuit lives on', async () => {
  const { time, guard } = await opened({ halfOpenMaxCalls: 1, halfOpenSuccesses: 1, halfOpenLease: '10s' });
  void guard.run(never);
  assert.ok((await errorOf(guard.run(() => 1))) instanceof CircuitOpenError);
  await time.advance('10s');
  assert.equal(guard.breaker.state, 'open');
  await time.advance('10s');
  assert.equal(await guard.run(() => 'up'), 'up');
  assert.equal(guard.breaker.state, 'closed');
});

probe('a caller who gives up on a trial: no vote, and the slot is free for the next', async () => {
  const { guard } = await opened({ halfOpenMaxCalls: 1, halfOpenSuccesses: 1 });
  const controller = new AbortController();
  const trial = errorOf(guard.run(({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))), { signal: controller.signal }));
  controller.abort(new Error('the user left'));
  assert.equal((await trial).message, 'the user left');
  assert.equal(guard.breaker.state, 'half_open');
  assert.equal(await guard.run(() => 'up'), 'up');
  assert.equal(guard.breaker.state, 'closed');
});

probe('a caller who gives up on a trial that will not hear of it: the slot is free when the work ends', async () => {
  const { time, guard } = await opened({ halfOpenMaxCalls: 1, halfOpenSuccesses: 1 });
  const controller = new AbortController();
  const { promise, reject } = promised();
  const trial = errorOf(guard.run(() => promise, { signal: controller.signal }));
  controller.abort();
  assert.equal((await trial).name, 'AbortError');
  reject(new Error('late'));
  await time.advance(0);
  assert.equal(guard.breaker.state, 'half_open');
  assert.equal(await guard.run(() => 'up'), 'up');
});

for (const [what, end] of [['success', ({ resolve }) => resolve('late')], ['failure', ({ reject }) => reject(new Error('late'))]]) {
  probe(`a ${what} of a call that began before the circuit opened: it has no vote in the half-open circuit`, async () => {
    const time = clock();
    const guard = circuitBreaker({ consecutiveFailures: 1, breakDuration: '5s', breakJitter: 0, halfOpenMaxCalls: 1, halfOpenSuccesses: 1 });
    const early = promised();
    const call = guard.run(() => early.promise).catch((error) => error);
    await errorOf(guard.run(fails));
    await time.advance('5s');
    const trial = promised();
    const tried = guard.run(() => trial.promise);
    end(early);
    await call;
    assert.equal(guard.breaker.state, 'half_open');
    trial.resolve('up');
    await tried;
    assert.equal(guard.breaker.state, 'closed');
  });
}

probe('a trial cut by its time limit: it votes as a failure, and the slot does not stay taken', async () => {
  const { time, guard } = await opened({ halfOpenMaxCalls: 1, halfOpenSuccesses: 1 }, timeout({ attempt: '1s' }));
  const trial = errorOf(guard.run(never));
  await time.advance('1s');
  assert.equal((await trial).code, 'timeout.attempt');
  assert.equal(guard.breaker.state, 'open');
  await time.advance('10s');
  assert.equal(await guard.run(() => 'up'), 'up');
});
