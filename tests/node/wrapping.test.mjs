// What a wrapped function keeps, and how mistakes are told.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as seawall from 'seawall';
import { clock, disabled } from 'seawall/testing';

const { bulkhead, chaos, circuitBreaker, deadLetter, fallback, policy, policyOf, retry, timeout } = seawall;

/** Virtual time for one test. */
function virtual(t, options) {
  const time = clock(options);
  t.after(() => time.restore());
  return time;
}

function config(pattern, path) {
  return (error) => error instanceof seawall.ConfigError && pattern.test(error.message) && (path === undefined || error.path === path);
}

test('the receiver, the arguments, the name and the length are kept', async () => {
  const till = {
    open: 3,
    charge: retry()(function charge(amount, currency) {
      return Promise.resolve(`${this.open} ${amount} ${currency}`);
    }),
  };
  assert.equal(await till.charge(7, 'EUR'), '3 7 EUR');
  assert.equal(till.charge.name, 'charge');
  assert.equal(till.charge.length, 2);
});

test('plain values and sync throws become promises', async (t) => {
  virtual(t);
  assert.equal(await retry()(() => 7)(), 7);
  let calls = 0;
  const thrower = retry({ maxAttempts: 3 })(() => {
    calls += 1;
    throw new Error('boom');
  });
  const promise = thrower();
  assert.ok(promise instanceof Promise);
  await assert.rejects(promise, /boom/);
  assert.equal(calls, 3);
});

test('retries give up with the error of the callee, and failure() knows the rest', async (t) => {
  const time = virtual(t);
  const boom = new Error('boom');
  const error = await retry({ maxAttempts: 3, jitter: 'none' })(() => Promise.reject(boom))().catch((caught) => caught);
  assert.equal(error, boom);
  const known = seawall.failure(error);
  assert.deepEqual(known.delays, [100, 200]);
  assert.equal(known.reason, 'attempts_exhausted');
  assert.deepEqual(known.attempts.map(({ number, outcome, errorType }) => [number, outcome, errorType]), [
    [1, 'failure', 'Error'],
    [2, 'failure', 'Error'],
    [3, 'failure', 'Error'],
  ]);
  assert.deepEqual(time.sleeps, [100, 200]);
  assert.equal(seawall.failure(new Error('another')), undefined);
});

test('one object shares its state, one name shares it with every object', async (t) => {
  virtual(t);
  const shared = circuitBreaker({ consecutiveFailures: 1 });
  const broken = shared(() => Promise.reject(new Error('boom')));
  const healthy = shared(() => 1);
  await assert.rejects(broken(), /boom/);
  await assert.rejects(healthy(), seawall.CircuitOpenError);

  const first = policy('shared', circuitBreaker({ consecutiveFailures: 1 }));
  const second = policy('shared', circuitBreaker({ consecutiveFailures: 1 }));
  await assert.rejects(first.run(() => Promise.reject(new Error('boom'))), /boom/);
  await assert.rejects(second.run(() => 1), seawall.CircuitOpenError);
});

test('policyOf finds the policy of a wrapped function', () => {
  const guard = retry();
  assert.equal(policyOf(guard(() => 1)), guard);
  assert.equal(policyOf(() => 1), undefined);
});

test('run hands over the context of the call', async (t) => {
  virtual(t);
  const seen = await policy(timeout({ attempt: '2s' }), retry()).run(({ attempt, remaining, correlationId }) => ({ attempt, remaining, correlationId }));
  assert.equal(seen.attempt, 1);
  assert.equal(seen.remaining, 2000);
  assert.match(seen.correlationId, /^[0-9a-f-]{36}$/);
});

