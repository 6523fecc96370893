// The log of payments: JSON lines, appended as they happen.

import { createWriteStream } from 'node:fs';

import { settings } from './child.mjs';

const stream = createWriteStream(settings.log, { flags: 'a' });

export function log(line) {
  append(JSON.stringify({ time: new Date().toISOString(), service: 'payments', ...line }));
}

/** Appends a line that is JSON already. */
export function append(line) {
  stream.write(`${line}\n`);
}

/** Waits until every line so far is in the file. */
export function flushed() {
  return new Promise((resolve) => stream.write('', () => resolve()));
}
