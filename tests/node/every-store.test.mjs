// What a queue does, it does in every store: memory, SQLite, and real servers, which are killed and stopped here too.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';

import * as seawall from 'seawall';
import { reset } from 'seawall/testing';

const { DeadLetterQueue, deadLetter, flush, onEvent, policy } = seawall;

const SCRIPT = fileURLToPath(new URL('../servers/serve.py', import.meta.url));
const SECRET = /hunter2/;

/** A server that runs while the test does; without one the test is skipped, or fails where servers are required. */
async function serve(t, kind) {
  const script = spawn('python3', [SCRIPT, kind], { stdio: ['pipe', 'pipe', 'inherit'] });
  const gone = once(script, 'exit');
  t.after(async () => {
    script.stdin.end();
    await gone;
  });
  const lines = createInterface({ input: script.stdout })[Symbol.asyncIterator]();
  const first = await lines.next();
  if (first.done) {
    const [status] = await gone;
    assert.ok(status === 3 && process.env['SEAWALL_REQUIRE_SERVERS'] !== '1', `no ${kind} server: status ${status}`);
    t.skip(`no ${kind} server`);
    return undefined;
  }
  const tell = async (word) => {
    script.stdin.write(`${word}\n`);
    assert.equal((await lines.next()).value, 'ok');
  };
  return { ...JSON.parse(first.value), tell };
}

function refused(message) {
  return Object.assign(new Error(message), { name: 'Refused', code: 'card.refused' });
}

/** All that the contract asks of a queue. */
async function contract(t, store) {
  const queueOf = async (name) => {
    const queue = new DeadLetterQueue(name, { store });
    await queue.purge({ all: true });
    return queue;
  };

  await t.test('a letter is put, found, listed, filtered and grouped', async () => {
    const queue = await queueOf('node listed');
    const ids = [];
    for (let n = 0; n < 5; n++) ids.push(await queue.put({ n, note: 'Grüße, 世界' }, { error: refused('no') }));
    await queue.put({ n: 5 }, { error: new TypeError('late') });
    assert.deepEqual((await queue.get(ids[2])).payload, { n: 2, note: 'Grüße, 世界' });
    assert.equal(await queue.get('018f3a3a-0000-7000-8000-000000000000'), undefined);
    const page = await queue.peek({ limit: 4 });
    assert.deepEqual(page.map((letter) => letter.payload.n), [5, 4, 3, 2]);
    assert.deepEqual((await queue.peek({ cursor: page[3].id })).map((letter) => letter.payload.n), [1, 0]);
    assert.deepEqual((await queue.peek({ error: 'card.refused' })).length, 5);
    assert.deepEqual((await queue.groups()).map((group) => group.count), [5, 1]);
    assert.equal((await queue.stats()).ready, 6);
  });

  await t.test('failures of one key are one letter', async () => {
    const queue = await queueOf('node merged');
    const ids = await Promise.all(Array.from({ length: 8 }, (_, n) => queue.put(1, { error: refused(`try ${n}`), idempotencyKey: 'k' })));
    const found = await Promise.all(ids.map((id) => queue.get(id)));
    assert.equal(new Set(found.map((letter) => letter.id)).size, 1);
    assert.equal((await queue.stats()).ready, 1);
  });

  await t.test('letters are redriven, archived, put back, parked and removed', async () => {
    const queue = await queueOf('node redriven');
    for (let n = 0; n < 4; n++) await queue.put(n, { error: refused('no') });
    const handler = async (letter) => {
      if (letter.payload === 2) throw refused('still no');
    };
    const report = await queue.redrive(handler, { concurrency: 3 });
    assert.deepEqual([report.ok, report.failed, report.remaining], [3, 1, 0]);
    await queue.redrive(handler);
    await queue.redrive(handler);
    const [parked] = await queue.peek();
    assert.deepEqual([parked.payload, parked.state, parked.redrives], [2, 'parked', 3]);
    assert.equal((await queue.stats()).archived, 3);
    const id = await queue.put(9);
    assert.equal(await queue.park({ id }), 1);
    assert.equal(await queue.purge({ id, dryRun: true }), 1);
    assert.equal(await queue.purge({ all: true }), 5);
    assert.equal((await queue.stats()).bytes, 0);
  });

  await t.test('a bulk redrive goes on record', async () => {
    const queue = await queueOf('node jobs');
    for (let n = 0; n < 3; n++) await queue.put(n);
    await queue.redrive(() => undefined, { limit: null });
    const [job] = await queue.jobs();
    assert.deepEqual([job.state, job.total, job.ok], ['done', 3, 3]);
    assert.equal(await queue.cancel(job.id), false);
  });
}

test('memory keeps the contract', (t) => contract(t, 'memory:'));

test('SQLite keeps the contract', async (t) => {
  const place = mkdtempSync(join(tmpdir(), 'letters-'));
  t.after(() => rmSync(place, { recursive: true, force: true }));
  await contract(t, `sqlite:///${place}`);
});

for (const kind of ['postgres', 'redis']) {
  test(`${kind} keeps the contract, and what becomes of it replaces no error`, async (t) => {
    reset();
    const server = await serve(t, kind);
    if (server === undefined) return;
    const store = server.url;
    await contract(t, store);
    if (!server.own) return;
    const events = [];
    t.after(onEvent((event) => events.push(event)));
    const charge = policy(`node away from ${kind}`, deadLetter('away', { store, writeTimeout: '300ms' }))(async () => {
      throw refused('the bank is down');
    });
    await assert.rejects(charge(0), { code: 'card.refused' });
    await server.tell('stop');
    await assert.rejects(charge(1), { code: 'card.refused' });
    await server.tell('go');
    await server.tell('kill');
    await assert.rejects(charge(2), { code: 'card.refused' });
    const queue = new DeadLetterQueue('away', { store });
    const error = await queue.stats().then(() => assert.fail('it is gone'), (why) => why);
    assert.equal(error.code, 'store.failed');
    for (const shown of [inspect(error), inspect(queue, { depth: 9, showHidden: true }), JSON.stringify(queue), inspect(charge), JSON.stringify(events)]) assert.doesNotMatch(shown, SECRET);
    await server.tell('start');
    assert.ok(await flush('30s'));
    assert.deepEqual((await queue.peek()).map((letter) => letter.args[0]).sort(), [0, 1, 2]);
    const causes = events.filter((event) => event.event === 'dlq.fallback').map((event) => event.cause);
    // A server that stands still is busy, one that is gone has failed; which is seen first depends on the connection.
    assert.ok(causes.length === 2 && causes.every((cause) => ['store.busy', 'store.failed'].includes(cause)), `${causes}`);
  });
}
