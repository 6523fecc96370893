// Hedges: another attempt beside a slow one; the first good result wins, the loser is told to stop and frees its slot when it really ends.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as seawall from 'seawall';
import { clock } from 'seawall/testing';

const { bulkhead, circuitBreaker, hedge, policy, timeout } = seawall;

function virtual(t, options) {
  const time = clock(options);
  t.after(() => time.restore());
  return time;
}

/** A callee that parks each attempt, with its signal. */
function parking() {
  const attempts = [];
  const callee = () =>
    new Promise((resolve, reject) => {
      const { attempt: number, signal } = seawall.current();
      attempts.push({ number, signal, resolve, reject });
    });
  return { attempts, callee };
}

test('the hedge wins: its value is the call’s, and the slow attempt is aborted', async (t) => {
  const time = virtual(t);
  const { attempts, callee } = parking();
  const guard = policy(hedge({ delay: '100ms' }), circuitBreaker());
  const events = [];
  t.after(seawall.onEvent(({ event }) => events.push(event)));
  const promise = guard(callee)();
  await time.advance('99ms');
  assert.equal(attempts.length, 1);
  await time.advance('1ms');
  assert.deepEqual(attempts.map(({ number }) => number), [1, 2]);
  assert.ok(events.includes('hedge.started'));
  attempts[1].resolve('second');
  assert.equal(await promise, 'second');
  assert.deepEqual(attempts.map(({ signal }) => signal.aborted), [true, false]);
  assert.deepEqual([guard.breaker.counts.total, guard.breaker.counts.failures], [1, 0], 'the loser does not vote');
  attempts[0].resolve('first');
  await time.advance('1s');
  assert.equal(guard.breaker.counts.total, 1);
});

test('the first attempt wins: the hedge is the loser', async (t) => {
  const time = virtual(t);
  const { attempts, callee } = parking();
  const promise = hedge({ delay: 100, maxHedges: 2 })(callee)();
  await time.advance('200ms');
  assert.equal(attempts.length, 3);
  attempts[0].resolve('first');
  assert.equal(await promise, 'first');
  assert.deepEqual(attempts.map(({ signal }) => signal.aborted), [false, true, true]);
});

test('a failed attempt starts the next at once, and all failing surfaces the last error', async (t) => {
  const time = virtual(t);
  const { attempts, callee } = parking();
  const promise = hedge({ delay: '1m' })(callee)();
  const rejected = assert.rejects(promise, { message: 'two' });
  await time.advance(0);
  attempts[0].reject(new Error('one'));
  await time.advance(0);
  assert.equal(attempts.length, 2);
  attempts[1].reject(new Error('two'));
  await rejected;
});

test('a loser keeps its slot until it ends', async (t) => {
  const time = virtual(t);
  const { attempts, callee } = parking();
  const guard = policy(hedge({ delay: '100ms' }), bulkhead({ maxConcurrent: 2 }));
  const promise = guard(callee)();
  await time.advance('100ms');
  attempts[1].resolve('second');
  assert.equal(await promise, 'second');
  const held = guard(callee)();
  await time.advance(0);
  await assert.rejects(guard.run(() => 1), seawall.BulkheadFullError);
  attempts[0].reject(attempts[0].signal.reason);
  await time.advance(0);
  assert.equal(await guard.run(() => 1), 1);
  attempts[2].resolve('third');
  assert.equal(await held, 'third');
});

test('hedges draw from the budget', async (t) => {
  const time = virtual(t);
  const { attempts, callee } = parking();
  const guard = hedge({ delay: '10ms' });
  const calls = Array.from({ length: 40 }, () => guard(callee)());
  await time.advance('10ms');
  const hedged = attempts.filter(({ number }) => number === 2).length;
  // Ten in reserve, and a fifth of the forty calls.
  assert.equal(hedged, 18);
  for (const { resolve } of attempts) resolve('ok');
  assert.deepEqual([...new Set(await Promise.all(calls))], ['ok']);
});

test('without a delay the slowest twentieth of the last calls is hedged', async (t) => {
  const time = virtual(t);
  const { attempts, callee } = parking();
  const guarded = hedge()(callee);
  for (let n = 0; n < 20; n += 1) {
    const promise = guarded();
    await time.advance('50ms');
    attempts[n].resolve(n);
    await promise;
  }
  assert.equal(attempts.length, 20, 'too few to tell');
  const promise = guarded();
  await time.advance('49ms');
  assert.equal(attempts.length, 21);
  await time.advance('1ms');
  assert.equal(attempts.length, 22);
  attempts[21].resolve('hedge');
  assert.equal(await promise, 'hedge');
});

test('a limit cuts every attempt', async (t) => {
  const time = virtual(t);
  const { attempts, callee } = parking();
  const promise = policy(hedge({ delay: '100ms' }), timeout({ total: '1s' }))(callee)();
  const rejected = assert.rejects(promise, (error) => error.code === 'timeout.total');
  await time.advance('1s');
  await rejected;
  assert.deepEqual(attempts.map(({ signal }) => signal.aborted), [true, true]);
});

test('of two streams the first item wins, and the other stream is closed', async (t) => {
  const time = virtual(t);
  const streams = [];
  const stream = hedge({ delay: '100ms' }).stream(() => {
    const asked = [];
    const made = {
      asked,
      isClosed: false,
      [Symbol.asyncIterator]: () => made,
      next: () => new Promise((resolve) => asked.push((value) => resolve({ done: false, value }))),
      return: async () => {
        made.isClosed = true;
        return { done: true, value: undefined };
      },
    };
    streams.push(made);
    return made;
  })();
  const first = stream.next();
  await time.advance('100ms');
  assert.equal(streams.length, 2);
  // Both in one turn: the second comes too late.
  streams[1].asked[0]('hedge');
  streams[0].asked[0]('slow');
  assert.equal((await first).value, 'hedge');
  await time.advance(0);
  assert.deepEqual(streams.map(({ isClosed }) => isClosed), [true, false]);
  const second = stream.next();
  await time.advance(0);
  streams[1].asked[1]('more');
  assert.equal((await second).value, 'more');
  await stream.return();
});
