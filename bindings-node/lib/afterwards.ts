/** What becomes of a letter beyond its store: memory, a log line, a hook; and what is done when the process ends. */

import { emit } from './events.js';
import { type DeadLetter, toLetter } from './letter.js';
import { type Handle, native } from './native.js';
import { openQueue, track } from './queues.js';

export type OnLost = (letter: DeadLetter) => unknown;

/** A letter that nobody took: short, for a log, and whole, for a hook. Both are redacted. */
export interface Lost {
  readonly line: string;
  readonly letter: Readonly<Record<string, unknown>>;
}

/** What became of a letter. */
export interface Sent {
  readonly id: string;
  readonly step: 'store' | 'queued' | 'second' | 'memory' | 'log';
  readonly dropped: number;
  readonly expired: number;
  readonly cause: string | null;
  readonly lost: Lost | null;
  /** Why the letter could not be encrypted, so that it holds no more than how the call failed. */
  readonly unsealed: string | null;
  /** The queue, unless its store could not be opened. */
  readonly queue: Handle | undefined;
}

/** How long the end of a process waits for letters in memory. */
const AT_EXIT_MS = 2000;

/** By queue, for letters that are lost when nobody waits for them any more. */
const hooks = new Map<string, OnLost>();
let isRegistered = false;

/** Writes a letter, or sends it along the chain. */
export async function send(queue: string, store: string | undefined, letter: string, onLost: OnLost | undefined): Promise<Sent> {
  const handle = await openQueue(queue, store).catch(() => undefined);
  const work = handle === undefined ? native.queueWriteClosed(queue, store ?? null, letter) : native.queueWrite(handle, letter);
  const sent = { ...(JSON.parse(await track(work)) as Omit<Sent, 'queue'>), queue: handle };
  if (sent.step === 'queued' || sent.step === 'memory') {
    if (onLost !== undefined) hooks.set(queue, onLost);
    if (!isRegistered) process.once('exit', end);
    isRegistered = true;
  }
  return sent;
}

/** Leaves a line in the log, and calls the hook. Never throws. */
export function lost({ line, letter }: Lost, onLost: OnLost | undefined): void {
  console.error(`seawall: dead letter lost: ${line}`);
  try {
    onLost?.(toLetter(letter));
  } catch (error) {
    console.error('seawall: deadLetter.onLost threw:', error);
  }
}

function end(): void {
  for (const told of native.lettersEnd(AT_EXIT_MS)) {
    const what = JSON.parse(told) as Lost;
    const { queue, policy, key, correlation_id: correlationId } = what.letter as Record<string, string | null>;
    const about = { ...(key && { key }), ...(correlationId && { correlation_id: correlationId }) };
    emit({ event: 'dlq.lost', severity: 'error', policy: policy ?? '', ...about, queue, error_type: 'exit' });
    lost(what, hooks.get(queue ?? ''));
  }
}