test('a key splits the state, and a policy with a key is not called without one', async (t) => {
  virtual(t);
  const tenants = policy({ key: (order) => order.tenant }, circuitBreaker({ consecutiveFailures: 1 }));
  const charge = tenants(({ fails }) => (fails ? Promise.reject(new Error('boom')) : 'ok'));
  await assert.rejects(charge({ tenant: 'a', fails: true }), /boom/);
  await assert.rejects(charge({ tenant: 'a' }), (error) => error.key === 'a' && error.code === 'circuit.open');
  assert.equal(await charge({ tenant: 'b' }), 'ok');
  assert.equal(tenants.using({ key: 'a' }).breaker.state, 'open');
  assert.equal(tenants.using({ key: 'b' }).breaker.state, 'closed');
  assert.throws(() => tenants.breaker.state, seawall.ConfigError);
  await assert.rejects(tenants.run(() => 1), seawall.ConfigError);
  assert.equal(await tenants.run(() => 1, { key: 'c' }), 1);
  await assert.rejects(retry().using({ key: 'a' }).run(() => 1), config(/no key/));
});

test('mistakes are told where they are made, with what would be right', () => {
  assert.throws(() => retry(() => 1), config(/parentheses/));
  assert.throws(() => circuitBreaker(() => 1, {}), config(/parentheses/));
  assert.throws(() => deadLetter(() => 1), config(/parentheses/));
  assert.throws(() => deadLetter({ store: 'memory:' }), config(/name of a queue first/));
  assert.throws(() => retry()('charge'), config(/parentheses/));
  assert.throws(() => retry({ maxAttempst: 3 }), config(/did you mean "maxAttempts"\?/, 'retry'));
  assert.throws(() => retry({ max_attempts: 3 }), config(/"max_attempts"/));
  assert.throws(() => retry({ baseDelay: '2 parsecs' }), seawall.ConfigError);
  assert.throws(() => retry({ onResult: 3 }), config(/expected a function/, 'retry.on_result'));
  assert.throws(() => retry({ on: 3 }), config(/an error class, a code/, 'retry.on'));
  assert.throws(() => retry({ on: 'http:99' }), config(/http:429/));
  assert.throws(() => circuitBreaker({ windowSize: 10, samplingDuration: '10s' }), seawall.ConfigError);
  assert.throws(() => policy('x', timeout({ attempt: '3s', total: '2s' })), seawall.ConfigError);
  assert.throws(() => policy('x', retry(), retry()), config(/twice/));
  assert.throws(() => policy('x', policy(retry(), timeout({ total: '1s' }))), config(/nest it/));
  assert.throws(() => policy('x', { retries: 3 }), config(/no option "retries"/));
  assert.throws(() => policy('x', () => 1), config(/no strategy/));
  assert.throws(() => policy(), config(/a name, strategies, or both/));
  assert.throws(() => fallback({}), config(/give a value or a function/));
  assert.throws(() => retry({ scope: 'host' }), seawall.ConfigError);
  assert.throws(() => chaos({ fault: 7, rate: 1, expiresIn: '1m' }), config(/an error class/));
});

test('classes, codes, statuses, predicates and lists of these match errors', async (t) => {
  virtual(t);
  class Busy extends Error {}
  const coded = Object.assign(new Error('reset'), { code: 'ECONNRESET' });
  const answer = Object.assign(new Error('busy'), { response: { status: 503 } });
  const nested = new TypeError('fetch failed', { cause: coded });
  const cases = [
    [Busy, new Busy(), new Error('other')],
    ['ECONNRESET', coded, answer],
    ['ECONNRESET', nested, answer],
    ['http:5xx', answer, coded],
    [(error) => error.message === 'busy', answer, coded],
    [[Busy, 'http:503'], answer, coded],
  ];
  for (const [on, matching, other] of cases) {
    const attempts = async (error) => {
      let count = 0;
      await retry({ on, maxAttempts: 2 })(() => Promise.reject((count += 1) && error))().catch(() => undefined);
      return count;
    };
    assert.equal(await attempts(matching), 2, String(on));
    assert.equal(await attempts(other), 1, String(on));
  }
});

