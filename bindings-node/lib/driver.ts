/**
 * The one driver: performs what the engine puts out, reports what happens. It computes no delay and knows no default.
 *
 * An async function, so that whatever it starts runs in the caller's own context, whoever woke it. Everything that happens to a call goes through its
 * inbox; an attempt that ends after the call has finished is reported on the side, to free the slot it held.
 */

import { answer } from './answers.js';
import { Attempts } from './attempts.js';
import { isInjected } from './classify.js';
import * as clock from './clock.js';
import { FullScope, Scope, scope, type WrittenLetter } from './context.js';
import type { Core } from './core.js';
import type { Racer } from './deadlines.js';
import { isDisabled } from './disabled.js';
import { annotate, type Failure } from './errors.js';
import { emitRecords } from './events.js';
import { recovered, writeLetter } from './letter-writer.js';
import { onAbort } from './listening.js';
import { native } from './native.js';
import type { FirstAttempt } from './quick.js';
import { ourError, readReport } from './report.js';
import { addCallers } from './stack.js';
import { keep } from './stale.js';
import { parkFor, unpark, wake } from './tickets.js';
import { keyFrom, quietly } from './user-code.js';

/** One call to be guarded. */
export interface Work {
  readonly core: Core;
  readonly fn: (...args: any[]) => unknown;
  readonly self: unknown;
  readonly args: readonly unknown[];
  /** `run`: the function gets what `current()` gives in place of arguments. */
  readonly wantsCurrent: boolean;
  readonly key: string | undefined;
  readonly idempotencyKey: string | undefined;
  readonly signal: AbortSignal | undefined;
  /** The function gives a stream. */
  readonly isStream: boolean;
}

/** Calls the function of `work` under its policy. */
export async function drive(work: Work): Promise<unknown> {
  if (isDisabled()) return work.wantsCurrent ? work.fn(new FullScope({}, scope())) : work.fn.apply(work.self, [...work.args]);
  const run = new Run(work);
  try {
    let finish = run.begin();
    while (finish === undefined) finish = run.take(await run.next());
    return run.outcome(finish);
  } finally {
    run.close();
  }
}

/** Goes on with a call whose first attempt is running or has ended. */
export async function goOn(run: Run): Promise<unknown> {
  try {
    let finish: Finish | undefined;
    while (finish === undefined) finish = run.take(await run.next());
    return run.outcome(finish);
  } finally {
    run.close();
  }
}

/** How a call is over: what, and the attempt or the step. */
type Finish = readonly [what: number, number: number];
type Input = () => number[];

const STRIDE = 5;
const EVENT = 10;
/** Flags of a call: `only` of chaos spares it; it is a stream. */
const SPARED = 2;
const STREAM = 16;

/** One guarded call under way. */
export class Run {
  readonly handle: number;
  readonly key: string | null;
  readonly outer: Scope | undefined;
  readonly correlationId: string;
  readonly idempotencyKey: string | undefined;
  /** The error that would surface. */
  error: unknown;
  letterId: string | undefined;
  /** Whether the consumer of a stream stopped. */
  isStopped = false;
  /** Takes the items of a stream. */
  deliver: (attempt: number, item: unknown) => void = () => undefined;
  readonly attempts = new Attempts(this);
  private readonly timers = new Map<number, Racer>();
  private readonly inbox: Input[] = [];
  private notify: (() => void) | undefined;
  private stopSleep: clock.Cancel | undefined;
  private ticket: number | undefined;
  private cancellation: { reason: unknown } | undefined;
  private fallbackValue: unknown;
  private finish: Finish | undefined;
  /** Letters written further in, while this policy may still try again. */
  readonly trail: { trail: WrittenLetter[] } | undefined;
  readonly chain: readonly number[];
  private reported: string | undefined;
  private isAsking = false;
  private isClosed = false;
  private readonly release: Array<() => void> = [];

