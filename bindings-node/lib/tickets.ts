/** Calls that wait in a queue, by ticket. A wake may come before its call has parked; it is remembered, a bounded number of them. */

const parked = new Map<number, () => void>();
const early = new Set<number>();
const MOST_EARLY = 1024;

/** Calls `resume` once the ticket is woken. */
export function parkFor(ticket: number, resume: () => void): void {
  if (early.delete(ticket)) resume();
  else parked.set(ticket, resume);
}

/** Forgets a ticket. */
export function unpark(ticket: number): void {
  parked.delete(ticket);
}

/** Wakes whoever parked with the ticket. The engine's wait list holds the truth, so a wake too many is harmless. */
export function wake(ticket: number): void {
  const resume = parked.get(ticket);
  parked.delete(ticket);
  if (resume !== undefined) return resume();
  early.add(ticket);
  if (early.size > MOST_EARLY) early.delete(early.values().next().value!);
}
