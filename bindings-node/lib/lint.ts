/** What is allowed and yet likely a mistake, and how long a call may last at worst. */

import type { Core } from './core.js';
import { native } from './native.js';

/** One warning. Its code stays; `lines` shows the arithmetic behind it. */
export interface Finding {
  readonly code: string;
  readonly policy: string;
  readonly path: string;
  readonly message: string;
  readonly lines: readonly string[];
}

/** The longest that a call may last, and the most calls that it may make below; `lines` shows the arithmetic. */
export interface WorstCase {
  /** Milliseconds; null if nothing bounds them. */
  readonly ms: number | null;
  /** Why nothing bounds them. */
  readonly unbounded: string | null;
  readonly calls: number;
  readonly lines: readonly string[];
}

/** Policies that are more than a part of another one, without keeping them alive. */
const known = new Set<WeakRef<Core>>();
const noted = new WeakSet<Core>();
const gone = new FinalizationRegistry<WeakRef<Core>>((ref) => known.delete(ref));

/** A policy stands on its own. */
export function note(core: Core): void {
  if (noted.has(core)) return;
  noted.add(core);
  const ref = new WeakRef(core);
  known.add(ref);
  gone.register(core, ref);
}

/** The warnings of all policies, and of those that only the loaded policy file defines. Errors are thrown as they are written. */
export function lint(): Finding[] {
  for (const ref of known) ref.deref()?.resolveAll();
  return JSON.parse(native.lint(null)) as Finding[];
}

/** The worst case of one policy. */
export function worstCase(core: Core): WorstCase {
  return JSON.parse(native.policyWorstCase(core.resolveAll())) as WorstCase;
}
