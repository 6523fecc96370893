// Correlation ids, deadlines and headers, carried by AsyncLocalStorage.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';

import * as seawall from 'seawall';
import { clock } from 'seawall/testing';

const { correlate, correlationId, current, deadline, headers, policy, receive, retry, timeout } = seawall;

function virtual(t) {
  const time = clock();
  t.after(() => time.restore());
  return time;
}

test('outside a call nothing is minted, and current() is still there', () => {
  assert.equal(correlationId(), undefined);
  assert.equal(current().attempt, 0);
  assert.equal(current().signal.aborted, false);
  assert.equal(deadline(), undefined);
  assert.equal(deadline(250), 250);
  assert.deepEqual(headers(), {});
});

test('the id of the caller reaches every attempt, error and nested call', async (t) => {
  virtual(t);
  const seen = [];
  const inner = retry().run.bind(retry());
  const error = await correlate('order-7', () =>
    retry({ maxAttempts: 2 }).run(async () => {
      await wait(1);
      seen.push(correlationId());
      await inner(() => seen.push(correlationId()));
      throw new Error('boom');
    }),
  ).catch((caught) => caught);
  assert.deepEqual(seen, ['order-7', 'order-7', 'order-7', 'order-7']);
  assert.equal(seawall.failure(error).correlationId, 'order-7');
  assert.equal(correlationId(), undefined);
});

test('an id that logs or headers could misread is replaced', () => {
  for (const bad of ['', 'a b', 'a\r\nb', 'x'.repeat(129), undefined]) {
    const id = correlate(bad, correlationId);
    assert.match(id, /^[0-9a-f-]{36}$/);
  }
  assert.equal(correlate('order-7', correlationId), 'order-7');
});

test('headers carry deadline, attempt, id and key to the next service', async (t) => {
  virtual(t);
  const sent = await correlate('order-7', () => policy(retry(), timeout({ total: '3s' })).run(() => headers(), { idempotencyKey: 'k-1' }));
  assert.deepEqual(sent, {
    'x-seawall-deadline-ms': '3000',
    'x-seawall-attempt': '1',
    'x-correlation-id': 'order-7',
    'idempotency-key': 'k-1',
  });
});

test('received headers: untrusted ones give the id only', (t) => {
  virtual(t);
  const incoming = { 'X-Correlation-Id': 'order-7', 'x-seawall-deadline-ms': '500', 'x-seawall-attempt': '3', 'idempotency-key': 'k-1' };
  const look = () => [correlationId(), deadline(), current().attempt, current().idempotencyKey];
  assert.deepEqual(receive(incoming, look), ['order-7', undefined, 0, undefined]);
  assert.deepEqual(receive(incoming, look, { trust: true }), ['order-7', 500, 3, 'k-1']);
  assert.equal(receive(new Headers({ 'x-request-id': 'r-1' }), correlationId), 'r-1');
  assert.match(receive({}, correlationId), /^[0-9a-f-]{36}$/);
});

test('a received deadline bounds the call and names itself', async (t) => {
  const time = virtual(t);
  const promise = receive({ 'x-seawall-deadline-ms': '500' }, () => timeout({ total: '10s' }).run(() => new Promise(() => undefined)), { trust: true });
  const rejected = assert.rejects(promise, (error) => error.code === 'timeout.deadline');
  await time.advance('501ms');
  await rejected;
});