test('programming errors are not retried, a broken fetch is', async (t) => {
  virtual(t);
  const attempts = async (error) => {
    let count = 0;
    await retry({ maxAttempts: 2 })(() => Promise.reject((count += 1) && error))().catch(() => undefined);
    return count;
  };
  assert.equal(await attempts(new TypeError('x is not a function')), 1);
  assert.equal(await attempts(new RangeError('bad')), 1);
  assert.equal(await attempts(new TypeError('fetch failed', { cause: Object.assign(new Error(), { code: 'ECONNREFUSED' }) })), 2);
  assert.equal(await attempts('a string'), 2);
});

test('a server names its delay by property, header or response', async (t) => {
  const time = virtual(t);
  const says = [
    Object.assign(new Error(), { retryAfterMs: 1500 }),
    Object.assign(new Error(), { status: 429, headers: { 'Retry-After': '2' } }),
    Object.assign(new Error(), { response: { status: 503, headers: new Headers({ 'retry-after': '3' }) } }),
  ];
  for (const error of says) {
    await retry({ maxAttempts: 2, baseDelay: 0 })(() => Promise.reject(error))().catch(() => undefined);
  }
  assert.deepEqual(time.sleeps, [1500, 2000, 3000]);
  const never = await retry()(() => Promise.reject(Object.assign(new Error(), { retryAfterMs: 'never' })))().catch((error) => error);
  assert.equal(seawall.failure(never).reason, 'retry_after_never');
});

test('fallbacks answer with values, functions and chains; the error is at hand', async (t) => {
  virtual(t);
  const boom = new Error('boom');
  const fails = () => Promise.reject(boom);
  assert.equal(await fallback(null)(fails)(), null);
  assert.deepEqual(await fallback({ value: { empty: true } })(fails)(), { empty: true });
  assert.deepEqual(await fallback([])(fails)(), []);
  assert.equal(await fallback((id) => `${id}: ${seawall.current().error.message}`)((_) => fails())('a'), 'a: boom');
  assert.equal(await fallback(fails, 2)(fails)(), 2);
  const surfaced = await fallback(() => Promise.reject(new Error('cache down')))(fails)().catch((error) => error);
  assert.equal(surfaced, boom);
  assert.equal(surfaced.cause.message, 'cache down');
});

test('chaos raises what it was given, marked as injected, and spares what only spares', async (t) => {
  virtual(t);
  class Outage extends Error {}
  const struck = chaos({ fault: Outage, rate: 1, expiresIn: '1h', only: (id) => id !== 'spared' })((id) => id);
  const error = await struck('hit').catch((caught) => caught);
  assert.ok(error instanceof Outage);
  assert.equal(seawall.failure(error).injected, true);
  assert.equal(await struck('spared'), 'spared');
  const plain = await chaos({ fault: 'outage', rate: 1, expiresIn: '1h' })(() => 1)().catch((caught) => caught);
  assert.equal(plain.code, 'chaos.injected');
});

test('disabled() calls straight through', async (t) => {
  virtual(t);
  const guarded = chaos({ fault: 'outage', rate: 1, expiresIn: '1h' })(() => 1);
  const off = disabled();
  assert.equal(await guarded(), 1);
  off.restore();
  await assert.rejects(guarded(), seawall.InjectedFaultError);
});

test('a queued call runs in its own caller’s context', async (t) => {
  const time = virtual(t);
  const { promise, resolve } = (() => {
    let resolve;
    return { promise: new Promise((done) => (resolve = done)), resolve };
  })();
  const guarded = bulkhead({ maxConcurrent: 1, maxQueue: 5 })((wait) => wait ?? seawall.correlationId());
  const first = seawall.correlate('first', () => guarded(promise));
  const second = seawall.correlate('second', () => guarded());
  const third = seawall.correlate('third', () => guarded());
  await time.advance(0);
  resolve('done');
  assert.deepEqual(await Promise.all([first, second, third]), ['done', 'second', 'third']);
});
