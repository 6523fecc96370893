// Injected latency is a wait of ours: it is recorded, it moves virtual time, and a cut ends it.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { bulkhead, chaos, policy, timeout } from 'seawall';
import { clock } from 'seawall/testing';

test('latency is asked for once, and the function runs after it', async (t) => {
  const time = clock();
  t.after(() => time.restore());
  const seen = await chaos({ latency: '300ms', rate: 1, expiresIn: '1h' }).run(() => time.now);
  assert.equal(seen, 300);
  assert.deepEqual(time.sleeps, [300]);
});

test('a limit cuts the latency: the function is never called, and the slot is free again', async (t) => {
  const time = clock({ autoAdvance: false });
  t.after(() => time.restore());
  const guard = policy(bulkhead({ maxConcurrent: 1 }), timeout({ attempt: '100ms' }), chaos({ latency: '5s', rate: 1, expiresIn: '1s' }));
  let calls = 0;
  const rejected = assert.rejects(
    guard.run(() => (calls += 1)),
    { code: 'timeout.attempt' },
  );
  await time.advance('10s');
  await rejected;
  assert.equal(calls, 0);
  assert.equal(await guard.run(() => 7), 7);
});

test('abandoned work keeps its slot until it ends', async (t) => {
  const time = clock();
  t.after(() => time.restore());
  const guard = policy(bulkhead({ maxConcurrent: 1 }), timeout({ attempt: '100ms' }), chaos({ latency: '10ms', rate: 1, expiresIn: '1h' }));
  let finish;
  const rejected = assert.rejects(
    guard.run(() => new Promise((resolve) => (finish = resolve))),
    { code: 'timeout.attempt' },
  );
  await time.advance('1s');
  await rejected;
  await assert.rejects(
    guard.run(() => 1),
    { code: 'bulkhead.full' },
  );
  finish();
  await time.advance(0);
  assert.equal(await guard.run(() => 1), 1);
});
