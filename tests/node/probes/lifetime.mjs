// What stays: timers that hold the process, listeners, memory.
//
// The runner cuts a process that does not end by itself.

import assert from 'node:assert/strict';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { bulkhead, circuitBreaker, deadLetter, fallback, hedge, policy, rateLimit, retry, timeout } from 'seawall';

import { errorOf, fails, never, probe, promised, settle } from './probe.mjs';

const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;

probe('an open circuit with an hour to go: nothing holds the process', async () => {
  for (let n = 0; n < 100; n += 1) {
    const guard = circuitBreaker({ consecutiveFailures: 1, breakDuration: '1h', maxBreakDuration: '1h' });
    await errorOf(guard.run(fails));
  }
  assert.equal(timers(), 0);
});

probe('a call that ended long before its limit: nothing holds the process', async () => {
  await policy(retry(), timeout({ attempt: '1h', total: '2h' }), hedge({ delay: '1h' })).run(() => settle());
  await errorOf(timeout({ attempt: '1h' }).run(fails));
  assert.equal(timers(), 0);
});

probe('calls that never end, under limits and in a queue: the limits do not hold the process', async () => {
  void policy(retry(), timeout({ attempt: '1h' })).run(never);
  void hedge({ delay: '1h' }).run(never);
  const guard = bulkhead({ maxConcurrent: 1, maxQueue: 1, maxWait: '1h' });
  void guard.run(never);
  void guard.run(never);
  void circuitBreaker({ slowCallDuration: '1h' }).run(never);
  assert.equal(timers(), 0);
});

probe('ten thousand policies: none has a timer, a listener or a warning of its own', async () => {
  // Until the modules are loaded, Node and the runner have listeners that come and go.
  await settle();
  const before = process.listenerCount('exit') + process.listenerCount('beforeExit');
  const all = Array.from({ length: 10_000 }, () => policy(retry(), circuitBreaker(), bulkhead(), rateLimit({ rate: '10/s' }), timeout({ attempt: '1s' })));
  for (const guard of all) await guard.run(() => 1);
  assert.equal(timers(), 0);
  assert.equal(process.listenerCount('exit') + process.listenerCount('beforeExit'), before);
});

probe('a dead letter in memory: nothing holds the process', async () => {
  await errorOf(policy(deadLetter('orders', { store: 'memory:' }))(fails)());
});

/** Bytes that are reachable. */
async function reachable() {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc');
  for (let round = 0; round < 3; round += 1) {
    await settle();
    gc();
  }
  return process.memoryUsage().heapUsed;
}

probe('two hundred thousand calls: nothing of them is kept', async () => {
  const controller = new AbortController();
  const guard = policy(fallback('instead'), retry({ maxAttempts: 1 }), circuitBreaker({ consecutiveFailures: 1000 }), bulkhead(), timeout({ attempt: '1h' }));
  const round = async (n) => {
    for (let i = 0; i < n; i += 1) await guard.run(() => (i % 100 === 0 ? fails() : i), i % 10 === 0 ? { signal: controller.signal } : undefined);
  };
  await round(20_000);
  const before = await reachable();
  await round(200_000);
  const grown = (await reachable()) - before;
  // What one object a call would take, many times over.
  assert.ok(grown < 200_000 * 8, `${grown} bytes`);
});

probe('ten thousand calls that were abandoned and ended: nothing of them is kept', async () => {
  const controller = new AbortController();
  const guard = policy(retry(), bulkhead({ maxConcurrent: 10_000 }), timeout({ attempt: '1h' }));
  const round = async (n) => {
    for (let i = 0; i < n; i += 100) {
      const work = promised();
      const own = new AbortController();
      const calls = Array.from({ length: 100 }, () => errorOf(guard.run(() => work.promise, { signal: own.signal })));
      own.abort(controller);
      await Promise.all(calls);
      work.resolve();
      await settle();
    }
  };
  await round(2_000);
  const before = await reachable();
  await round(10_000);
  const grown = (await reachable()) - before;
  assert.ok(grown < 10_000 * 64, `${grown} bytes`);
});
