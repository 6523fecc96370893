/** The attempts of one call: each runs in a scope of its own, is reported by its own number, and may outlive the call. */

import { errorType, Kind, kindOf, markInjected, retryAfterOf, statusOf } from './classify.js';
import * as clock from './clock.js';
import { type Current, Scope, within } from './context.js';
import type { Run } from './driver.js';
import { InjectedFaultError } from './errors.js';
import { native } from './native.js';
import { isThenable, makeFault } from './user-code.js';

/** One attempt. */
export interface Attempt {
  readonly number: number;
  readonly scope: Scope;
  value: unknown;
  error: unknown;
  /** Whether its end is still to be reported. */
  isOpen: boolean;
}

export class Attempts {
  private readonly all = new Map<number, Attempt>();
  /** The wall clock's time of the first. */
  startedAt = 0;

  constructor(private readonly run: Run) {}

  /** How many there were so far. */
  get count(): number {
    return this.all.size;
  }

  /** Whether any is still to end. */
  get isAnyOpen(): boolean {
    for (const attempt of this.all.values()) if (attempt.isOpen) return true;
    return false;
  }

  get(number: number): Attempt | undefined {
    return this.all.get(number);
  }

  start(number: number, deadlineMs: number, latencyMs: number, fault: number): void {
    const attempt = this.open(number, deadlineMs);
    const begin = (): void => {
      if (fault >= 0) this.failed(attempt, this.fault(fault));
      else this.invoke(attempt);
    };
    if (latencyMs === 0) return begin();
    const stop = clock.sleep(latencyMs, () => {
      release();
      begin();
    });
    const release = attempt.scope.onCut((reason) => {
      stop();
      this.failed(attempt, reason);
    });
  }

  private open(number: number, deadlineMs: number): Attempt {
    const { key, correlationId, idempotencyKey, chain, trail, outer } = this.run;
    const until = deadlineMs < 0 ? undefined : clock.now() + deadlineMs;
    const scope = new Scope({ attempt: number, until, key: key ?? undefined, correlationId, idempotencyKey, chain, ...trail }, outer);
    const attempt: Attempt = { number, scope, value: undefined, error: undefined, isOpen: true };
    this.all.set(number, attempt);
    if (number === 1) this.startedAt = clock.wallNow();
    return attempt;
  }

  private invoke(attempt: Attempt): void {
    const { fn, self, args, wantsCurrent } = this.run.work;
    const { scope } = attempt;
    try {
      const value = within(scope, () => (wantsCurrent ? fn(scope as Current) : fn.apply(self, [...args])));
      if (isThenable(value)) {
        value.then(
          (settled) => this.succeeded(attempt, settled),
          (error: unknown) => this.failed(attempt, error),
        );
      } else this.succeeded(attempt, value);
    } catch (error) {
      this.failed(attempt, error);
    }
  }

  private fault(number: number): unknown {
    const { work, key, correlationId } = this.run;
    const fault = work.core.part('chaos')?.faults[number];
    const error = makeFault(fault, work.self, work.args) ?? new InjectedFaultError(`chaos injected ${typeof fault === 'string' ? `"${fault}"` : 'a fault'}`, {
      policy: work.core.shownName, key: key ?? undefined, correlationId,
    });
    markInjected(error);
    return error;
  }

  private succeeded(attempt: Attempt, value: unknown): void {
    const bits = this.run.work.core.resultBitsOf(value);
    const [status, retryAfter] = bits === 0 ? [0, -1] : [statusOf(value), this.retryAfter(value)];
    this.ended(attempt, { value, error: undefined }, Kind.success, bits, status, retryAfter, '');
  }

  private failed(attempt: Attempt, error: unknown): void {
    const kind = this.run.isCancelled ? Kind.cancelled : kindOf(error);
    this.ended(attempt, { value: undefined, error }, kind, this.run.work.core.bitsOf(error), statusOf(error), this.retryAfter(error), errorType(error));
  }

  private retryAfter(outcome: unknown): number {
    try {
      return retryAfterOf(outcome, this.run.work.core.part('retry')?.retryAfter);
    } catch {
      return -1;
    }
  }

  private ended(attempt: Attempt, how: { value: unknown; error: unknown }, kind: number, bits: number, status: number, retryAfter: number, type: string): void {
    if (!attempt.isOpen) return;
    Object.assign(attempt, how, { isOpen: false });
    const { number } = attempt;
    this.run.attemptEnded(number, () => native.ended(this.run.handle, number, kind, bits, status, retryAfter, type, clock.now()));
  }

  /** Tells an attempt's work to stop. It is abandoned: whenever it ends, that is reported. */
  cut(number: number): void {
    this.run.disarm(number);
    this.get(number)?.scope.cut(this.run.cutReason());
  }
}
