// Plays vectors through the public API of the Node package and compares transcripts byte by byte.
//
//     node tests/conformance/node/run.mjs [file or folder …]      default: all of tests/vectors

import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { difference } from './difference.mjs';
import { play } from './player.mjs';
import { files, read } from './vector.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');

const paths = process.argv.slice(2);
let passed = 0;
let failed = 0;

for (const path of files(paths.length > 0 ? paths : [join(root, 'tests', 'vectors')])) {
  for (const vector of read(path)) {
    const wrong = await attempt(vector);
    if (wrong === undefined) passed += 1;
    else {
      failed += 1;
      console.log(`${path}: ${vector.title}\n${wrong}`);
    }
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;

/** What is wrong with a vector, or nothing. */
async function attempt(vector) {
  try {
    const transcript = await play(vector);
    return difference(vector.transcript ?? [], transcript);
  } catch (error) {
    return `  ${error.stack}`;
  }
}
