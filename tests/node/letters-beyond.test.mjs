// Letters that their store does not take, limits of a queue, and letters that nobody waits for.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import * as seawall from 'seawall';
import { reset } from 'seawall/testing';

const { DeadLetterQueue, deadLetter, flush, metrics, onEvent, policy } = seawall;

function folder(t) {
  reset();
  const place = mkdtempSync(join(tmpdir(), 'letters-'));
  t.after(() => rmSync(place, { recursive: true, force: true }));
  return { place, store: `sqlite:///${place}/first`, second: `sqlite:///${place}/second` };
}

const fails = async () => {
  throw new Error('the bank is down: password=hunter2');
};

async function call(part, ...args) {
  await assert.rejects(policy('beyond', part)(fails)(...args), /bank is down/);
}

function eventsOf(t) {
  const seen = [];
  t.after(onEvent((event) => event.event.startsWith('dlq.') && seen.push(event)));
  return seen;
}

test('a full queue refuses, the second store takes the letter, and all of it is told and counted', async (t) => {
  const { store, second } = folder(t);
  const events = eventsOf(t);
  const part = deadLetter('orders', { store, secondStore: second, maxLetters: 1 });
  await call(part, 1);
  await call(part, 2);
  assert.deepEqual(events.map((event) => [event.event, event.step, event.cause]), [
    ['dlq.written', undefined, undefined],
    ['dlq.fallback', 'second', 'store.full'],
    ['dlq.written', undefined, undefined],
  ]);
  assert.deepEqual((await new DeadLetterQueue('orders', { store: second }).peek()).map((letter) => letter.args), [[2]]);
  assert.match(metrics(), /seawall_dlq_fallback_total\{policy="beyond",lang="node"\} 1/);
});

test('a queue may drop its oldest letters, and says so', async (t) => {
  const { store } = folder(t);
  const events = eventsOf(t);
  const part = deadLetter('orders', { store, maxLetters: 2, whenFull: 'drop_oldest', maxAge: '30d', retention: '1d', minFree: 1 });
  for (const n of [1, 2, 3]) await call(part, n);
  const dropped = events.filter((event) => event.event === 'dlq.dropped');
  assert.deepEqual(dropped.map(({ queue, letters, reason }) => [queue, letters, reason]), [['orders', 1, 'full']]);
  const queue = new DeadLetterQueue('orders', { store });
  assert.deepEqual([(await queue.peek()).map((letter) => letter.args[0]), (await queue.stats()).dropped], [[3, 2], 1]);
  assert.match(metrics(), /seawall_dlq_dropped_total\{policy="beyond",lang="node"\} 1/);
});

test('a store that comes back gets what waited in memory', async (t) => {
  const { place, store } = folder(t);
  const events = eventsOf(t);
  writeFileSync(join(place, 'first'), 'in the way');
  await call(deadLetter('orders', { store }), 7);
  assert.deepEqual(events.map((event) => [event.event, event.step, event.cause]), [['dlq.fallback', 'memory', 'store.failed']]);
  assert.equal(await flush({ timeout: '1ms' }), false);
  rmSync(join(place, 'first'));
  assert.equal(await flush({ timeout: '30s' }), true);
  assert.deepEqual((await new DeadLetterQueue('orders', { store }).peek()).map((letter) => letter.args), [[7]]);
});

test('nobody waits for a letter with awaitDurable false, and flush finds it written', async (t) => {
  const { store } = folder(t);
  const part = deadLetter('orders', { store, awaitDurable: false, durability: 'os' });
  for (const n of [1, 2, 3]) await call(part, n);
  assert.equal(await flush({ timeout: '30s' }), true);
  assert.deepEqual((await new DeadLetterQueue('orders', { store }).peek()).map((letter) => letter.args[0]).sort(), [1, 2, 3]);
});

test('what nobody takes goes to the log, redacted, and to the hook', async (t) => {
  folder(t);
  const said = t.mock.method(console, 'error', () => undefined).mock;
  const lost = [];
  const store = 'kafka://nowhere';
  await call(deadLetter('orders', { store, onLost: (letter) => lost.push(letter) }), { password: 'hunter2', order: 7 });
  assert.deepEqual(lost.map((letter) => letter.args), [[{ password: '[redacted]', order: 7 }]]);
  const [line] = said.calls.map((call) => String(call.arguments[0]));
  assert.match(line, /^seawall: dead letter lost: \{.*"order":7/);
  assert.doesNotMatch(line, /hunter2/);
  await call(deadLetter('orders', { store, onLost: () => { throw new Error('hook'); } }), 1);
});

test('a process that ends writes what waits in memory, or says what it loses', (t) => {
  const { place, store } = folder(t);
  const script = `
    const { deadLetter, onEvent } = require('./');
    onEvent((event) => event.event === 'dlq.lost' && console.log(event.event, event.error_type));
    const part = deadLetter('orders', { store: process.argv[1], awaitDurable: false, onLost: (letter) => console.log('lost', letter.args[0]) });
    part(async (n) => { throw new Error('down'); })(7).catch(() => undefined);
  `;
  const run = () => spawnSync(process.execPath, ['-e', script, '--', store], { cwd: process.cwd(), encoding: 'utf8' });
  const well = run();
  assert.deepEqual([well.stdout, well.stderr], ['', '']);
  rmSync(join(place, 'first'), { recursive: true });
  writeFileSync(join(place, 'first'), 'in the way');
  const badly = run();
  assert.equal(badly.stdout, 'dlq.lost exit\nlost 7\n');
  assert.match(badly.stderr, /dead letter lost: .*"args":\[7\]/);
});
