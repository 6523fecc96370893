// The wall clock jumps: an administrator sets it, NTP steps it, a machine wakes up.

import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';

import { CircuitOpenError, circuitBreaker, rateLimit, retry } from 'seawall';

import { errorOf, fails, probe } from './probe.mjs';

const HOUR = 3_600_000;

function step(by) {
  const real = Date.now.bind(Date);
  Date.now = () => real() + by;
}

probe('the clock is set back an hour while a circuit is open: it does not stay open for that hour', async () => {
  const guard = circuitBreaker({ consecutiveFailures: 1, breakDuration: '20ms', breakJitter: 0 });
  await errorOf(guard.run(fails));
  step(-HOUR);
  await wait(60);
  assert.equal(await guard.run(() => 'in'), 'in');
});

probe('the clock is set on an hour while a circuit is open: nobody gets in early', async () => {
  const guard = circuitBreaker({ consecutiveFailures: 1, breakDuration: '30m', maxBreakDuration: '30m' });
  await errorOf(guard.run(fails));
  step(HOUR);
  assert.ok((await errorOf(guard.run(() => 'in'))) instanceof CircuitOpenError);
  assert.equal(guard.breaker.state, 'open');
});

for (const by of [-HOUR, HOUR]) {
  probe(`the clock is set ${by < 0 ? 'back' : 'on'} an hour: a window forgets nothing, a limit gives nothing away, a wait lasts as long as it should`, async () => {
    const guard = circuitBreaker({ consecutiveFailures: 100, minimumThroughput: 3, failureRatio: 1 });
    const limit = rateLimit({ rate: '1/h', burst: 1 });
    await errorOf(guard.run(fails));
    await errorOf(guard.run(fails));
    await limit.run(() => 1);
    step(by);
    assert.equal(guard.breaker.counts.failures, 2);
    assert.equal((await errorOf(limit.run(() => 1))).code, 'rate.limited');
    let calls = 0;
    assert.equal(await retry({ baseDelay: '10ms' }).run(() => ((calls += 1) < 3 ? fails() : calls)), 3);
  });
}
