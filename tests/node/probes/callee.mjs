// What a guarded function may be: anything that can be called.

import assert from 'node:assert/strict';

import { bulkhead, circuitBreaker, fallback, hedge, policy, rateLimit, retry, timeout } from 'seawall';
import { clock } from 'seawall/testing';

import { errorOf, probe } from './probe.mjs';

/** Every strategy by itself, and all of them at once. */
const guards = () => ({
  retry: retry(),
  circuitBreaker: circuitBreaker(),
  bulkhead: bulkhead(),
  rateLimit: rateLimit({ rate: '1000/s' }),
  timeout: timeout({ attempt: '1s', total: '5s' }),
  hedge: hedge({ delay: '1s' }),
  all: policy(fallback({ value: 'instead', on: 'EFALLBACK' }), retry(), circuitBreaker(), bulkhead(), rateLimit({ rate: '1000/s' }), timeout({ attempt: '1s' })),
});

probe('a function that throws synchronously: the guarded one rejects, and never throws', async () => {
  clock();
  for (const [name, guard] of Object.entries(guards())) {
    const boom = new Error('boom');
    const promise = guard(() => {
      throw boom;
    })();
    assert.ok(promise instanceof Promise, name);
    assert.equal(await errorOf(promise), boom, name);
  }
});

probe('a synchronous throw counts as a failure: retried, and seen by the circuit', async () => {
  clock();
  let calls = 0;
  const guard = policy(retry({ maxAttempts: 3 }), circuitBreaker({ consecutiveFailures: 3 }));
  await errorOf(guard.run(() => {
    calls += 1;
    throw new Error('boom');
  }));
  assert.equal(calls, 3);
  assert.equal(guard.breaker.state, 'open');
});

probe('a function that returns a plain value, or nothing: that is its result', async () => {
  clock();
  for (const [name, guard] of Object.entries(guards())) {
    for (const value of [undefined, null, 0, '', false, Number.NaN, {}, 'text']) assert.equal(await guard(() => value)(), value, name);
    if (guard.breaker !== undefined && (name === 'all' || name === 'circuitBreaker')) assert.equal(guard.breaker.counts.failures, 0);
  }
});

probe('a thenable of another library: it is awaited, and what it does twice is done once', async () => {
  clock();
  for (const [name, guard] of Object.entries(guards())) {
    const twice = (resolve, reject) => {
      resolve('first');
      resolve('second');
      reject(new Error('third'));
    };
    assert.equal(await guard(() => ({ then: twice }))(), 'first', name);
    class Mine extends Promise {}
    assert.equal(await guard(() => Mine.resolve('mine'))(), 'mine', name);
    const broken = { get then() { throw new Error('no then'); } };
    assert.equal((await errorOf(guard(() => broken)())).message, 'no then', name);
  }
});

probe('a method: `this` is kept in every attempt, and in a fallback', async () => {
  clock();
  for (const [name, guard] of Object.entries(guards())) {
    const seen = [];
    const till = {
      charge: guard(function charge(cents) {
        seen.push(this);
        if (seen.length < 2 && (name === 'retry' || name === 'all')) throw new Error('boom');
        return cents;
      }),
    };
    assert.equal(await till.charge(7), 7, name);
    assert.ok(seen.every((self) => self === till), name);
  }
  const till = {
    rate: 3,
    price: policy(fallback(function cached(n) { return this.rate * n; }))(function price() { throw new Error('boom'); }),
  };
  assert.equal(await till.price(2), 6);
});

probe('what is thrown may be anything: it surfaces as it is', async () => {
  clock();
  for (const thrown of [undefined, null, 0, 'text', Symbol.for('s'), Object.freeze(new Error('frozen'))]) {
    for (const [name, guard] of Object.entries(guards())) {
      assert.equal(await errorOf(guard(() => Promise.reject(thrown))()), thrown, name);
    }
  }
});

probe('a function called again and again with one arguments list: an attempt cannot spoil the next one\'s', async () => {
  clock();
  const seen = [];
  const guarded = retry({ maxAttempts: 3 })((...args) => {
    seen.push([...args]);
    args.push('spoilt');
    if (seen.length < 3) throw new Error('boom');
  });
  await guarded(1, 2);
  assert.deepEqual(seen, [[1, 2], [1, 2], [1, 2]]);
});
