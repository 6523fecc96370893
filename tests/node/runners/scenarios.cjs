// What fake timers have to drive, whoever's they are. Each is played between faking and restoring.
//
// `advance(ms)` moves the fakes and gives promises time to settle. `hasDate` tells whether `Date` is faked too: where it is not, only what a timer brings about can be driven.

const assert = require('node:assert/strict');

const { bulkhead, circuitBreaker, hedge, policy, rateLimit, retry, timeout } = require('seawall');
const { reset } = require('seawall/testing');

const HOUR = 3_600_000;
const never = () => new Promise(() => undefined);
const fails = () => Promise.reject(new Error('boom'));
const codeOf = (promise) => promise.then((value) => `value ${value}`, (error) => error.code ?? error.message);

/** Whether a promise has settled, after all that needs no timer. */
function watch(promise) {
  const seen = { settled: false };
  const note = () => (seen.settled = true);
  promise.then(note, note);
  return seen;
}

const NEEDS_DATE = 'the break of a circuit';

const scenarios = {
  async 'an hour of back-off'(advance) {
    let calls = 0;
    const guard = retry({ maxAttempts: 3, baseDelay: '1h', maxDelay: '1h', backoff: 'constant', jitter: 'none' });
    const call = guard.run(() => ((calls += 1) < 3 ? fails() : 'done'));
    await advance(HOUR - 1);
    assert.equal(calls, 1);
    await advance(1);
    assert.equal(calls, 2);
    await advance(HOUR);
    assert.equal(await call, 'done');
  },

  async 'the limits of an attempt and of a call'(advance) {
    for (const [limit, code] of [['attempt', 'timeout.attempt'], ['total', 'timeout.total']]) {
      const call = codeOf(policy(timeout({ [limit]: '10m' })).run(never));
      const seen = watch(call);
      await advance(599_999);
      assert.equal(seen.settled, false);
      await advance(1);
      assert.equal(await call, code);
    }
  },

  async 'a hedge, and a wait in a queue'(advance) {
    const hedged = hedge({ delay: '10m' }).run(({ attempt }) => (attempt === 1 ? never() : attempt));
    const seen = watch(hedged);
    await advance(599_999);
    assert.equal(seen.settled, false);
    await advance(1);
    assert.equal(await hedged, 2);
    const narrow = bulkhead({ maxConcurrent: 1, maxQueue: 1, maxWait: '10m' });
    void narrow.run(never);
    const queued = codeOf(narrow.run(() => 1));
    await advance(600_000);
    assert.equal(await queued, 'bulkhead.full');
  },

  async 'a wait for the rate limit'(advance, hasDate) {
    const guard = rateLimit({ rate: '1/m', burst: 1, maxWait: '10m' });
    await guard.run(() => 1);
    const second = guard.run(() => 2);
    const seen = watch(second);
    await advance(59_000);
    assert.equal(seen.settled, false);
    await advance(1_000);
    assert.equal(await second, 2);
    if (!hasDate) return;
    await advance(60_000);
    assert.equal(await guard.run(() => 3), 3);
  },

  async [NEEDS_DATE](advance) {
    const guard = circuitBreaker({ consecutiveFailures: 1, breakDuration: '1h', maxBreakDuration: '1h', breakJitter: 0, halfOpenMaxCalls: 1, halfOpenSuccesses: 1 });
    await codeOf(guard.run(fails));
    await advance(HOUR - 1);
    assert.equal(await codeOf(guard.run(() => 1)), 'circuit.open');
    await advance(1);
    assert.equal(guard.breaker.state, 'half_open');
    assert.equal(await guard.run(() => 'up'), 'up');
    assert.equal(guard.breaker.state, 'closed');
  },
};

/** A circuit that is opened for an hour under fakes is open after them as well, and the other way round: a switch of clocks moves nothing. */
async function acrossTheSwitch(fake, restore) {
  const guard = circuitBreaker({ consecutiveFailures: 1, breakDuration: '1h', maxBreakDuration: '1h', breakJitter: 0 });
  await codeOf(guard.run(fails));
  const fakes = fake();
  assert.equal(await codeOf(guard.run(() => 1)), 'circuit.open');
  if (fakes.hasDate) {
    await fakes.advance(HOUR / 2);
    assert.equal(await codeOf(guard.run(() => 1)), 'circuit.open');
  }
  restore();
  assert.equal(await codeOf(guard.run(() => 1)), 'circuit.open');
  let calls = 0;
  assert.equal(await retry({ baseDelay: '1ms' }).run(() => ((calls += 1) < 3 ? fails() : 'real again')), 'real again');
}

/** The scenarios that these fakes can drive: pairs of title and function. */
function scenariosFor(hasDate) {
  return Object.entries(scenarios).filter(([title]) => hasDate || title !== NEEDS_DATE);
}

module.exports = { acrossTheSwitch, reset, scenariosFor };
