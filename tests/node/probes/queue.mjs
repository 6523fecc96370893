// Queues that wedge, leak slots or lose their order.

import assert from 'node:assert/strict';

import { bulkhead, policy, retry, timeout } from 'seawall';
import { clock } from 'seawall/testing';

import { errorOf, never, probe, promised, settle } from './probe.mjs';

probe('a thousand calls that succeed, fail, throw, are aborted and run out of time: every one ends, and every slot is free after', async () => {
  const time = clock();
  const guard = policy(bulkhead({ maxConcurrent: 7, maxQueue: 1000 }), timeout({ attempt: '1s' }));
  const kinds = [
    () => settle(),
    () => Promise.reject(new Error('boom')),
    () => {
      throw new Error('boom');
    },
    ({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  ];
  const calls = Array.from({ length: 1000 }, (_, n) => {
    const controller = new AbortController();
    if (n % 5 === 0) setImmediate(() => controller.abort());
    return guard.run(kinds[n % kinds.length], { signal: controller.signal }).catch(() => undefined);
  });
  await time.advance('10m');
  await Promise.all(calls);
  // What was abandoned comes to its end.
  await settle();
  await settle();
  const { inFlight, queued } = guard.snapshot().limits;
  assert.deepEqual([inFlight, queued], [0, 0]);
  const open = promised();
  const full = Array.from({ length: 7 }, () => guard.run(() => open.promise));
  await settle();
  assert.equal(guard.snapshot().limits.inFlight, 7);
  open.resolve('free');
  assert.deepEqual(await Promise.all(full), Array(7).fill('free'));
});

probe('a queue: first come, first served', async () => {
  const guard = bulkhead({ maxConcurrent: 1, maxQueue: 100 });
  const order = [];
  await Promise.all(Array.from({ length: 100 }, (_, n) => guard.run(async () => {
    if (n % 3 === 0) await settle();
    order.push(n);
  })));
  assert.deepEqual(order, Array.from({ length: 100 }, (_, n) => n));
});

probe('a queue that is full, and a wait that is too long: told apart from the callee\'s errors, at once', async () => {
  const time = clock();
  const guard = bulkhead({ maxConcurrent: 1, maxQueue: 1, maxWait: '1s' });
  void guard.run(never);
  const queued = errorOf(guard.run(() => 1));
  assert.equal((await errorOf(guard.run(() => 1))).code, 'bulkhead.full');
  await time.advance('1s');
  assert.equal((await queued).code, 'bulkhead.full');
});

probe('a call inside another of the same bulkhead: refused at once, where it would wait for itself', async () => {
  const guard = bulkhead({ maxConcurrent: 1, maxQueue: 10 });
  const error = await errorOf(guard.run(() => guard.run(() => 1)));
  assert.equal(error.code, 'bulkhead.full');
});

probe('a retry around a bulkhead: a back-off holds no slot', async () => {
  const time = clock({ autoAdvance: false });
  const guard = policy(retry({ baseDelay: '1h', maxDelay: '1h', jitter: 'none' }), bulkhead({ maxConcurrent: 1 }));
  let calls = 0;
  const waiting = guard.run(() => ((calls += 1) === 1 ? Promise.reject(new Error('boom')) : 'again'));
  await settle();
  assert.equal(await guard.run(() => 'in between'), 'in between');
  await time.advance('1h');
  assert.equal(await waiting, 'again');
});
