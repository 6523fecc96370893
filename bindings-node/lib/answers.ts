/** What answers in place of a call that failed: the last good result, then the steps of a fallback, one at a time. */

import * as clock from './clock.js';
import { FullScope, within } from './context.js';
import type { Run } from './driver.js';
import { native } from './native.js';
import { Source } from './source.js';
import { stale } from './stale.js';
import { attach, valueInForce } from './user-code.js';

/** How a step ends, on the boundary. */
const FAILED = 0;
const RETURNED = 1;
const CANCELLED = 2;
const NOTHING = 3;
/** The step before the first: the stale result. */
const STALE = -1;

/** Runs one step, called exactly like the callee. `keep` takes its value. */
export function answer(run: Run, step: number, keep: (value: unknown) => void): void {
  const done = (how: number): void => run.push(() => native.fallbackEnded(run.handle, how, clock.now()));
  if (step === STALE) {
    const found = stale(run);
    if (found !== undefined) keep(found.value);
    return done(found === undefined ? NOTHING : RETURNED);
  }
  call(run, step).then(
    (value) => {
      keep(value);
      done(RETURNED);
    },
    (failed: unknown) => {
      attach(run.error, failed);
      done(run.isCancelled ? CANCELLED : FAILED);
    },
  );
}

async function call(run: Run, step: number): Promise<unknown> {
  const { core, self, args, wantsCurrent, isStream } = run.work;
  const steps = core.part('fallback')?.steps ?? [];
  const chosen = step < steps.length ? steps[step] : valueInForce(core);
  const { key, correlationId, idempotencyKey, error } = run;
  const inner = new FullScope({ attempt: run.attempts.count, key: key ?? undefined, correlationId, idempotencyKey, error }, run.outer);
  const value: unknown = typeof chosen !== 'function' ? chosen : await within(inner, () => (wantsCurrent ? chosen(inner) : chosen.apply(self, [...args])));
  // A stream that cannot give its first item has failed, and the next step is tried.
  return isStream ? Source.of(value, inner, 'fallback').begin() : value;
}
