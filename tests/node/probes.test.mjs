// Every probe of `probes/`, each in a process of its own, with the quick path and without it.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('probes', import.meta.url));
const LIMIT_MS = 60_000;

/** Runs a file of probes; gives how it ended. */
function start(file, env) {
  return new Promise((resolve) => {
    const options = { encoding: 'utf8', timeout: LIMIT_MS, killSignal: 'SIGKILL', env: { ...process.env, NODE_TEST_CONTEXT: undefined, ...env } };
    execFile(process.execPath, [join(folder, file)], options, (error, stdout, stderr) => resolve({ status: error === null ? 0 : (error.code ?? error.signal), stdout, stderr }));
  });
}

for (const file of readdirSync(folder).filter((name) => name !== 'probe.mjs')) {
  const { stdout } = await start(file, {});
  const sentences = JSON.parse(stdout);
  describe(file, { concurrency: 2 }, () => {
    for (const sentence of sentences) {
      test(sentence, async () => {
        for (const fast of ['1', '0']) {
          const { status, stdout, stderr } = await start(file, { PROBE: sentence, SEAWALL_FAST: fast });
          assert.equal(status, 0, `SEAWALL_FAST=${fast}: ${status}\n${stdout}${stderr.slice(0, 2_000)}`);
          assert.equal(stdout, 'passed\n');
        }
      });
    }
  });
}
