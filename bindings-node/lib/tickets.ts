/**
 * Calls of this isolate that wait in a queue, by ticket. A wake may come before its call has parked; it is remembered, a bounded number of them.
 *
 * Whose a ticket is the native module knows: what other isolates wake comes by a mailbox. While a call waits and there are other isolates, which may hold what it
 * waits for, it keeps the event loop alive, as anything does that comes from outside. Alone, whatever will free the slot keeps the loop alive itself.
 */

import { native } from './native.js';

const parked = new Map<number, () => void>();
const early = new Set<number>();
const MOST_EARLY = 1024;
/** The longest that a timer of the host may have. */
const LONGEST_MS = 2 ** 31 - 1;
// The host's own, looked up once: it counts nothing, so faked timers have no part in it.
const { setInterval, clearInterval } = globalThis;

let hold: NodeJS.Timeout | undefined;

native.mailboxHang(() => native.mailboxTake().forEach(wake));

/** Calls `resume` once the ticket is woken. */
export function parkFor(ticket: number, resume: () => void): void {
  if (early.delete(ticket)) return resume();
  parked.set(ticket, resume);
  if (hold === undefined && native.isolateCount() > 1) hold = setInterval(() => undefined, LONGEST_MS);
}

/** Forgets a ticket. */
export function unpark(ticket: number): void {
  parked.delete(ticket);
  if (parked.size > 0 || hold === undefined) return;
  clearInterval(hold);
  hold = undefined;
}

/** Wakes whoever parked here with the ticket. The engine's wait list holds the truth, so a wake too many is harmless. */
export function wake(ticket: number): void {
  const resume = parked.get(ticket);
  unpark(ticket);
  if (resume !== undefined) return resume();
  early.add(ticket);
  if (early.size > MOST_EARLY) early.delete(early.values().next().value!);
}
