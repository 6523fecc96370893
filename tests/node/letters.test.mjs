// Dead letters on disk: written by policies and by hand, read, redriven, and shared with Python.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import * as seawall from 'seawall';
import { clock } from 'seawall/testing';

const { DeadLetterQueue, deadLetter, fallback, policy, retry } = seawall;

/** A store in a folder of its own. */
function folder(t) {
  const path = mkdtempSync(join(tmpdir(), 'seawall-'));
  const time = clock();
  t.after(() => {
    time.restore();
    rmSync(path, { recursive: true, force: true });
  });
  return { store: `sqlite:///${path}`, time };
}

const fails = () => Promise.reject(Object.assign(new Error('bank is down'), { code: 'ECONNREFUSED' }));

test('a call that failed for good leaves a letter, before a fallback answers', async (t) => {
  const { store } = folder(t);
  const charge = policy('charges', fallback('later'), deadLetter('orders', { store }), retry({ maxAttempts: 2 }))(async function charge(order, cents) {
    return fails(order, cents);
  });
  const events = [];
  t.after(seawall.onEvent((event) => events.push(event)));
  assert.equal(await seawall.correlate('order-7', () => charge({ id: 7 }, 250)), 'later');
  const [letter] = await new DeadLetterQueue('orders', { store }).peek();
  assert.deepEqual(letter.args, [{ id: 7 }, 250]);
  assert.deepEqual(letter.kwargs, {});
  assert.equal(letter.correlationId, 'order-7');
  assert.equal(letter.policy, 'charges');
  assert.equal(letter.error.code, 'ECONNREFUSED');
  assert.equal(letter.error.message, 'bank is down');
  assert.equal(letter.attemptCount, 2);
  assert.equal(letter.origin.operation, 'charge');
  assert.equal(letter.origin.language, 'node');
  assert.equal(letter.state, 'ready');
  assert.equal(letter.redrivable, true);
  const written = events.find(({ event }) => event === 'dlq.written');
  assert.equal(written.letter_id, letter.id);
  assert.equal(written.correlation_id, 'order-7');
});

test('capture, idempotency key and redaction shape the letter', async (t) => {
  const { store } = folder(t);
  const guard = deadLetter('orders', {
    store,
    capture: (order) => ({ order: order.id, card: order.card }),
    idempotencyKey: (order) => `order-${order.id}`,
    redact: (letter) => ({ ...letter, payload: { ...letter.payload, card: 'gone' } }),
  });
  const error = await guard(fails)({ id: 7, card: '4111' }).catch((caught) => caught);
  const queue = new DeadLetterQueue('orders', { store });
  const letter = await queue.get(seawall.failure(error).letterId);
  assert.deepEqual(letter.payload, { order: 7, card: 'gone' });
  assert.equal(letter.idempotencyKey, 'order-7');
});

test('a redaction that fails costs the payload, what cannot be encoded costs the redrive', async (t) => {
  const { store } = folder(t);
  const queue = new DeadLetterQueue('orders', { store });
  const broken = deadLetter('orders', {
    store,
    redact: () => {
      throw new Error('bug');
    },
  });
  await broken(fails)('secret').catch(() => undefined);
  const [redacted] = await queue.peek();
  assert.equal(redacted.payload, null);
  assert.equal(redacted.redrivable, false);
  await deadLetter('orders', { store })(fails)(() => 1).catch(() => undefined);
  const [opaque] = await queue.peek();
  assert.equal(opaque.redrivable, false);
});

test('a store that cannot be reached loses the letter, never the caller’s error', async (t) => {
  folder(t);
  const events = [];
  t.after(seawall.onEvent((event) => events.push(event.event)));
  await assert.rejects(deadLetter('orders', { store: 'kafka://nowhere' })(fails)(), /bank is down/);
  assert.deepEqual(events, ['attempt.failed', 'dlq.lost']);
});

test('put, peek, get, groups, stats, park and purge', async (t) => {
  const { store } = folder(t);
  const queue = new DeadLetterQueue('orders', { store });
  const ids = [];
  for (const order of [1, 2, 3]) ids.push(await queue.put({ order }, { error: new Error(`order ${order} failed`), headers: { via: 'test' } }));
  assert.deepEqual((await queue.peek({ limit: 2 })).map(({ id }) => id), [ids[2], ids[1]]);
  assert.deepEqual((await queue.peek({ limit: 2, cursor: ids[1] })).map(({ id }) => id), [ids[0]]);
  const letter = await queue.get(ids[0]);
  assert.deepEqual(letter.payload, { order: 1 });
  assert.deepEqual(letter.headers, { via: 'test' });
  assert.equal(await queue.get('no such id'), undefined);
  assert.equal((await queue.groups()).reduce((sum, { count }) => sum + count, 0), 3);
  assert.equal(await queue.park({ id: ids[0] }), 1);
  const { ready, parked, lost } = await queue.stats();
  assert.deepEqual([ready, parked, lost], [2, 1, 0]);
  await assert.rejects(queue.purge(), seawall.ConfigError);
  await assert.rejects(queue.peek({ colour: 'red' }), seawall.ConfigError);
  assert.equal(await queue.purge({ state: 'parked', dryRun: true }), 1);
  assert.equal(await queue.purge({ state: 'parked' }), 1);
  assert.equal(await queue.purge({ all: true }), 2);
});