  /** `first`: the first attempt, which began before the call came here. */
  constructor(
    readonly work: Work,
    first?: FirstAttempt,
  ) {
    const { core, self, args, signal } = work;
    if (first !== undefined) {
      this.outer = first.outer;
      this.key = null;
      this.correlationId = first.correlationId;
      this.idempotencyKey = first.idempotencyKey;
      this.trail = core.part('retry') === undefined ? undefined : { trail: first.trail ?? [] };
      this.handle = first.resume();
      this.chain = first.chain;
      if (this.chain !== this.outer?.chain && this.chain.length > 0) native.callWithin(this.handle, this.outer?.chain ?? []);
      return;
    }
    signal?.throwIfAborted();
    this.outer = scope();
    this.key = core.keyOf(work.key, self, work.wantsCurrent ? undefined : args);
    this.correlationId = this.outer?.correlationId ?? native.mintId();
    this.idempotencyKey = work.idempotencyKey ?? keyFrom(core, work) ?? this.outer?.idempotencyKey;
    const only = core.part('chaos')?.only;
    const isSpared = only !== undefined && quietly(() => only.apply(self, [...args])) !== true;
    const flags = (isSpared ? SPARED : 0) | (work.isStream ? STREAM : 0) | core.modeFlags();
    this.trail = core.part('retry') === undefined ? undefined : { trail: [] };
    const policy = core.resolve();
    const left = this.outer?.remaining ?? -1;
    this.handle = native.callNew(policy, this.key, this.correlationId, flags, left, this.outer?.letter?.redrives ?? 0);
    this.chain = this.outer?.chain ?? [];
    if (core.info.parts['bulkhead'] !== undefined) this.chain = [...this.chain, native.callWithin(this.handle, this.chain)];
    this.listen(signal);
  }

  /** The caller's signal and the scope around the call can both end it. */
  private listen(signal: AbortSignal | undefined): void {
    const giveUp = (reason: unknown): void => this.giveUp(reason);
    if (signal !== undefined) this.release.push(onAbort(signal, () => giveUp(signal.reason)));
    if (this.outer?.isCut) giveUp(this.outer.reason);
    else if (this.outer !== undefined) this.release.push(this.outer.onCut(giveUp));
  }

  /** The caller gives up. */
  giveUp(reason: unknown): void {
    if (this.cancellation !== undefined) return;
    this.cancellation = { reason };
    this.push(() => native.cancelled(this.handle, clock.now()));
  }

  /** The consumer of a stream has what it wants of an attempt. */
  stop(attempt: number): void {
    this.isStopped = true;
    this.push(() => native.callStopped(this.handle, attempt, clock.now()));
  }

  /** Whether the caller gave up. */
  get isCancelled(): boolean {
    return this.cancellation !== undefined;
  }

  /** What the signal of a cut attempt says. */
  cutReason(): unknown {
    return this.cancellation !== undefined ? this.cancellation.reason : new DOMException('the attempt was cut by its policy', 'AbortError');
  }

  push(input: Input): void {
    this.inbox.push(input);
    this.notify?.();
  }

  /** An attempt ended. After the call has, that is reported on the side, to free what the attempt held. */
  attemptEnded(number: number, report: Input): void {
    this.disarm(number);
    if (!this.isClosed) return this.push(report);
    this.perform(report());
    this.dropWhenIdle();
  }

  /** Begins the call. */
  begin(): Finish | undefined {
    return this.perform(native.start(this.handle, clock.now()));
  }

  /** Takes one thing that happened. Gives how the call is over, once it is. */
  take(input: Input): Finish | undefined {
    return this.perform(input());
  }

  /** The next thing that happens to the call. */
  async next(): Promise<Input> {
    if (this.inbox.length === 0) await new Promise<void>((resolve) => (this.notify = resolve));
    this.notify = undefined;
    return this.inbox.shift()!;
  }

  /** Performs one batch, in order. Gives how the call is over, once it is. */
  private perform(ops: number[]): Finish | undefined {
    // Taken first: performing an output may run foreign code, which may make calls of its own.
    const records = hasEvents(ops) ? native.takeEvents() : [];
    let event = 0;
    for (let at = 0; at < ops.length; at += STRIDE) {
      if (ops[at] === EVENT) emitRecords(records.slice(event, ++event));
      else PERFORM[ops[at]!]!(this, ops[at + 1]!, ops[at + 2]!, ops[at + 3]!, ops[at + 4]!);
    }
    if (this.isAsking && this.finish === undefined) {
      const bits = this.work.core.bitsOf(this.error);
      this.push(() => native.classified(this.handle, bits, clock.now()));
    }
    this.isAsking = false;
    return this.finish;
  }

  sleep(reason: number, ms: number): void {
    this.stopSleep = clock.sleep(ms, () => this.push(() => native.timer(this.handle, reason, 0, clock.now())));
  }

