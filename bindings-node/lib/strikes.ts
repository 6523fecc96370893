/** What chaos does to an attempt: the error it raises, the result it gives, and what it runs beforehand. */

import { markInjected } from './classify.js';
import { within } from './context.js';
import type { Attempt } from './attempts.js';
import type { Run } from './driver.js';
import { InjectedFaultError } from './errors.js';
import { isThenable, makeFault } from './user-code.js';

/** Injected results start at -2 and count down, beside faults from 0 up and -1 for neither. */
const FIRST_OUTCOME = -2;

/** The error of an injected fault. */
export function faultOf(run: Run, number: number): unknown {
  const { work, key, correlationId } = run;
  const fault = work.core.part('chaos')?.faults[number];
  const error = makeFault(fault, work.self, work.args) ?? new InjectedFaultError(`chaos injected ${typeof fault === 'string' ? `"${fault}"` : 'a fault'}`, {
    policy: work.core.shownName, key: key ?? undefined, correlationId,
  });
  markInjected(error);
  return error;
}

/** The result of an injected outcome, or the promise of one: a value, or what a function gives. */
export function outcomeOf(run: Run, attempt: Attempt, number: number): unknown {
  const outcome = run.work.core.part('chaos')?.outcomes[FIRST_OUTCOME - number];
  return typeof outcome === 'function' ? call(attempt, outcome) : outcome;
}

/** Runs the behaviour inside the attempt, then goes on. One that fails has failed the attempt: that is a fault which chaos injected. */
export function behave(run: Run, attempt: Attempt, go: () => void, fail: (error: unknown) => void): void {
  const failed = (error: unknown): void => {
    markInjected(error);
    fail(error);
  };
  try {
    const behavior = run.work.core.part('chaos')?.behavior;
    const done = behavior === undefined ? undefined : call(attempt, behavior);
    if (isThenable(done)) done.then(go, failed);
    else go();
  } catch (error) {
    failed(error);
  }
}

/** They take no arguments; `current()` speaks of the attempt. */
function call(attempt: Attempt, fn: Function): unknown {
  return within(attempt.scope, () => fn() as unknown);
}
