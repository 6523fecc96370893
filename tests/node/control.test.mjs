// The control file in a process that has nothing to do with it: it is followed, and never in the way. What it does is tested in both languages at once: tests/parity.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

function run(t, program, variables = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'seawall-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const state = join(folder, 'state');
  const env = { ...process.env, SEAWALL_DIR: state, ...variables };
  const done = spawnSync(process.execPath, ['--input-type=module', '-e', program], { cwd: root, encoding: 'utf8', timeout: 30_000, env });
  assert.deepEqual([done.status, done.signal, done.stderr], [0, null, '']);
  return { told: done.stdout, state };
}

const HEAD = "import { createHook } from 'node:async_hooks'; let timers = 0; createHook({ init: (_, type, __, made) => { if (type === 'Timeout' && made._idleTimeout === 250) timers += 1; } }).enable(); const { policy, retry } = await import('seawall');";

test('one timer follows it from the first named policy on, keeps no process alive, and makes nothing', (t) => {
  const { told, state } = run(t, `${HEAD} const before = timers; await retry().run(() => 1); const unnamed = timers - before; await policy('a', retry()).run(() => 1); await policy('b', retry()).run(() => 1); console.log(unnamed, timers - before);`);
  assert.equal(told, '0 1\n');
  assert.equal(existsSync(state), false);
});

test('it may be left out', (t) => {
  const { told } = run(t, `${HEAD} const before = timers; await policy('a', retry()).run(() => 1); console.log(timers - before);`, { SEAWALL_CONTROL: 'off' });
  assert.equal(told, '0\n');
});
