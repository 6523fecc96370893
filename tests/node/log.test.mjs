// Log lines: pino and winston, storms, and what is never in a line.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Writable } from 'node:stream';

import pino from 'pino';
import winston from 'winston';

import * as seawall from 'seawall';
import { logTo } from 'seawall/log';
import { clock } from 'seawall/testing';

const down = (message = 'down') => Promise.reject(Object.assign(new Error(message), { code: 'ECONNRESET' }));

function virtual(t) {
  const time = clock({ autoAdvance: true });
  t.after(() => time.restore());
  return time;
}

/** A stream, and the lines of JSON that were written to it. */
function kept() {
  const lines = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      lines.push(...String(chunk).trim().split('\n').map((line) => JSON.parse(line)));
      done();
    },
  });
  return { lines, stream };
}

test('pino: events have their levels and fields, and every line of the application the correlation id', async (t) => {
  virtual(t);
  const { lines, stream } = kept();
  const log = pino({ mixin: () => ({ correlation_id: seawall.correlationId() }) }, stream);
  t.after(logTo((level, event) => log[level](event, event.event)));
  await seawall.correlate('web-1', async () => {
    log.info('before');
    await assert.rejects(seawall.policy('shop', seawall.retry({ maxAttempts: 2, baseDelay: '1s', jitter: 'none' })).run(() => down()));
  });
  assert.deepEqual(lines.map(({ msg }) => msg), ['before', 'retry.scheduled', 'retry.stopped'], 'debug is below the level of pino');
  assert.ok(lines.every(({ correlation_id: id }) => id === 'web-1'));
  assert.deepEqual(lines.map(({ level }) => level), [30, 30, 40]);
  assert.equal(lines[1].delay_ms, 1_000);
});

test('winston: the same', async (t) => {
  virtual(t);
  const { lines, stream } = kept();
  const correlated = winston.format((info) => ({ ...info, correlation_id: info.correlation_id ?? seawall.correlationId() }));
  const log = winston.createLogger({
    format: winston.format.combine(correlated(), winston.format.json()),
    transports: [new winston.transports.Stream({ stream })],
  });
  t.after(logTo((level, event) => log.log({ ...event, level, message: event.event })));
  await seawall.correlate('web-1', async () => {
    log.info('before');
    await assert.rejects(seawall.policy('store', seawall.retry({ maxAttempts: 2, baseDelay: '1s', jitter: 'none' })).run(() => down()));
  });
  await new Promise(setImmediate);
  assert.deepEqual(lines.map(({ level, message }) => `${level} ${message}`), ['info before', 'info retry.scheduled', 'warn retry.stopped']);
  assert.ok(lines.every(({ correlation_id: id }) => id === 'web-1'));
});

test('a storm is cut, and the next line says by how much', async (t) => {
  const time = virtual(t);
  const lines = [];
  t.after(logTo((level, event) => event.event === 'retry.stopped' && lines.push(event)));
  const [one, other] = ['one', 'other'].map((name) => seawall.policy(name, seawall.retry({ maxAttempts: 1 })));
  const storm = async (policy, calls) => {
    for (let call = 0; call < calls; call += 1) await assert.rejects(policy.run(() => down()));
  };
  await storm(one, 1_000);
  await storm(other, 3);
  const dropped = (name) => lines.filter(({ policy }) => policy === name).map((event) => event.dropped);
  assert.deepEqual(dropped('one'), Array(10).fill(undefined));
  assert.deepEqual(dropped('other'), Array(3).fill(undefined));
  await time.advance('1s');
  await storm(one, 11);
  assert.deepEqual(dropped('one').slice(10), [990, ...Array(9).fill(undefined)]);
  assert.throws(() => logTo(() => undefined, { perSecond: 0 }), seawall.ConfigError);
});

test('no secret is ever in an event, a line or a metric', async (t) => {
  virtual(t);
  const canary = 'hunter2-canary';
  const told = [];
  t.after(seawall.onEvent((event) => told.push(seawall.eventLine(event))));
  t.after(logTo((level, event) => told.push(JSON.stringify(event)), { perSecond: Infinity }));
  const parts = [seawall.fallback(() => canary), seawall.deadLetter('orders', { store: 'memory:' }), seawall.retry({ maxAttempts: 2 })];
  const guard = seawall.policy('secret', ...parts, seawall.circuitBreaker({ consecutiveFailures: 2 }), seawall.bulkhead({ maxConcurrent: 1 }));
  const charge = guard(async (_card, _options) => down(`no route to https://ada:${canary}@bank.test/?token=${canary}`));
  const incoming = { authorization: canary, cookie: canary, 'x-correlation-id': `password=${canary} !` };
  await seawall.receive(incoming, async () => {
    for (let call = 0; call < 3; call += 1) assert.equal(await charge(canary, { password: canary }), canary);
  }, { trust: true });
  for (const store of [`kafka://ada:${canary}@host/topic`, `postgresql://ada:${canary}@127.0.0.1:1/letters`]) {
    await assert.rejects(seawall.policy(`lost-${store.slice(0, 5)}`, seawall.deadLetter('orders', { store }))(async () => down(`no route to https://ada:${canary}@bank.test/`))({ password: canary }));
  }
  const names = new Set(told.map((line) => JSON.parse(line).event));
  for (const name of ['attempt.failed', 'retry.stopped', 'breaker.opened', 'call.rejected', 'dlq.written', 'fallback.used', 'dlq.lost']) assert.ok(names.has(name), name);
  assert.deepEqual(told.filter((line) => line.includes(canary)), []);
  assert.ok(!seawall.metrics().includes(canary) && !JSON.stringify(seawall.snapshot()).includes(canary));
});
