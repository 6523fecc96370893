// The tree of errors: codes, fields, brands, and how cheap a refusal is.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';

import * as seawall from 'seawall';
import { clock } from 'seawall/testing';

function virtual(t) {
  const time = clock();
  t.after(() => time.restore());
  return time;
}

async function rejection(t) {
  virtual(t);
  const guard = seawall.policy('errors', seawall.circuitBreaker({ consecutiveFailures: 1, breakJitter: 0, breakDuration: '1500ms' }));
  await guard.run(() => Promise.reject(new Error('boom'))).catch(() => undefined);
  return guard.run(() => 1).catch((error) => error);
}

test('a refusal says who, why and when', async (t) => {
  const error = await rejection(t);
  assert.ok(error instanceof seawall.CircuitOpenError && error instanceof seawall.RejectedError && error instanceof seawall.SeawallError && error instanceof Error);
  assert.equal(error.name, 'CircuitOpenError');
  assert.equal(error.code, 'circuit.open');
  assert.equal(error.policy, 'errors');
  assert.equal(error.retryAfterMs, 1500);
  assert.equal(error.httpStatus, 503);
  assert.deepEqual(error.httpHeaders, { 'retry-after': '2' });
  assert.equal(error.state, 'open');
  assert.equal(error.counts.failures, 1);
  assert.match(error.correlationId, /^[0-9a-f-]{36}$/);
});

test('a refusal walks no stack, and leaves the limit as it was', async (t) => {
  const limit = Error.stackTraceLimit;
  const error = await rejection(t);
  assert.equal(error.stack.split('\n').length, 1);
  assert.equal(Error.stackTraceLimit, limit);
});

test('errors of another copy of the package are recognised', async (t) => {
  const require = createRequire(import.meta.url);
  const main = require.resolve('seawall');
  const kept = { ...require.cache };
  for (const path of Object.keys(require.cache)) if (path.includes('/bindings-node/dist/')) delete require.cache[path];
  const copy = require(main);
  Object.assign(require.cache, kept);
  assert.notEqual(copy.CircuitOpenError, seawall.CircuitOpenError);
  const error = await rejection(t);
  assert.ok(error instanceof copy.CircuitOpenError);
  assert.ok(error instanceof copy.RejectedError);
  assert.ok(!(error instanceof copy.BulkheadFullError));
});

test('subclasses of users keep an instanceof of their own', () => {
  class Mine extends seawall.SeawallError {}
  assert.ok(new Mine('x') instanceof Mine);
  assert.ok(new Mine('x') instanceof seawall.SeawallError);
  assert.ok(!(new seawall.SeawallError('x') instanceof Mine));
  assert.ok(!(null instanceof seawall.SeawallError) && !({} instanceof seawall.SeawallError));
});

test('transient() is strict', () => {
  const coded = (code) => Object.assign(new Error(), { code });
  for (const yes of [{ status: 503 }, { status: 429 }, { status: 408 }, coded('ECONNRESET'), new TypeError('x', { cause: coded('ECONNREFUSED') })]) {
    assert.equal(seawall.transient(yes), true);
  }
  assert.equal(seawall.transient(new Response('', { status: 400, headers: { 'retry-after': '1' } })), true);
  for (const no of [{ status: 404 }, { status: 200 }, new Error('x'), coded('ENOENT'), null, 'x']) assert.equal(seawall.transient(no), false);
});

test('override, expiry and reset of a breaker', async (t) => {
  const time = virtual(t);
  const guard = seawall.circuitBreaker();
  assert.throws(() => guard.breaker.isolate({}), seawall.ConfigError);
  guard.breaker.isolate({ reason: 'maintenance', expiresIn: '5s' });
  const error = await guard.run(() => 1).catch((caught) => caught);
  assert.equal(error.code, 'circuit.isolated');
  assert.equal(error.retryAfterMs, 5000);
  await time.advance('5s');
  assert.equal(guard.breaker.state, 'half_open');
  guard.breaker.disable({ reason: 'drill' });
  assert.equal(guard.breaker.state, 'disabled');
  guard.breaker.reset();
  assert.equal(guard.breaker.state, 'closed');
});
