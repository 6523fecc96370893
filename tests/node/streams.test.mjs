// Streams: retried, hedged and answered before the first item only; the consumer's time is its own.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as seawall from 'seawall';
import { clock, disabled } from 'seawall/testing';

const { bulkhead, circuitBreaker, fallback, policy, retry, timeout } = seawall;

function virtual(t, options) {
  const time = clock(options);
  t.after(() => time.restore());
  return time;
}

async function collect(stream) {
  const items = [];
  for await (const item of stream) items.push(item);
  return items;
}

/** A stream in the hands of the test: it gives, ends and fails on demand. */
function parked() {
  const asked = [];
  let isClosed = false;
  const iterator = {
    [Symbol.asyncIterator]: () => iterator,
    next: () => new Promise((resolve, reject) => asked.push({ resolve, reject })),
    return: async () => {
      isClosed = true;
      return { done: true, value: undefined };
    },
  };
  return {
    iterator,
    get isClosed() {
      return isClosed;
    },
    get asks() {
      return asked.length;
    },
    give: (value) => asked.at(-1).resolve({ done: false, value }),
    end: (value) => asked.at(-1).resolve({ done: true, value }),
    fail: (error) => asked.at(-1).reject(error),
  };
}

test('items flow, one for each ask, in the scope of the attempt', async (t) => {
  virtual(t);
  let made = 0;
  const numbers = retry().stream(async function* (upTo) {
    for (let n = 1; n <= upTo; n += 1) {
      made += 1;
      yield [n, seawall.current().attempt];
    }
    return 'the end';
  });
  const stream = numbers(2);
  assert.equal(made, 0);
  assert.deepEqual(await stream.next(), { done: false, value: [1, 1] });
  assert.equal(made, 1);
  assert.deepEqual(await stream.next(), { done: false, value: [2, 1] });
  assert.deepEqual(await stream.next(), { done: true, value: 'the end' });
  assert.deepEqual(await stream.next(), { done: true, value: undefined });
  assert.equal(seawall.policyOf(numbers) !== undefined, true);
});

test('a promise of a stream, a stream without items, and asks ahead of their answers', async (t) => {
  virtual(t);
  const guard = retry();
  assert.deepEqual(await collect(guard.stream(async () => new Response('ab').body)()), [new Uint8Array([97, 98])]);
  assert.deepEqual(await collect(guard.stream(async function* () {})()), []);
  const stream = guard.stream(async function* () {
    yield 1;
    yield 2;
  })();
  assert.deepEqual(await Promise.all([stream.next(), stream.next(), stream.next()]), [
    { done: false, value: 1 },
    { done: false, value: 2 },
    { done: true, value: undefined },
  ]);
});

test('what is no stream says so and counts for nothing', async (t) => {
  virtual(t);
  const guard = policy(retry(), circuitBreaker({ consecutiveFailures: 1 }));
  for (const value of ['text', 7, undefined, {}]) {
    await assert.rejects(collect(guard.stream(() => value)()), (error) => error instanceof seawall.ConfigError && /async iterable/.test(error.message));
  }
  assert.equal(guard.breaker.counts.total, 0);
  assert.throws(() => guard.stream(7), seawall.ConfigError);
});

test('before the first item a stream is retried', async (t) => {
  const time = virtual(t);
  let attempts = 0;
  const stream = retry({ jitter: 'none' }).stream(async function* () {
    attempts += 1;
    if (attempts === 1) throw new Error('boom');
    yield attempts;
  });
  assert.deepEqual(await collect(stream()), [2]);
  assert.deepEqual(time.sleeps, [100]);
});

test('after an item a failure surfaces, votes, and is not retried', async (t) => {
  virtual(t);
  let attempts = 0;
  const guard = policy(fallback([9]), retry(), circuitBreaker());
  const boom = new Error('boom');
  const items = [];
  await assert.rejects(
    async () => {
      const stream = guard.stream(async function* () {
        attempts += 1;
        yield 1;
        throw boom;
      });
      for await (const item of stream()) items.push(item);
    },
    (error) => error === boom,
  );
  assert.deepEqual([items, attempts], [[1], 1]);
  assert.equal(seawall.failure(boom).reason, 'stream_broken');
  assert.equal(guard.breaker.counts.failures, 1);
});

