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

const files = ['api.mts', 'consumer.cts', 'example.mts'];

test('strict tsc finds the planted errors and nothing else', () => {
  const { stdout } = spawnSync(process.execPath, [tsc, '-p', join(here, 'typing'), '--pretty', 'false'], { encoding: 'utf8', cwd: here });
  const found = new Set();
  for (const [, file, line, message] of stdout.matchAll(/^(\S+?)\((\d+),\d+\): error (.*)$/gm)) {
    assert.ok(files.some((name) => file.endsWith(name)), `${file}: ${message}`);
    found.add(`${file.split('/').at(-1)}:${line}`);
  }
  const planted = files.flatMap((file) =>
    readFileSync(join(here, 'typing', file), 'utf8')
      .split('\n')
      .flatMap((line, place) => (line.includes('// error') ? [`${file}:${place + 1}`] : [])),
  );
  assert.ok(planted.length > 90);
  assert.deepEqual([...found].sort(), planted.sort(), stdout);
});
