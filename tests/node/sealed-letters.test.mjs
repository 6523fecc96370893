// Letters that are encrypted, as applications in Node write and read them.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import * as seawall from 'seawall';
import { reset } from 'seawall/testing';

const { ConfigError, DeadLetterQueue, StoreError, deadLetter, policy } = seawall;

const KEY = `may:${Buffer.from(Array.from({ length: 32 }, (_, n) => n)).toString('base64')}`;
const NEWER = `june:${Buffer.from(Array.from({ length: 32 }, (_, n) => n + 32)).toString('base64')}`;

function folder(t) {
  reset();
  const place = mkdtempSync(join(tmpdir(), 'sealed-'));
  t.after(() => rmSync(place, { recursive: true, force: true }));
  return { place, store: `sqlite:///${place}/letters` };
}

let number = 0;

async function call(part, ...args) {
  const fails = async () => {
    throw new Error('canary-message');
  };
  await assert.rejects(policy(`sealed-${(number += 1)}`, part)(fails)(...args), /canary-message/);
}

function isSilent(place) {
  const files = readdirSync(place, { recursive: true }).map((name) => join(place, name)).filter((path) => statSync(path).isFile());
  assert.ok(files.length > 1);
  return !files.some((path) => readFileSync(path).includes('canary'));
}

test('a function, async too, gives the keys, and only they open the letter', async (t) => {
  const { place, store } = folder(t);
  await call(deadLetter('orders', { store, encrypt: async () => KEY }), { order: 'canary-7' });
  assert.ok(isSilent(place));
  const [locked] = await new DeadLetterQueue('orders', { store }).peek();
  assert.deepEqual([locked.encrypted, locked.payload, locked.args, locked.error.message], ['may', undefined, null, '']);
  assert.match(locked.locked, /'may'/);
  const queue = new DeadLetterQueue('orders', { store, encrypt: async () => KEY });
  const [opened] = await queue.peek();
  assert.deepEqual([opened.args, opened.error.message, opened.locked], [[{ order: 'canary-7' }], 'canary-message', null]);
  assert.equal((await queue.redrive(() => undefined)).ok, 1);
  assert.ok(isSilent(place));
});

test('keys in a file are rotated while the process runs', async (t) => {
  const { place, store } = folder(t);
  const file = join(place, 'keys');
  writeFileSync(file, KEY);
  const part = deadLetter('orders', { store, encrypt: `file:${file}` });
  await call(part, 1);
  writeFileSync(file, `${NEWER}\n${KEY}`);
  await call(part, 2);
  const letters = await new DeadLetterQueue('orders', { store, encrypt: `file:${file}` }).peek();
  assert.deepEqual(letters.map((letter) => [letter.encrypted, letter.args]), [['june', [2]], ['may', [1]]]);
});

test('a missing key ends a redrive and leaves the letter', async (t) => {
  const { store } = folder(t);
  const id = await new DeadLetterQueue('orders', { store, encrypt: () => KEY }).put('canary');
  const queue = new DeadLetterQueue('orders', { store, encrypt: () => NEWER });
  await assert.rejects(queue.redrive(() => assert.fail('nothing to deliver')), (error) => error instanceof StoreError && error.code === 'store.key' && /'may'/.test(error.message));
  const letter = await queue.get(id);
  assert.deepEqual([letter.state, letter.redrives], ['ready', 0]);
});

test('without keys a letter is written bare, and said so', async (t) => {
  const { place, store } = folder(t);
  const said = t.mock.method(console, 'error', () => undefined);
  await call(deadLetter('orders', { store, encrypt: () => { throw new Error(KEY); } }), 'canary');
  await call(deadLetter('orders', { store, encrypt: 'env:SEAWALL_TEST_NO_SUCH' }), 'canary');
  const lines = said.mock.calls.map(({ arguments: [line] }) => line).join('\n');
  assert.match(lines, /encrypt gave no keys[^]*SEAWALL_TEST_NO_SUCH/);
  assert.ok(!lines.includes(KEY) && isSilent(place));
  for (const letter of await new DeadLetterQueue('orders', { store }).peek()) assert.deepEqual([letter.payload, letter.redrivable], [null, false]);
});

test('a key in the place of its source is refused and not repeated', async () => {
  const isTold = (error) => error instanceof ConfigError && /env:NAME/.test(error.message) && !error.message.includes('AAEC');
  assert.throws(() => deadLetter('orders', { encrypt: KEY }), isTold);
  await assert.rejects(new DeadLetterQueue('orders', { store: 'memory:', encrypt: KEY }).peek(), isTold);
});
