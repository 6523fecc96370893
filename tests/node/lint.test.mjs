// Likely mistakes, the worst case, modes and reloads, as an application sees them.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, test } from 'node:test';

import * as seawall from 'seawall';
import { reset } from 'seawall/testing';

const { policy, retry, timeout } = seawall;

afterEach(() => reset());

function listen() {
  const told = [];
  const stop = seawall.onEvent((event) => told.push(event));
  return { told, stop };
}

test('the worst case is bounded, with its arithmetic', () => {
  const guard = policy(retry({ maxAttempts: 4, baseDelay: '100ms' }), timeout({ attempt: '2s', total: '10s' }));
  const worst = guard.worstCase();
  assert.deepEqual([worst.ms, worst.calls, worst.unbounded], [10_000, 4, null]);
  assert.ok(worst.lines.includes('together at most 10s'));
});

test('retries inside retries are found', () => {
  const inner = policy('inner', retry({ maxAttempts: 3 }), timeout({ attempt: '1s' }));
  const outer = policy('outer', retry({ maxAttempts: 2 }), timeout({ attempt: '9s' }));
  outer(inner(async () => undefined));
  assert.equal(outer.worstCase().calls, 6);
  const found = seawall.lint().filter(({ code }) => code === 'retries_multiply');
  assert.deepEqual(
    found.map(({ policy: name, path }) => [name, path]),
    [['outer', 'retry.max_attempts']],
  );
});

test('a mode set by hand is told, and a wrong one is an error', async () => {
  const { told, stop } = listen();
  const guard = policy('moded', { mode: 'shadow' }, retry());
  guard.setMode('disabled', { reason: 'drill', author: 'me', expiresIn: '1s' });
  stop();
  const [event] = told.filter((one) => one.event === 'mode.changed');
  assert.deepEqual([event.from, event.to, event.reason, event.author, event.expires_in_ms], ['shadow', 'disabled', 'drill', 'me', 1000]);
  assert.throws(() => policy('other', { mode: 'off' }, retry()), seawall.ConfigError);
  await assert.rejects(policy({ mode: () => 'off' }, retry()).run(() => 1), /the mode function gave off/);
});

test('a load changes policies in use and tells what', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'seawall-'));
  const guard = policy('served', retry({ maxAttempts: 2, baseDelay: '0ms' }));
  await guard.run(() => 1);
  const { told, stop } = listen();
  const path = join(folder, 'seawall.toml');
  for (const text of ['retry = { max_attempts = 5 }', 'bulkhead = {}']) {
    writeFileSync(path, `[policy.served]\n${text}\n`);
    seawall.load(path);
  }
  stop();
  rmSync(folder, { recursive: true });
  assert.deepEqual(
    told.map(({ event }) => event),
    ['config.loaded', 'config.reloaded', 'config.refused'],
  );
  assert.deepEqual(told[1].changed, ['retry.max_attempts']);
  let calls = 0;
  const failing = () => {
    calls += 1;
    throw Object.assign(new Error('down'), { code: 'ECONNREFUSED' });
  };
  await assert.rejects(guard.run(failing));
  assert.equal(calls, 5);
});