test('a break in the consumer is a success, and the callee cleans up before the loop is left', async (t) => {
  virtual(t);
  const guard = policy(circuitBreaker({ halfOpenSuccesses: 1 }), bulkhead({ maxConcurrent: 1 }));
  const trace = [];
  const stream = guard.stream(async function* () {
    try {
      yield 1;
      yield 2;
    } finally {
      await Promise.resolve();
      trace.push('cleaned');
    }
  });
  for await (const item of stream()) {
    trace.push(item);
    break;
  }
  assert.deepEqual(trace, [1, 'cleaned']);
  assert.deepEqual([guard.breaker.counts.total, guard.breaker.counts.failures], [1, 0]);
  assert.deepEqual(await collect(stream()), [1, 2], 'the slot is free again');
});

test('stopping before the first item is a cancellation', async (t) => {
  const time = virtual(t);
  const guard = policy(circuitBreaker(), bulkhead({ maxConcurrent: 1 }));
  const callee = parked();
  let signal;
  const stream = guard.stream(() => {
    ({ signal } = seawall.current());
    return callee.iterator;
  })();
  const first = stream.next();
  await time.advance(0);
  assert.equal(callee.asks, 1);
  assert.deepEqual(await stream.return('enough'), { done: true, value: 'enough' });
  assert.deepEqual(await first, { done: true, value: undefined });
  assert.deepEqual([signal.aborted, callee.isClosed, guard.breaker.counts.total], [true, true, 0]);
  callee.end();
  await time.advance(0);
  assert.equal(await guard.run(() => 'free'), 'free');
});

test('stopping while a later item is under way abandons it', async (t) => {
  const time = virtual(t);
  const guard = circuitBreaker();
  const callee = parked();
  const stream = guard.stream(() => callee.iterator)();
  const first = stream.next();
  await time.advance(0);
  callee.give(1);
  assert.equal((await first).value, 1);
  const second = stream.next();
  await time.advance(0);
  await stream.return();
  assert.deepEqual(await second, { done: true, value: undefined });
  assert.deepEqual([guard.breaker.counts.total, guard.breaker.counts.failures], [1, 0]);
  assert.equal(callee.isClosed, true);
});

test('a stream that nobody asks anything never begins', async (t) => {
  virtual(t);
  let calls = 0;
  const stream = retry().stream(() => (calls += 1));
  assert.deepEqual(await stream().return(), { done: true, value: undefined });
  await assert.rejects(stream().throw(new Error('mine')), { message: 'mine' });
  assert.equal(calls, 0);
});

test('an error thrown in goes to the callee, which may go on', async (t) => {
  virtual(t);
  const guard = circuitBreaker();
  const stoic = guard.stream(async function* () {
    for (let n = 1; ; n += 1) {
      try {
        yield n;
      } catch (error) {
        yield error.message;
      }
    }
  })();
  await stoic.next();
  assert.deepEqual(await stoic.throw(new Error('hm')), { done: false, value: 'hm' });
  await stoic.return();
  const frail = guard.stream(async function* () {
    yield 1;
  })();
  await frail.next();
  const mine = new Error('mine');
  await assert.rejects(frail.throw(mine), (error) => error === mine);
  assert.deepEqual([guard.breaker.counts.total, guard.breaker.counts.failures], [2, 0], 'the consumer’s own error is no failure of the callee');
});

test('a callee that keeps the consumer waiting is cut by the idle limit', async (t) => {
  const time = virtual(t);
  const guard = policy(retry(), timeout({ idle: '5s' }), circuitBreaker());
  const callee = parked();
  let signal;
  const stream = guard.stream(() => {
    ({ signal } = seawall.current());
    return callee.iterator;
  })();
  const first = stream.next();
  await time.advance(0);
  callee.give(1);
  await first;
  await time.advance('1h');
  assert.equal(signal.aborted, false, 'the consumer’s time does not count');
  const second = assert.rejects(stream.next(), (error) => error instanceof seawall.TimeoutExceededError && error.code === 'timeout.idle');
  await time.advance('4s');
  assert.equal(signal.aborted, false);
  await time.advance('1s');
  await second;
  assert.deepEqual([signal.aborted, callee.isClosed, guard.breaker.counts.failures], [true, true, 1]);
  assert.deepEqual(await stream.next(), { done: true, value: undefined });
});

