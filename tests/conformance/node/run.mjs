// Plays vectors through the public API of the Node package and compares transcripts byte by byte.
//
//     node tests/conformance/node/run.mjs [file or folder …]      default: all of tests/vectors
//     node tests/conformance/node/run.mjs --stdin                 a vector a line, answered by a line of JSON each
//     node tests/conformance/node/run.mjs --reach                 the events, codes and reasons that all vectors brought to hooks and errors

import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { onEvent } from 'seawall';

// Not part of the public surface: which way calls went, and the switch.
import { taken, useQuick } from '../../../bindings-node/dist/quick.js';

import { difference } from './difference.mjs';
import { play } from './player.mjs';
import { check, files, read } from './vector.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');

const paths = process.argv.slice(2);
if (paths[0] === '--stdin') await serve();
else if (paths[0] === '--reach') await reach();
else await compare(paths.length > 0 ? paths : [join(root, 'tests', 'vectors')]);

async function compare(folders) {
  let passed = 0;
  let failed = 0;
  for (const path of files(folders)) {
    for (const vector of read(path)) {
      const wrong = await bothWays(vector);
      if (wrong === undefined) passed += 1;
      else {
        failed += 1;
        console.log(`${path}: ${vector.title}\n${wrong}`);
      }
    }
  }
  const { quick, resumed, driver } = taken;
  const share = (calls) => `${Math.round((100 * calls) / (quick + resumed + driver))} %`;
  console.log(`of ${quick + resumed + driver} calls ${share(quick)} took the quick path, and ${share(resumed)} began there; each vector was played with and without it`);
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
}

/** What is wrong with a vector with the quick path, or without it. */
async function bothWays(vector) {
  const wrong = await attempt(vector);
  if (wrong !== undefined) return wrong;
  const before = { ...taken };
  useQuick(false);
  const slow = await attempt(vector);
  useQuick(true);
  Object.assign(taken, before);
  return slow === undefined ? undefined : `  without the quick path:\n${slow}`;
}

/** Answers each vector with what came of it, until the input ends. */
async function serve() {
  for await (const line of createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await answer(line)));
  }
}

/** Plays all vectors, and prints the events that hooks saw, and the codes and reasons that errors and events carried. */
async function reach() {
  const seen = { event: new Set(), code: new Set(), reason: new Set() };
  onEvent((event) => {
    for (const field of ['event', 'code', 'reason']) if (typeof event[field] === 'string') seen[field].add(event[field]);
  });
  for (const vector of files([join(root, 'tests', 'vectors')]).flatMap(read)) {
    for (const line of await play(vector)) {
      const [, code, rest] = /(?: raises |^letter )(\S+)(.*)/.exec(line) ?? [];
      if (code !== undefined) seen.code.add(code);
      const reason = / reason=(\S+)/.exec(rest ?? '');
      if (reason !== null) seen.reason.add(reason[1]);
    }
  }
  console.log(JSON.stringify(Object.fromEntries(Object.entries(seen).map(([kind, names]) => [kind, [...names].sort()]))));
}

async function answer(line) {
  try {
    const vector = JSON.parse(line);
    check(vector, 'stdin');
    return { transcript: await play(vector) };
  } catch (error) {
    return { error: error.stack };
  }
}

/** What is wrong with a vector, or nothing. */
async function attempt(vector) {
  try {
    const transcript = await play(vector);
    return difference(vector.transcript ?? [], transcript);
  } catch (error) {
    return `  ${error.stack}`;
  }
}
