/** One policy as it stands. */

import * as clock from './clock.js';
import type { Core, Mode } from './core.js';
import { native } from './native.js';

/** What limits a call, and how much of it is in use; null where there is no such limit. */
export interface Limits {
  readonly attempts: number | null;
  readonly maxConcurrent: number | null;
  /** The slots that there are now: `maxConcurrent`, unless they adapt. */
  readonly limit: number | null;
  readonly maxQueue: number | null;
  readonly inFlight: number | null;
  readonly queued: number | null;
  readonly ratePerSecond: number | null;
  readonly burst: number | null;
  readonly attemptMs: number | null;
  readonly totalMs: number | null;
}

/** A policy as it stands. What belongs to one key is null on a keyed policy without a key. */
export interface Snapshot {
  readonly mode: Mode;
  /** By metric, over all keys; a metric with a label has the label's value after a colon. */
  readonly counts: Readonly<Record<string, number>>;
  /** The window of the circuit breaker. */
  readonly ratios: { readonly state: string; readonly total: number; readonly failure: number | null; readonly slow: number | null } | null;
  readonly limits: Limits;
  /** The retry budget: retries that it pays for now, and what each call adds. */
  readonly budget: { readonly left: number; readonly perCall: number } | null;
  readonly chaos: Experiment | null;
}

/** Chaos: whether it may strike in this process, how it stands, what ended it early, how many attempts it saw and struck. */
export interface Experiment {
  readonly armed: boolean;
  readonly state: 'disarmed' | 'running' | 'waiting' | 'aborted' | 'over';
  readonly aborted: 'breaker_open' | 'failure_ratio' | null;
  readonly attempts: number;
  readonly struck: number;
}

/** The snapshot of a policy, or of one key of it. */
export function snapshotOf(core: Core, key: string | undefined): Snapshot {
  const found = JSON.parse(native.policySnapshot(core.resolve(), key ?? null, clock.now())) as Record<string, Record<string, unknown> | null>;
  return { ...found, limits: camel(found['limits']), budget: camel(found['budget']) } as unknown as Snapshot;
}

function camel(table: Record<string, unknown> | null | undefined): Record<string, unknown> | null {
  if (table === null || table === undefined) return null;
  return Object.fromEntries(Object.entries(table).map(([name, value]) => [name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()), value]));
}
