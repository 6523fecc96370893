// Fake timers of a test runner, without `seawall/testing`; and real ones.

import assert from 'node:assert/strict';
import { mock, test } from 'node:test';

import { bulkhead, hedge, policy, retry, timeout, TimeoutExceededError } from 'seawall';
import { reset } from 'seawall/testing';

/** Lets promises settle while timers stand still. */
async function settle() {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

function fake(t, apis) {
  reset();
  mock.timers.enable({ apis });
  t.after(() => mock.timers.reset());
}

for (const apis of [['setTimeout', 'Date'], ['setTimeout']]) {
  test(`fake ${apis.join(' and ')} drive an hour of back-off`, async (t) => {
    fake(t, apis);
    let calls = 0;
    const promise = retry({ maxAttempts: 3, baseDelay: '1h', maxDelay: '1h', backoff: 'constant', jitter: 'none' }).run(() => {
      calls += 1;
      return calls < 3 ? Promise.reject(new Error('boom')) : 'done';
    });
    await settle();
    mock.timers.tick(3_599_999);
    await settle();
    assert.equal(calls, 1);
    mock.timers.tick(1);
    await settle();
    assert.equal(calls, 2);
    mock.timers.tick(3_600_000);
    assert.equal(await promise, 'done');
  });
}

test('fake timers drive timers that race work', async (t) => {
  fake(t, ['setTimeout', 'Date']);
  const promise = policy(timeout({ attempt: '10m', total: '1h' })).run(() => new Promise(() => undefined));
  const rejected = assert.rejects(promise, TimeoutExceededError);
  await settle();
  mock.timers.tick(599_999);
  await settle();
  mock.timers.tick(1);
  await rejected;
});

test('fake timers drive hedges and the idle limit of streams', async (t) => {
  fake(t, ['setTimeout', 'Date']);
  const started = [];
  const hedged = hedge({ delay: '10m' }).run(({ attempt }) => (started.push(attempt) === 1 ? new Promise(() => undefined) : attempt));
  await settle();
  mock.timers.tick(599_999);
  await settle();
  assert.deepEqual(started, [1]);
  mock.timers.tick(1);
  assert.equal(await hedged, 2);
  const stream = timeout({ idle: '10m' }).stream(async function* () {
    yield 1;
    await new Promise(() => undefined);
  })();
  await stream.next();
  mock.timers.tick(3_600_000);
  const rejected = assert.rejects(stream.next(), { code: 'timeout.idle' });
  await settle();
  mock.timers.tick(600_000);
  await rejected;
});

test('timers that are thrown away with their clock leave no trace', async (t) => {
  fake(t, ['setTimeout', 'Date']);
  void timeout({ attempt: '10m' }).run(() => new Promise(() => undefined));
  await settle();
  mock.timers.reset();
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  const rejected = assert.rejects(timeout({ attempt: '1h' }).run(() => new Promise(() => undefined)), TimeoutExceededError);
  await settle();
  mock.timers.tick(3_600_000);
  await rejected;
});

test('a real wait is a real wait, and racing timers do not hold the process', async () => {
  reset();
  let calls = 0;
  const value = await policy(retry({ baseDelay: '5ms', jitter: 'none' }), timeout({ total: '1m' }), bulkhead()).run(() => {
    calls += 1;
    return calls < 2 ? Promise.reject(new Error('boom')) : 'done';
  });
  assert.equal(value, 'done');
});
