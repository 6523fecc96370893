// Both kinds of decorators, as tsc compiles them.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import * as seawall from 'seawall';
import { clock } from 'seawall/testing';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..', '..');
const require = createRequire(import.meta.url);
const tsc = join(dirname(require.resolve('typescript/package.json')), 'bin', 'tsc');

for (const [kind, flags] of [
  ['TC39', []],
  ['legacy', ['--experimentalDecorators']],
]) {
  test(`${kind} decorators guard methods and keep this`, async (t) => {
    // Below the checkout, so that the compiled file finds the package.
    mkdirSync(join(root, 'target'), { recursive: true });
    const out = mkdtempSync(join(root, 'target', 'decorators-'));
    const time = clock();
    t.after(() => {
      time.restore();
      rmSync(out, { recursive: true });
    });
    const options = ['--strict', '--target', 'es2022', '--module', 'node16', '--skipLibCheck', '--types', 'node', '--rootDir', join(here, 'decorators'), '--outDir', out];
    const built = spawnSync(process.execPath, [tsc, ...options, ...flags, join(here, 'decorators', 'till.ts')], { encoding: 'utf8', cwd: root });
    assert.equal(built.status, 0, built.stdout);
    const { Till } = require(join(out, 'till.js'));
    const till = new Till(7);
    assert.equal(await till.charge(3), '7: 3, attempt 2');
    assert.equal(await till.refund(3), -3);
    assert.equal(till.charge.name, 'charge');
    assert.ok(seawall.policyOf(till.charge));
  });
}

test('a decorator on what is no method says so', () => {
  assert.throws(() => seawall.retry()(undefined, { kind: 'field', name: 'x' }), /decorates methods; x is a field/);
  assert.throws(() => seawall.retry()({}, 'x', undefined), /decorates methods; x is none/);
});
