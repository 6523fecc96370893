// The log of payments: JSON lines, appended as they happen.

import { createWriteStream } from 'node:fs';

import { settings } from './child.mjs';

const stream = createWriteStream(settings.log, { flags: 'a' });

export function log(line) {
  stream.write(`${JSON.stringify({ at: Date.now(), service: 'payments', ...line })}\n`);
}

/** Waits until every line so far is in the file. */
export function flushed() {
  return new Promise((resolve) => stream.write('', () => resolve()));
}