test('a redrive hands letters over in their own context, once each', async (t) => {
  const { store, time } = folder(t);
  const queue = new DeadLetterQueue('orders', { store });
  for (const order of [1, 2, 3, 4]) await queue.put({ order }, { correlationId: `c-${order}`, idempotencyKey: `k-${order}` });
  const seen = [];
  const report = await queue.redrive(
    (letter) => {
      seen.push([letter.payload.order, seawall.correlationId(), seawall.current().idempotencyKey]);
      if (letter.payload.order === 2) throw new Error('still down');
    },
    { rate: '10/s', limit: null },
  );
  assert.deepEqual(seen.sort(), [1, 2, 3, 4].map((order) => [order, `c-${order}`, `k-${order}`]));
  const { ok, failed, skipped, remaining } = report;
  // The one that failed is ready again, for the next redrive.
  assert.deepEqual({ ok, failed, skipped }, { ok: 3, failed: 1, skipped: 0 });
  assert.ok(remaining <= 1);
  assert.deepEqual(time.sleeps, [100, 100, 100]);
  const [left] = await queue.peek();
  assert.equal(left.error.message, 'still down');
  assert.equal(left.redrives, 1);
});

test('a policy that fails again within a redrive updates the letter', async (t) => {
  const { store } = folder(t);
  const queue = new DeadLetterQueue('orders', { store });
  const charge = deadLetter('orders', { store })(fails);
  await charge('a').catch(() => undefined);
  const report = await queue.redrive((letter) => charge(...letter.args));
  assert.equal(report.failed, 1);
  const letters = await queue.peek();
  assert.equal(letters.length, 1);
  assert.equal(letters[0].redrives, 1);
});

test('within an outer retry failures make one letter, and its success archives it', async (t) => {
  const { store } = folder(t);
  const queue = new DeadLetterQueue('orders', { store });
  let calls = 0;
  const inner = deadLetter('orders', { store })(async function charge(_) {
    return (calls += 1) < 3 ? fails() : 'charged';
  });
  assert.equal(await retry({ maxAttempts: 3 }).run(() => inner({ id: 7 })), 'charged');
  assert.equal(await seawall.flush(), true);
  const letters = await queue.peek({ state: 'archived' });
  assert.equal(letters.length, 1);
  assert.equal(letters[0].attemptCount, 2);
  assert.equal((await queue.peek()).length, 0);
});

test('a redrive with concurrency, a dry run, and a stop after failures', async (t) => {
  const { store } = folder(t);
  const queue = new DeadLetterQueue('orders', { store });
  for (let order = 0; order < 6; order += 1) await queue.put({ order });
  assert.equal((await queue.redrive(() => undefined, { dryRun: true })).remaining, 6);
  let most = 0;
  let open = 0;
  const stopped = await queue.redrive(fails, { stopAfterFailures: 2 });
  assert.equal(stopped.failed, 2);
  assert.equal(stopped.stopped, 'failures');
  const report = await queue.redrive(
    async () => {
      open += 1;
      most = Math.max(most, open);
      // Nobody ends before three are at work; a slow machine gets its time for that.
      for (const end = Date.now() + 20_000; most < 3 && Date.now() < end; ) await new Promise((resolve) => setTimeout(resolve, 5));
      open -= 1;
    },
    { concurrency: 3 },
  );
  assert.equal(report.ok, 6);
  assert.equal(most, 3);
  assert.equal((await queue.stats()).archived, 6);
  await assert.rejects(queue.redrive(fails, { concurrency: 0 }), seawall.ConfigError);
});

test('flush waits for what is being written', async (t) => {
  const { store } = folder(t);
  const queue = new DeadLetterQueue('orders', { store });
  const put = queue.put({ order: 1 });
  assert.equal(await seawall.flush(), true);
  assert.equal((await queue.peek()).length, 1);
  await put;
});

const python = join(fileURLToPath(new URL('../..', import.meta.url)), '.venv', 'bin', 'python');
const hasPython = existsSync(python) && spawnSync(python, ['-c', 'import seawall; seawall.DeadLetterQueue']).status === 0;

test('a letter written by Python is read and redriven here', { skip: hasPython ? false : 'the Python binding is not built' }, async (t) => {
  const { store } = folder(t);
  const script = `
import os, seawall
with seawall.correlate("order-7"):
    seawall.DeadLetterQueue("orders", store=os.environ["STORE"]).put({"order": 7}, error=ValueError("bad card"), idempotency_key="k-7")
`;
  const child = spawnSync(python, ['-c', script], { env: { ...process.env, STORE: store }, encoding: 'utf8' });
  assert.equal(child.status, 0, child.stderr);
  const queue = new DeadLetterQueue('orders', { store });
  const [letter] = await queue.peek();
  assert.deepEqual(letter.payload, { order: 7 });
  assert.match(letter.error.type, /ValueError/);
  assert.equal(letter.error.message, 'bad card');
  assert.equal(letter.correlationId, 'order-7');
  assert.equal(letter.origin.language, 'python');
  const seen = [];
  const report = await queue.redrive(() => seen.push(seawall.current().idempotencyKey));
  assert.equal(report.ok, 1);
  assert.deepEqual(seen, ['k-7']);
});
