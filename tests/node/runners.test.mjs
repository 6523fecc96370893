// Fake timers of other test runners, each in its own: `runners/` has the packages, and the scenarios that all of them play.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const cwd = fileURLToPath(new URL('runners', import.meta.url));

/** Runs a runner in `runners/`, and gives what it reports as JSON. */
function report(program, ...args) {
  const path = join(cwd, 'node_modules', program);
  assert.ok(existsSync(path), `${path} is missing; \`make test\` installs it, or \`npm ci\` in tests/node/runners`);
  const env = { ...process.env, NODE_TEST_CONTEXT: undefined, NODE_OPTIONS: undefined };
  const { stdout, stderr } = spawnSync(process.execPath, [path, ...args], { cwd, env, encoding: 'utf8', timeout: 120_000 });
  const line = stdout.split('\n').find((text) => text.startsWith('{'));
  assert.ok(line !== undefined, `no report:\n${stdout}${stderr}`);
  return JSON.parse(line);
}

for (const [name, program, args] of [
  ['vitest', 'vitest/vitest.mjs', ['run', '--reporter=json']],
  ['jest', 'jest/bin/jest.js', ['--json']],
]) {
  test(`the fake timers of ${name} drive everything`, () => {
    const { numPassedTests, numFailedTests, testResults } = report(program, ...args);
    const wrong = testResults.flatMap(({ assertionResults }) => assertionResults.flatMap(({ fullName, failureMessages }) => (failureMessages.length > 0 ? [fullName, ...failureMessages] : [])));
    assert.deepEqual(wrong, []);
    assert.equal(numFailedTests, 0);
    assert.ok(numPassedTests >= 11, `${numPassedTests} passed`);
  });
}
