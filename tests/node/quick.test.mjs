// The quick path, where it could differ from the driver: context, time, changes, workers.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { after, describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';

import * as seawall from 'seawall';

const require = createRequire(import.meta.url);
const path = fileURLToPath(new URL('../../bindings-node/dist/', import.meta.url));
const { taken } = require(`${path}quick.js`);

const turn = () => new Promise((resolve) => setImmediate(resolve));
/** How many calls of `work` took the quick path from the beginning to the end, and began there. */
async function ways(work) {
  const before = { ...taken };
  await work();
  return { quick: taken.quick - before.quick, resumed: taken.resumed - before.resumed, driver: taken.driver - before.driver };
}

const isOn = process.env['SEAWALL_FAST'] !== '0';

describe('the quick path', { skip: isOn ? false : 'switched off' }, () => {
  // Limits keep no process alive by themselves.
  const alive = setInterval(() => undefined, 1000);
  after(() => clearInterval(alive));

  test('is taken by every strategy that can do without the machine', async () => {
    const policies = [
      seawall.circuitBreaker(),
      seawall.retry(),
      seawall.bulkhead({ maxConcurrent: 2, maxQueue: 5 }),
      seawall.timeout({ attempt: '1s', total: '2s' }),
      seawall.policy(seawall.fallback(0), seawall.retry(), seawall.circuitBreaker(), seawall.bulkhead({ maxConcurrent: 2 }), seawall.timeout({ attempt: '1s' })),
    ];
    for (const policy of policies) {
      const guarded = policy(async (value) => value);
      assert.deepEqual(await ways(async () => assert.equal(await guarded(7), 7)), { quick: 1, resumed: 0, driver: 0 });
    }
  });

  test('is left to the driver where something has to be asked first', async () => {
    const calls = [
      seawall.rateLimit({ rate: '100/s' })(async () => 1),
      seawall.circuitBreaker({ key: () => 'a' })(async () => 1),
      seawall.circuitBreaker().using({ signal: new AbortController().signal })(async () => 1),
      seawall.circuitBreaker({ slowCallDuration: '1s' })(async () => 1),
    ];
    for (const guarded of calls) assert.deepEqual(await ways(() => guarded()), { quick: 0, resumed: 0, driver: 1 });
  });

  test('gives plain values, thenables and synchronous errors as the driver does', async () => {
    const policy = seawall.circuitBreaker({ consecutiveFailures: 100 });
    assert.equal(await policy(() => 3)(), 3);
    assert.equal(await policy(() => ({ then: (resolve) => resolve(4) }))(), 4);
    const wrong = new Error('at once');
    await assert.rejects(
      policy(() => {
        throw wrong;
      })(),
      (error) => error === wrong,
    );
    const receiver = { factor: 3, times: policy(async function (by) {
      return this.factor * by;
    }) };
    assert.equal(await receiver.times(2), 6);
  });

  test('keeps the context after an await, in a retry, in a fallback and around the call', async () => {
    const seen = [];
    const look = () => seen.push([seawall.current().attempt, seawall.correlationId()]);
    const steps = seawall.policy(seawall.fallback(async () => void (await turn(), look())), seawall.retry({ maxAttempts: 2, baseDelay: 1 }));
    await seawall.correlate('here', async () => {
      await steps(async () => {
        await turn();
        look();
        throw new Error('again');
      })();
      look();
    });
    assert.deepEqual(seen, [[1, 'here'], [2, 'here'], [2, 'here'], [0, 'here']]);
  });

  test('mints one correlation id for a call, asked for early or late', async () => {
    let first;
    const guarded = seawall.retry({ maxAttempts: 2, baseDelay: 1 })(async () => {
      const { attempt, correlationId } = seawall.current();
      if (attempt === 2) return assert.equal(correlationId, first);
      await turn();
      first = correlationId;
      assert.equal(seawall.current().correlationId, first);
      throw new Error('again');
    });
    await guarded();
    assert.match(first, /^[0-9a-f-]{36}$/);
  });

  test('cuts what takes too long, and aborts its signal', async () => {
    let signal;
    const guarded = seawall.timeout({ attempt: 20 })(() => {
      ({ signal } = seawall.current());
      return new Promise(() => undefined);
    });
    const { resumed } = await ways(() => assert.rejects(guarded(), seawall.TimeoutExceededError));
    assert.equal(resumed, 1);
    assert.equal(signal.aborted, true);
  });

  test('counts a call that ends after its limit as late, once', async () => {
    let end;
    const policy = seawall.policy(seawall.bulkhead({ maxConcurrent: 1 }), seawall.timeout({ attempt: 10 }));
    const guarded = policy((value) => (value === 1 ? new Promise((resolve) => (end = resolve)) : value));
    await assert.rejects(guarded(1), seawall.TimeoutExceededError);
    assert.equal(policy.snapshot().limits.inFlight, 1, 'what was abandoned holds its slot');
    end();
    await turn();
    assert.equal(await guarded(2), 2);
    assert.equal(policy.snapshot().limits.inFlight, 0);
  });

  test('shows what it counted, and what it holds, to whoever looks', async () => {
    const policy = seawall.policy(seawall.circuitBreaker(), seawall.bulkhead({ maxConcurrent: 3 }));
    const ends = [];
    const guarded = policy(() => new Promise((resolve) => ends.push(resolve)));
    const calls = [guarded(), guarded()];
    assert.equal(policy.snapshot().limits.inFlight, 2);
    ends.forEach((end) => end());
    await Promise.all(calls);
    assert.equal(policy.snapshot().limits.inFlight, 0);
    assert.equal(policy.breaker.counts.total, 2);
  });

  test('turns calls away while the circuit is open, with all that a rejection says', async () => {
    const policy = seawall.circuitBreaker({ consecutiveFailures: 1, breakDuration: '1m' });
    const guarded = policy(async () => {
      throw new Error('down');
    });
    await assert.rejects(guarded());
    const { quick } = await ways(() =>
      assert.rejects(guarded(), (error) => {
        assert(error instanceof seawall.CircuitOpenError);
        assert.equal(error.state, 'open');
        assert.deepEqual(error.counts, { total: 1, failures: 1 });
        assert(error.retryAfterMs > 0);
        assert.equal(seawall.failure(error).correlationId, error.correlationId);
        return true;
      }),
    );
    assert.equal(quick, 1);
    assert.equal(policy.breaker.counts.rejected, 1);
    policy.breaker.reset();
    await assert.rejects(guarded(), /down/);
  });

  test('ends with a mode that is set, and comes back with it', async () => {
    const policy = seawall.circuitBreaker();
    const guarded = policy(async () => 1);
    assert.equal((await ways(guarded)).quick, 1);
    policy.setMode('disabled', { reason: 'test' });
    assert.equal((await ways(guarded)).quick, 0);
    policy.setMode('shadow', { reason: 'test' });
    assert.equal((await ways(guarded)).quick, 0);
  });

  test('workers that come and go under load lose no count and keep no slot', { timeout: 60_000 }, async () => {
    const CALLS = 300;
    const source = `
      const { workerData } = require('node:worker_threads');
      const seawall = require(workerData.path + 'index.js');
      const policy = seawall.policy('workers', seawall.circuitBreaker({ samplingDuration: '10m' }), seawall.bulkhead({ maxConcurrent: 50 }));
      const guarded = policy(async (value) => value);
      (async () => {
        for (let i = 0; i < ${CALLS}; i++) await guarded(i);
        // Some end with calls under way.
        if (workerData.dies) { policy(() => new Promise(() => undefined))(); process.exit(0); }
      })();
    `;
    const policy = seawall.policy('workers', seawall.circuitBreaker({ samplingDuration: '10m' }), seawall.bulkhead({ maxConcurrent: 50 }));
    const guarded = policy(async (value) => value);
    let isOver = false;
    let own = 0;
    const load = (async () => {
      for (; !isOver; own++) {
        await guarded(own);
        if (own % 50 === 0) await turn();
      }
    })();
    let workers = 0;
    for (let round = 0; round < 5; round++) {
      const ended = [0, 1].map((place) => {
        workers += 1;
        const worker = new Worker(source, { eval: true, workerData: { path, dies: place === 1 } });
        return new Promise((resolve, reject) => worker.on('exit', resolve).on('error', reject));
      });
      await Promise.all(ended);
    }
    isOver = true;
    await load;
    assert.equal(policy.breaker.counts.total, own + workers * CALLS);
    assert.equal(policy.snapshot().limits.inFlight, 0, 'what an isolate has left behind is over');
  });
});
