/**
 * The attempts of one call. Several may run at once; each runs in a scope of its own, is reported by its own number, and may outlive the call.
 *
 * The attempt of a stream goes on after it has returned: it ends when its iterator does. Until the consumer has the first item, every attempt of the call pulls
 * one; afterwards only the attempt that gave it is asked.
 */

import { errorType, Kind, kindOf, retryAfterOf, statusOf } from './classify.js';
import * as clock from './clock.js';
import { type Current, FullScope, Scope, within } from './context.js';
import type { Run } from './driver.js';
import { native } from './native.js';
import { type Ask, Source } from './source.js';
import { behave, faultOf, outcomeOf } from './strikes.js';
import { isThenable } from './user-code.js';

/** One attempt. */
export interface Attempt {
  readonly number: number;
  readonly scope: Scope;
  value: unknown;
  error: unknown;
  /** Whether its end is still to be reported. */
  isOpen: boolean;
  /** Whether its work was told to stop: whatever becomes of it, it was cancelled. */
  isCut: boolean;
  /** Whether chaos made its result up. */
  isMadeUp: boolean;
  /** The iterator of a stream. */
  source: Source | undefined;
}

const CALLEE = -1;

export class Attempts {
  private readonly all = new Map<number, Attempt>();
  private readonly behaving = new Set<number>();
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

  /** Chaos runs its behaviour in the attempt that starts next. */
  behave(number: number): void {
    this.behaving.add(number);
  }

  start(number: number, deadlineMs: number, latencyMs: number, fault: number): void {
    const attempt = this.open(number, deadlineMs);
    if (latencyMs === 0 && fault === CALLEE && this.behaving.size === 0) this.invoke(attempt, fault);
    else this.strike(attempt, latencyMs, fault);
  }

  /** Chaos has struck: behaviour, then latency, then a fault, a result, or the callee after all. */
  private strike(attempt: Attempt, latencyMs: number, fault: number): void {
    const act = (): void => {
      if (attempt.isCut) this.failed(attempt, attempt.scope.reason);
      else if (fault > CALLEE) this.failed(attempt, faultOf(this.run, fault));
      else this.invoke(attempt, fault);
    };
    const wait = (): void => {
      if (latencyMs === 0 || attempt.isCut) act();
      else this.delay(attempt, latencyMs, act);
    };
    if (this.behaving.delete(attempt.number)) behave(this.run, attempt, wait, (error) => this.failed(attempt, error));
    else wait();
  }

  private open(number: number, deadlineMs: number): Attempt {
    const { key, correlationId, idempotencyKey, chain, trail, outer } = this.run;
    const until = deadlineMs < 0 ? undefined : clock.now() + deadlineMs;
    const scope = new FullScope({ attempt: number, until, key: key ?? undefined, correlationId, idempotencyKey, chain, ...trail }, outer);
    const attempt: Attempt = { number, scope, value: undefined, error: undefined, isOpen: true, isCut: false, isMadeUp: false, source: undefined };
    this.all.set(number, attempt);
    if (number === 1) this.startedAt = clock.wallNow();
    return attempt;
  }

  /** The first attempt, which began before the call came here. */
  adopt(scope: Scope, startedAt: number): Attempt {
    const attempt: Attempt = { number: 1, scope, value: undefined, error: undefined, isOpen: true, isCut: false, isMadeUp: false, source: undefined };
    this.all.set(1, attempt);
    this.startedAt = startedAt;
    return attempt;
  }

  private delay(attempt: Attempt, ms: number, go: () => void): void {
    const stop = clock.sleep(ms, () => {
      release();
      go();
    });
    const release = attempt.scope.onCut((reason) => {
      stop();
      this.failed(attempt, reason);
    });
  }

  /** Calls the callee, or what chaos puts in its place. */
  private invoke(attempt: Attempt, fault: number): void {
    const { fn, self, args, wantsCurrent } = this.run.work;
    const { scope } = attempt;
    attempt.isMadeUp = fault !== CALLEE;
    const call = (): unknown => (wantsCurrent ? fn(scope as Current) : fn.apply(self, [...args]));
    try {
      const value = fault === CALLEE ? within(scope, call) : outcomeOf(this.run, attempt, fault);
      if (isThenable(value)) {
        value.then(
          (settled) => this.returned(attempt, settled),
          (error: unknown) => this.failed(attempt, error),
        );
      } else this.returned(attempt, value);
    } catch (error) {
      this.failed(attempt, error);
    }
  }

  private returned(attempt: Attempt, value: unknown): void {
    if (!this.run.work.isStream) return this.succeeded(attempt, value);
    try {
      attempt.source = Source.of(value, attempt.scope, `${this.run.work.core.shownName || 'policy'}.stream`);
    } catch (error) {
      return this.failed(attempt, error);
    }
    if (attempt.isCut) this.abandon(attempt, attempt.source);
    else this.pull(attempt, attempt.source, ['next']);
  }

  private pull(attempt: Attempt, source: Source, ask: Ask): void {
    source.pull(ask).then(
      ({ done, value }) => {
        if (attempt.isCut) return;
        if (done === true) this.succeeded(attempt, value);
        else this.arrived(attempt, value);
      },
      (error: unknown) => {
        if (attempt.isCut) return;
        // The consumer's own error, passed on by a stream that did not mind it, is a way to stop.
        if (ask[0] === 'throw' && ask[1] === error) this.run.stop(attempt.number);
        this.failed(attempt, error);
      },
    );
  }

  private arrived(attempt: Attempt, value: unknown): void {
    const { run } = this;
    // Another attempt's item may have been first: this one is cut by then.
    run.push(() => (attempt.isCut ? [] : native.callItem(run.handle, attempt.number, clock.now())));
    run.push(() => {
      if (attempt.isCut) return [];
      attempt.scope.outlive();
      run.deliver(attempt.number, value);
      return [];
    });
  }

  /** The consumer waits for the next item. */
  ask(number: number, ask: Ask): void {
    const attempt = this.get(number);
    const { run } = this;
    run.push(() => (attempt?.isCut === false ? native.callAsked(run.handle, number, clock.now()) : []));
    run.push(() => {
      if (attempt?.isCut === false && attempt.source !== undefined) this.pull(attempt, attempt.source, ask);
      return [];
    });
  }

  succeeded(attempt: Attempt, value: unknown): void {
    const bits = this.run.work.isStream ? 0 : this.run.work.core.resultBitsOf(value);
    const [status, retryAfter] = bits === 0 ? [0, -1] : [statusOf(value), this.retryAfter(value)];
    this.ended(attempt, { value, error: undefined }, Kind.success, bits, status, retryAfter, '');
  }

  failed(attempt: Attempt, error: unknown): void {
    const kind = this.run.isCancelled || attempt.isCut ? Kind.cancelled : kindOf(error);
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
    const attempt = this.get(number);
    this.run.disarm(number);
    if (attempt === undefined || attempt.isCut) return;
    attempt.isCut = true;
    attempt.scope.cut(this.run.cutReason());
    if (attempt.source !== undefined) this.abandon(attempt, attempt.source);
  }

  private abandon(attempt: Attempt, source: Source): void {
    const ended = (): void => this.failed(attempt, attempt.scope.reason);
    source.close().then(ended, ended);
  }
}
