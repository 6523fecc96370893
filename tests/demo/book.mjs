// The truth of the bank and of the ledger: a file of JSON lines, written before the answer, read again after a restart.

import { existsSync, openSync, readFileSync, truncateSync, writeSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';

/**
 * A book enters each idempotency key once. A repeat gets the first entry back, so that nobody pays twice. Every call leaves one
 * line with its kind: `entered`, `replayed` or `refused`, and with the number of calls in flight when it came.
 */
export class Book {
  #file;
  #entries = new Map();
  #tries = new Map();

  constructor(path) {
    this.#reread(path);
    this.#file = openSync(path, 'a');
  }

  /** A process that was killed may have left half a line, whose call was never answered: it is cut off. */
  #reread(path) {
    if (!existsSync(path)) return;
    const bytes = readFileSync(path);
    const whole = bytes.lastIndexOf(0x0a) + 1;
    if (whole < bytes.length) truncateSync(path, whole);
    for (const line of bytes.subarray(0, whole).toString('utf8').split('\n').slice(0, -1)) {
      const entry = JSON.parse(line);
      this.#tries.set(entry.order, (this.#tries.get(entry.order) ?? 0) + 1);
      if (entry.kind === 'entered') this.#entries.set(entry.key, entry);
    }
  }

  /** Begins a call. `attempt` is the book's own count of tries for the order, from 1. */
  begin(request, { order, cents }, inFlight) {
    const attempt = (this.#tries.get(order) ?? 0) + 1;
    this.#tries.set(order, attempt);
    const key = request.headers['idempotency-key'] ?? null;
    return { order, cents, key, attempt, correlation_id: request.headers['x-correlation-id'] ?? null, in_flight: inFlight };
  }

  /** Enters the call, or finds it entered already. Gives the entry, or null if the key stands for another charge. */
  enter(call, facts = {}) {
    const known = this.#entries.get(call.key);
    if (known) {
      const same = known.order === call.order && known.cents === call.cents;
      this.#write(call, same ? 'replayed' : 'refused');
      return same ? known : null;
    }
    const entry = this.#write(call, 'entered', facts);
    if (call.key !== null) this.#entries.set(call.key, entry);
    return entry;
  }

  refuse(call) {
    this.#write(call, 'refused');
  }

  /** One write call per line, so that a kill leaves it in the file or not, and never in between two lines. */
  #write(call, kind, facts = {}) {
    const entry = { at: Date.now(), kind, ...call, ...facts };
    writeSync(this.#file, `${JSON.stringify(entry)}\n`);
    return entry;
  }
}

/** The few milliseconds of a call, half of them before the entry and half after: a kill may strike on either side of it. */
export function work() {
  return setTimeout(4);
}

/** Whether a body speaks of a charge at all: whole cents that every language holds exactly. */
export function isCharge(body) {
  return typeof body?.order === 'string' && Number.isSafeInteger(body.cents) && body.cents >= 0;
}
