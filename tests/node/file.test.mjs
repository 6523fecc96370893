// The policy file.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import * as seawall from 'seawall';
import { clock } from 'seawall/testing';

function file(t, text) {
  const time = clock();
  const folder = mkdtempSync(join(tmpdir(), 'seawall-'));
  t.after(() => {
    time.restore();
    rmSync(folder, { recursive: true });
  });
  const path = join(folder, 'seawall.toml');
  writeFileSync(path, text);
  return { path, time };
}

const fails = () => Promise.reject(new Error('boom'));

test('the file overrides code field by field, and an environment the file', async (t) => {
  const text = `
[policy.payments]
retry = { max_attempts = 4, jitter = "none" }
fallback = { value = "from the file" }

[env.staging.policy.payments]
retry = { max_attempts = 2 }
`;
  for (const [env, waits] of [[undefined, [50, 100, 200]], ['staging', [50]]]) {
    const { path, time } = file(t, text);
    seawall.load(path, env === undefined ? {} : { env });
    const payments = seawall.policy('payments', seawall.retry({ maxAttempts: 9, baseDelay: '50ms' }), seawall.fallback({ value: 'from code' }));
    assert.equal(await payments.run(fails), 'from the file');
    assert.deepEqual(time.sleeps, waits);
    time.restore();
  }
});

test('a bare name finds what the file defines; an unknown one names the nearest', async (t) => {
  const { path, time } = file(t, '[policy.payments]\nretry = { max_attempts = 2, jitter = "none" }\n');
  seawall.load(path);
  await assert.rejects(seawall.policy('payments').run(fails), /boom/);
  assert.deepEqual(time.sleeps, [100]);
  await assert.rejects(seawall.policy('paymets').run(fails), (error) => error instanceof seawall.ConfigError && /payments/.test(error.message));
});

test('a bad file is refused with its place, and nothing of it is taken', (t) => {
  const { path } = file(t, '[policy.payments]\nretry = { max_attempts = "many" }\n');
  assert.throws(
    () => seawall.load(path),
    (error) => error instanceof seawall.ConfigError && error.path.includes('retry.max_attempts'),
  );
  assert.throws(() => seawall.load(join(path, 'missing')), seawall.ConfigError);
});

test('two definitions of one name with different data are an error that shows both', async (t) => {
  file(t, '');
  await seawall.policy('twice', seawall.retry({ maxAttempts: 2 })).run(() => 1);
  await assert.rejects(seawall.policy('twice', seawall.retry({ maxAttempts: 3 })).run(() => 1), seawall.ConfigError);
});
