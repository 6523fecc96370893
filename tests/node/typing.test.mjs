// The types: an example that strict tsc accepts, and planted errors that it must find.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const require = createRequire(import.meta.url);
const tsc = join(dirname(require.resolve('typescript/package.json')), 'bin', 'tsc');

test('strict tsc finds the planted errors and nothing else', () => {
  const { stdout } = spawnSync(process.execPath, [tsc, '-p', join(here, 'typing'), '--pretty', 'false'], { encoding: 'utf8', cwd: here });
  const found = new Map();
  for (const [, file, line, message] of stdout.matchAll(/^(\S+?)\((\d+),\d+\): error (.*)$/gm)) {
    assert.match(file, /example\.mts$/, message);
    found.set(Number(line), message);
  }
  const planted = readFileSync(join(here, 'typing', 'example.mts'), 'utf8')
    .split('\n')
    .flatMap((line, place) => (line.includes('// error') ? [place + 1] : []));
  assert.ok(planted.length > 10);
  assert.deepEqual([...found.keys()].sort((a, b) => a - b), planted, stdout);
});
