// What happens after a call is over: work that was abandoned ends badly, and nobody is there to hear of it.

import assert from 'node:assert/strict';

import { bulkhead, circuitBreaker, fallback, hedge, policy, retry, timeout } from 'seawall';
import { clock } from 'seawall/testing';

import { errorOf, fails, probe, promised, settle } from './probe.mjs';

// An unhandled rejection ends the process with status 1: none of these may have one.

for (const [limit, code] of [['attempt', 'timeout.attempt'], ['total', 'timeout.total']]) {
  probe(`work that was cut by the ${limit} limit rejects later: handled`, async () => {
    const time = clock();
    const { promise, reject } = promised();
    const call = errorOf(policy(retry(), timeout({ [limit]: '1s' })).run(() => promise));
    await time.advance('10s');
    assert.equal((await call).code, code);
    reject(new Error('late'));
    await settle();
  });
}

probe('work that its caller gave up rejects later: handled', async () => {
  const controller = new AbortController();
  const { promise, reject } = promised();
  const call = errorOf(policy(retry(), bulkhead()).run(() => promise, { signal: controller.signal }));
  await settle();
  controller.abort();
  await call;
  reject(new Error('late'));
  await settle();
});

probe('the loser of a hedge rejects later, and so do all of them: handled', async () => {
  const time = clock();
  const first = promised();
  const call = hedge({ delay: '1s' }).run(({ attempt }) => (attempt === 1 ? first.promise : 'second'));
  await time.advance('1s');
  assert.equal(await call, 'second');
  first.reject(new Error('late'));
  await settle();
  const all = errorOf(hedge({ delay: '1s', maxHedges: 3 }).run(fails));
  await time.advance('10s');
  assert.equal((await all).message, 'boom');
});

probe('abandoned work throws in its own abort listener, or rejects with the signal\'s reason: handled', async () => {
  const time = clock();
  const call = errorOf(policy(timeout({ attempt: '1s' }), fallback({ value: 'instead', on: 'NEVER' })).run(async ({ signal }) => {
    await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  }));
  await time.advance('1s');
  assert.equal((await call).code, 'timeout.attempt');
});

probe('a stream whose consumer has gone rejects later: handled', async () => {
  const time = clock();
  const { promise, reject } = promised();
  const stream = timeout({ idle: '1s' }).stream(async function* () {
    yield 1;
    await promise;
  })();
  assert.equal((await stream.next()).value, 1);
  const next = errorOf(stream.next());
  await time.advance('1s');
  assert.equal((await next).code, 'timeout.idle');
  reject(new Error('late'));
  await settle();
});

probe('abandoned work succeeds later: its call stays failed, and it counts once', async () => {
  const time = clock();
  const { promise, resolve } = promised();
  const guard = policy(circuitBreaker({ consecutiveFailures: 10 }), timeout({ attempt: '1s' }));
  const call = errorOf(guard.run(() => promise));
  await time.advance('1s');
  assert.equal((await call).code, 'timeout.attempt');
  resolve('late');
  await settle();
  const { total, failures } = guard.breaker.counts;
  assert.deepEqual([total, failures], [1, 1]);
});

probe('abandoned work keeps its slot until it ends, and gives it back then', async () => {
  const time = clock();
  const guard = policy(bulkhead({ maxConcurrent: 1 }), timeout({ attempt: '1s' }));
  const { promise, reject } = promised();
  const call = errorOf(guard.run(() => promise));
  await time.advance('1s');
  await call;
  assert.equal((await errorOf(guard.run(() => 1))).code, 'bulkhead.full');
  reject(new Error('late'));
  await settle();
  assert.equal(await guard.run(() => 2), 2);
});