test('the attempt limit runs to the first item, and a new attempt follows', async (t) => {
  const time = virtual(t);
  const callees = [];
  const stream = policy(retry({ jitter: 'none' }), timeout({ attempt: '1s' })).stream(() => {
    callees.push(parked());
    return callees.at(-1).iterator;
  })();
  const first = stream.next();
  await time.advance('2s');
  assert.deepEqual(callees.map(({ isClosed }) => isClosed), [true, false]);
  callees[1].give('late');
  assert.deepEqual(await first, { done: false, value: 'late' });
  const second = stream.next();
  await time.advance('1m');
  callees[1].give('later still');
  assert.deepEqual(await second, { done: false, value: 'later still' });
  await stream.return();
});

test('the total limit counts the callee’s time alone', async (t) => {
  const time = virtual(t);
  const callee = parked();
  const stream = timeout({ total: '10s' }).stream(() => callee.iterator)();
  const first = stream.next();
  await time.advance('6s');
  callee.give(1);
  await first;
  await time.advance('1h');
  const second = assert.rejects(stream.next(), (error) => error.code === 'timeout.total');
  await time.advance('3s');
  assert.equal(callee.isClosed, false);
  await time.advance('2s');
  await second;
  assert.equal(callee.isClosed, true);
});

test('what a stream calls later is not bound by the limit of its first item', async (t) => {
  const time = virtual(t);
  const left = [];
  const stream = policy(timeout({ attempt: '1s' })).stream(async function* () {
    for (;;) {
      left.push(seawall.deadline());
      yield left.length;
    }
  })();
  await stream.next();
  await time.advance('1m');
  await stream.next();
  await stream.return();
  assert.deepEqual(left, [1_000, undefined]);
});

test('a signal ends a stream whoever is at work', async (t) => {
  const time = virtual(t);
  for (const isWaiting of [true, false]) {
    const abort = new AbortController();
    const callee = parked();
    const stream = policy(fallback([0]), circuitBreaker()).using({ signal: abort.signal }).stream(() => callee.iterator)();
    const first = stream.next();
    await time.advance(0);
    callee.give(1);
    await first;
    const next = isWaiting ? stream.next() : undefined;
    next?.catch(() => undefined);
    await time.advance(0);
    const reason = new Error('gave up');
    abort.abort(reason);
    await time.advance(0);
    assert.equal(callee.isClosed, true);
    await assert.rejects(next ?? stream.next(), (error) => error === reason);
  }
});

test('a fallback answers with a stream of its own, before the first item', async (t) => {
  virtual(t);
  const fails = async function* () {
    throw new Error('boom');
  };
  const broken = async function* () {
    throw new Error('broken too');
  };
  const instead = async function* (name) {
    yield name;
    yield seawall.current().error.message;
  };
  assert.deepEqual(await collect(fallback(instead).stream(fails)('a')), ['a', 'boom']);
  assert.deepEqual(await collect(fallback(broken, [1, 2]).stream(fails)()), [1, 2]);
  for (const value of ['text', null, new Uint8Array(1)]) {
    await assert.rejects(collect(fallback(value).stream(fails)()), (error) => error.message === 'boom' && error.cause.path === 'fallback');
  }
});

test('nested policies and refusals inside a stream keep their meaning', async (t) => {
  virtual(t);
  const inner = circuitBreaker({ consecutiveFailures: 1 });
  await assert.rejects(inner.run(() => Promise.reject(new Error('boom'))));
  await assert.rejects(collect(inner.stream(async function* () {})()), seawall.CircuitOpenError);
});

test('an unread end of a stream is nobody’s unhandled rejection', async (t) => {
  const time = virtual(t);
  const unhandled = [];
  const note = (reason) => unhandled.push(reason);
  process.on('unhandledRejection', note);
  t.after(() => process.off('unhandledRejection', note));
  const abort = new AbortController();
  const stream = retry().using({ signal: abort.signal }).stream(async function* () {
    try {
      yield 1;
    } finally {
      throw new Error('clean-up failed');
    }
  })();
  await stream.next();
  abort.abort(new Error('gave up'));
  await time.advance('1s');
  assert.deepEqual(unhandled, []);
});

test('a failing clean-up is told to the consumer that stops', async (t) => {
  virtual(t);
  const stream = retry().stream(async function* () {
    try {
      yield 1;
    } finally {
      throw new Error('clean-up failed');
    }
  });
  await assert.rejects(async () => {
    for await (const _ of stream()) break;
  }, { message: 'clean-up failed' });
});

test('disabled() streams straight through', async () => {
  const policies = disabled();
  try {
    assert.deepEqual(await collect(circuitBreaker().stream(async () => [1, 2])()), [1, 2]);
  } finally {
    policies.restore();
  }
});