  arm(reason: number, attempt: number, ms: number): void {
    const key = timerKey(reason, attempt);
    this.timers.get(key)?.cancel();
    this.timers.set(key, clock.race(ms, () => this.push(() => native.timer(this.handle, reason, attempt, clock.now()))));
  }

  /** Calls off what races an attempt. */
  disarm(attempt: number): void {
    for (const reason of [ATTEMPT, IDLE]) this.timers.get(timerKey(reason, attempt))?.cancel();
  }

  park(ticket: number): void {
    this.ticket = ticket;
    parkFor(ticket, () => this.push(() => native.granted(this.handle, clock.now())));
  }

  willFail(how: number, attempt: number, code: number, retryAfterMs: number): void {
    // An earlier failure that was asked about, and tried again, was reported before the call knew how it would end.
    this.reported = undefined;
    this.error = how === 0 ? this.attempts.get(attempt)?.error : ourError(this, how, code, retryAfterMs, this.attempts.get(attempt)?.error);
    this.isAsking = true;
  }

  letter(): void {
    writeLetter(this, (id) => {
      this.letterId = id;
      this.push(() => native.letterEnded(this.handle, id !== undefined, clock.now()));
    });
  }

  /** For the metrics: its letter went another way than to its store, or others had to go for it. */
  went(aside: boolean, dropped: number): void {
    native.letterWent(this.handle, aside, dropped);
  }

  fallback(step: number): void {
    answer(this, step, (value) => (this.fallbackValue = value));
  }

  over(what: number, number: number): void {
    this.finish = [what, number];
  }

  /** The value of the call, or its error. */
  outcome([what, number]: Finish): unknown {
    if (what === 0) {
      const ended = this.attempts.get(number);
      // A rejected result may be returned for want of anything better; it is no good result. What chaos made up is none either.
      if (this.error === undefined && ended?.isMadeUp !== true) keep(this, ended?.value);
      if (this.trail !== undefined && this.trail.trail.length > 0) recovered(this.trail.trail);
      return this.attempts.get(number)?.value;
    }
    if (what === 2) return this.fallbackValue;
    if (what === 3) throw this.cancellation !== undefined ? this.cancellation.reason : this.attempts.get(this.attempts.count)?.error;
    annotate(this.error, this.knowledge());
    if (this.attempts.count > 1) addCallers(this.error, this.outcome);
    throw this.error;
  }

  /** What `failure(error)` will say; read from the report only when somebody asks. */
  private knowledge(): () => Failure {
    const { report, letterId, error } = this;
    return () => readReport(report, letterId, isInjected(error));
  }

  /** The engine's report, asked for once the call has failed. */
  get report(): string {
    return (this.reported ??= native.callReport(this.handle));
  }

  /** Ends timers, waits and listeners; late attempts are still reported. */
  close(): void {
    this.isClosed = true;
    for (const release of this.release) release();
    for (const timer of this.timers.values()) timer.cancel();
    this.stopSleep?.();
    if (this.ticket !== undefined) unpark(this.ticket);
    // What came too late to matter may still free a slot.
    for (const input of this.inbox.splice(0)) this.perform(input());
    this.dropWhenIdle();
  }

  private dropWhenIdle(): void {
    if (!this.attempts.isAnyOpen) native.callDrop(this.handle);
  }
}

/** Reasons of the timers that an attempt has. */
const ATTEMPT = 2;
const IDLE = 5;

function timerKey(reason: number, attempt: number): number {
  return attempt * 8 + reason;
}

/** What performs each output, by its code. */
const PERFORM: ReadonlyArray<(run: Run, a: number, b: number, c: number, d: number) => void> = [
  (run, attempt, deadlineMs, latencyMs, fault) => run.attempts.start(attempt, deadlineMs, latencyMs, fault),
  (run, attempt) => run.attempts.cut(attempt),
  (run, reason, ms) => run.sleep(reason, ms),
  (run, reason, attempt, ms) => run.arm(reason, attempt, ms),
  (run, ticket) => run.park(ticket),
  (_, ticket) => wake(ticket),
  (run, how, attempt, code, retryAfterMs) => run.willFail(how, attempt, code, retryAfterMs),
  (run) => run.letter(),
  (run, step) => run.fallback(step),
  (run, what, number) => run.over(what, number),
  () => undefined, // Events are performed with their records.
  (run, attempt) => run.attempts.behave(attempt),
];

function hasEvents(ops: number[]): boolean {
  for (let at = 0; at < ops.length; at += STRIDE) if (ops[at] === EVENT) return true;
  return false;
}
