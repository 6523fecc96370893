// Chaos beyond faults: results in the callee's place, and behaviour that runs before it.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as seawall from 'seawall';
import { clock } from 'seawall/testing';

const { chaos, circuitBreaker, policy, timeout } = seawall;

function virtual(t, options) {
  const time = clock(options);
  t.after(() => time.restore());
  return time;
}

const always = { rate: 1, expiresIn: '1h' };

test('an outcome stands in for the callee: a value, a function, a list with weights', async (t) => {
  virtual(t);
  let calls = 0;
  const callee = async (...args) => (calls += 1) && args;
  assert.equal(await chaos({ outcome: null, ...always })(callee)(1), null);
  assert.deepEqual(await chaos({ outcome: async () => ({ attempt: seawall.current().attempt }), ...always })(callee)(1), { attempt: 1 });
  assert.deepEqual(await chaos({ outcome: [[1, 2, 3]], ...always })(callee)(1), [1, 2, 3], 'a list may be a result');
  const weighted = chaos({ outcome: [['often', 3], ['seldom', 1]], seed: 7, ...always })(callee);
  const drawn = [];
  for (let n = 0; n < 200; n += 1) drawn.push(await weighted(n));
  const often = drawn.filter((value) => value === 'often').length;
  assert.ok(often > 120 && often < 180, `${often} of 200`);
  assert.equal(drawn.filter((value) => value === 'seldom').length, 200 - often);
  assert.equal(calls, 0);
});

test('an outcome is a result like any other: the breaker counts a success', async (t) => {
  virtual(t);
  const guard = policy(chaos({ outcome: 'x', ...always }), circuitBreaker());
  await guard.run(() => 'y');
  assert.deepEqual([guard.breaker.counts.total, guard.breaker.counts.failures], [1, 0]);
});

test('behaviour runs in the attempt, before the callee, sync and async', async (t) => {
  virtual(t);
  for (const wrap of [(value) => value, (value) => Promise.resolve(value)]) {
    const trace = [];
    const guarded = chaos({ behavior: () => wrap(trace.push(seawall.current().attempt)), ...always })(async (name) => trace.push(name));
    await guarded('a');
    assert.deepEqual(trace, [1, 'a']);
  }
});

test('behaviour that throws has failed the attempt, marked as injected', async (t) => {
  virtual(t);
  let calls = 0;
  for (const behavior of [() => { throw new Error('hurt'); }, async () => { throw new Error('hurt'); }]) {
    await assert.rejects(chaos({ behavior, ...always })(() => (calls += 1))(), (error) => {
      assert.equal(error.message, 'hurt');
      return seawall.failure(error).injected;
    });
  }
  assert.equal(calls, 0);
});

test('a limit cuts behaviour that takes too long; the callee is never called', async (t) => {
  const time = virtual(t);
  let calls = 0;
  let go;
  const guard = policy(timeout({ attempt: '1s' }), chaos({ behavior: () => new Promise((resolve) => (go = resolve)), ...always }));
  const rejected = assert.rejects(guard(() => (calls += 1))(), seawall.TimeoutExceededError);
  await time.advance('1s');
  await rejected;
  go();
  await time.advance('1s');
  assert.equal(calls, 0);
});

test('what is no behaviour says so', () => {
  assert.throws(() => chaos({ behavior: 'slow', ...always }), (error) => error instanceof seawall.ConfigError && error.path === 'chaos.behavior');
});

test('an experiment keeps within its window and its share', async (t) => {
  const time = virtual(t);
  const guard = chaos({ outcome: 'struck', window: '1s every 10s', maxShare: '50%', ...always });
  const drawn = [];
  for (let n = 0; n < 4; n += 1) drawn.push(await guard.run(() => 'real'));
  assert.deepEqual(drawn, ['real', 'struck', 'real', 'struck']);
  await time.advance('1s');
  assert.equal(await guard.run(() => 'real'), 'real');
  assert.deepEqual(guard.snapshot().chaos, { armed: true, state: 'waiting', aborted: null, attempts: 4, struck: 2 });
});

test('what watches ends the experiment, and says so once', async (t) => {
  virtual(t);
  const seen = [];
  t.after(seawall.onEvent((event) => event.event === 'chaos.aborted' && seen.push([event.severity, event.reason])));
  const own = policy(circuitBreaker({ consecutiveFailures: 1 }), chaos({ fault: 'x', abortWhen: { breaker: 'open' }, ...always }));
  await assert.rejects(own.run(() => 1), seawall.InjectedFaultError);
  own.breaker.reset();
  assert.equal(await own.run(() => 1), 1);
  const ratio = chaos({ fault: 'x', abortWhen: { failureRatio: 1, minimumThroughput: 2 }, ...always });
  for (let n = 0; n < 2; n += 1) await assert.rejects(ratio.run(() => 1), seawall.InjectedFaultError);
  assert.equal(await ratio.run(() => 1), 1);
  assert.equal(ratio.snapshot().chaos.aborted, 'failure_ratio');
  assert.deepEqual(seen, [['warning', 'breaker_open'], ['warning', 'failure_ratio']]);
});

test('bounds that cannot work name their place', () => {
  const wrong = [
    [{ window: '9 to 5' }, 'chaos.window'],
    [{ maxShare: 0.001 }, 'chaos.max_share'],
    [{ abortWhen: { failureRate: 1 } }, 'chaos.abort_when'],
    [{ abortWhen: { failureRatio: 2 } }, 'chaos.abort_when.failure_ratio'],
  ];
  for (const [options, path] of wrong) {
    assert.throws(() => chaos({ fault: 'x', ...options, ...always }), (error) => error instanceof seawall.ConfigError && error.path === path);
  }
});
