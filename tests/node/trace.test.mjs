// `traceparent` and hostile ids.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { correlate, correlationId, current, headers, receive } from 'seawall';

const TRACE = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

test('a trusted traceparent goes on, any other is dropped', () => {
  const next = (traceparent, trust = true) => receive({ traceparent }, () => headers().traceparent, { trust });
  assert.equal(next(TRACE), TRACE);
  assert.equal(next(TRACE, false), undefined);
  const wrong = [TRACE.toUpperCase(), `${TRACE}0`, TRACE.replace('00-', 'ff-'), TRACE.replace(/-[0-9a-f]{32}-/, `-${'0'.repeat(32)}-`), TRACE.replaceAll('-', '0'), `${TRACE.slice(0, -3)}\r\nx`, ''];
  assert.deepEqual(wrong.map((trace) => next(trace)), wrong.map(() => undefined));
});

test('a hostile id is replaced, from wherever it comes', () => {
  const hostile = ['', 'a b', 'a\r\nset-cookie: x', 'ü', '\u0000', '${jndi:ldap://x}', '<script>', 'a'.repeat(129), '"', "';--", '\u001b[2J'];
  for (const id of hostile) {
    for (const seen of [receive({ 'x-correlation-id': id }, correlationId), receive({ 'x-request-id': id }, correlationId), correlate(id, correlationId)]) {
      assert.match(seen, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{21}$/, JSON.stringify(id));
    }
  }
  assert.equal(receive({ 'x-correlation-id': 'a'.repeat(128) }, correlationId), 'a'.repeat(128));
});

test('an attempt that is no number is none', () => {
  const attempts = ['3', '-1', '1e3', '9999999', 'x'].map((attempt) => receive({ 'x-seawall-attempt': attempt }, () => current().attempt, { trust: true }));
  assert.deepEqual(attempts, [3, 0, 0, 0, 0]);
});
