/**
 * The quick path: a call that neither waits nor fails, without the machine.
 *
 * | the call | here | else |
 * |---|---|---|
 * | passes at once and succeeds | counted on the policy's port | |
 * | is turned away by an open circuit, with nothing to come after and nobody to hear of it | counted and rejected | |
 * | passes at once and fails, or its limit of time comes | begins here, and goes on in the machine with its first attempt running | |
 * | anything else | | the driver, from the start, before anything was taken |
 *
 * The driver stays as it is; what a call does is the same either way, which the vectors play both ways. `SEAWALL_FAST=0` switches this path off, for tests.
 */

import * as clock from './clock.js';
import { type Redriven, Scope, storage, type WrittenLetter } from './context.js';
import type { Core } from './core.js';
import { isDisabled } from './disabled.js';
import { drive, goOn, Run, type Work } from './driver.js';
import { type Handle, native } from './native.js';
import type { CallOptions } from './policy.js';
import { Port, SHUT } from './ports.js';

let isOff = process.env['SEAWALL_FAST'] === '0';
/** Calls that went past before a policy that was unfit is looked at again. */
const WAIT = 256;
const NONE: readonly number[] = [];
const ATTEMPT = 2;
const TOTAL = 3;

/** How many calls took which way; the runner of the vectors prints it. */
export const taken = { quick: 0, resumed: 0, driver: 0 };

/** Switches the quick path on or off, for tests. Ports that are attached are used no more. */
export function useQuick(on: boolean): void {
  isOff = !on;
}

type AnyFunction = (...args: any[]) => any;

/** The first attempt of a call, and the scope that its callee runs in. What the callee may never ask for is made when it is asked for. */
export class FirstAttempt extends Scope {
  private made: { id?: string; letters?: WrittenLetter[]; measuredFrom?: number } | undefined = undefined;

  constructor(
    readonly port: Port,
    readonly generation: number,
    private readonly before: number,
    /** In whole milliseconds, a number that needs no memory, and never later than now: the next attempt may begin within this one. To the instant where a limit runs from it. */
    private readonly startedMs: number,
    outer: Scope | undefined,
    until: number | undefined,
  ) {
    super(outer, until);
  }

  private get started(): number {
    return this.until === undefined ? this.startedMs : this.until - this.port.limitMs;
  }

  get attempt(): number {
    return 1;
  }

  get key(): string | undefined {
    return this.outer?.key;
  }

  get correlationId(): string {
    const made = (this.made ??= {});
    return (made.id ??= this.outer?.correlationId ?? native.mintId());
  }

  get idempotencyKey(): string | undefined {
    return this.outer?.idempotencyKey;
  }

  get error(): unknown {
    return undefined;
  }

  get traceparent(): string | undefined {
    return this.outer?.traceparent;
  }

  get letter(): Redriven | undefined {
    return this.outer?.letter;
  }

  get trail(): WrittenLetter[] | undefined {
    if (this.port.core.part('retry') === undefined) return this.outer?.trail;
    const made = (this.made ??= {});
    return (made.letters ??= []);
  }

  get chain(): readonly number[] {
    const around = this.outer?.chain ?? NONE;
    return this.port.hasBulkhead ? [...around, this.port.chain] : around;
  }

  /** Its success is to be measured. */
  measure(): this {
    this.made = { measuredFrom: clock.now() };
    return this;
  }

  /** The handle of the call in the machine. */
  resume(): Handle {
    return this.port.resume(this.generation, this.before, this.started, this.correlationId);
  }

  /** Puts the call into the machine. */
  toRun(work: Work): Run {
    taken.resumed += 1;
    const run = new Run(work, this);
    const passed = Math.max(0, clock.now() - this.started);
    run.attempts.adopt(this, clock.wallNow() - passed);
    if (this.port.totalMs >= 0) run.arm(TOTAL, 0, Math.max(0, this.port.totalMs - passed));
    return run;
  }

  /** Counts the success. False if the machine has to. */
  succeed(value: unknown): boolean {
    const { port } = this;
    if (port.judgesResults && port.core.resultBitsOf(value) !== 0) return false;
    if (!port.succeed(this.generation)) return false;
    if (port.hasBulkhead) port.leave();
    if (this.made?.measuredFrom !== undefined) port.measured(clock.now() - this.made.measuredFrom);
    taken.quick += 1;
    return true;
  }
}

/** Calls `fn` guarded by the policy of `core`. */
export function call(core: Core, fn: AnyFunction, self: unknown, args: readonly unknown[], wantsCurrent: boolean, set: CallOptions): Promise<unknown> {
  const outer = storage.getStore();
  const port = isOff || !isSimple(set, outer) ? undefined : (core.isBare ? portOfBare(core) : (core.port ?? lookForPort(core)));
  if (port !== undefined) {
    const { generation } = port;
    if (generation === SHUT) {
      const refused = port.refuse(outer?.correlationId);
      if (refused !== undefined) {
        taken.quick += 1;
        return rejectSoon(refused);
      }
      giveUpStale(core, port);
    } else if (!port.hasBulkhead || port.enter()) {
      return port.limitMs < 0 ? untimed(begin(port, generation, outer), fn, self, args, wantsCurrent) : timed(begin(port, generation, outer), fn, self, args, wantsCurrent);
    }
  }
  taken.driver += 1;
  const { key, idempotencyKey, signal } = set;
  return drive({ core, fn, self, args, wantsCurrent, key: key === undefined ? undefined : String(key), idempotencyKey, signal, isStream: false });
}

const settled = Promise.resolve();

/** A promise that is rejected when its caller has had time to await it: one that nobody awaits yet costs the host three times as much. */
function rejectSoon(error: unknown): Promise<never> {
  return new Promise((_, reject) => void settled.then(() => reject(error)));
}

/** Whether nothing was set for the call, and it is not made inside another: then it would have to end with that, and in its time. */
function isSimple(set: CallOptions, outer: Scope | undefined): boolean {
  if (set.signal !== undefined || set.key !== undefined || set.idempotencyKey !== undefined || isDisabled()) return false;
  return outer === undefined || (outer.attempt === 0 && outer.until === undefined && outer.letter === undefined);
}

function begin(port: Port, generation: number, outer: Scope | undefined): FirstAttempt {
  // Where a limit runs from it, to the instant; else it is told in reports only.
  if (port.limitMs >= 0) {
    const now = clock.now();
    const first = new FirstAttempt(port, generation, port.begin(now), 0, outer, now + port.limitMs);
    return port.isMeasured() ? first.measure() : first;
  }
  const now = clock.coarse();
  const first = new FirstAttempt(port, generation, port.begin(now), Math.floor(now), outer, undefined);
  return port.isMeasured() ? first.measure() : first;
}

/** The port of a policy that has changed is of no use any more; the next call looks for another. */
function giveUpStale(core: Core, port: Port): void {
  if (port.isCurrent) return;
  port.detach();
  core.port = undefined;
  core.portWait = 0;
}

/** A definition that came after a bare name was used takes its place. */
function portOfBare(core: Core): Port | undefined {
  const { defined } = core;
  if (core.portOf !== defined) {
    core.port?.detach();
    core.port = undefined;
    core.portWait = 0;
    core.portOf = defined;
  }
  return core.port ?? lookForPort(core);
}

function lookForPort(core: Core): Port | undefined {
  if (core.portWait > 0) {
    core.portWait -= 1;
    return undefined;
  }
  try {
    core.port = core.isQuick ? Port.attach(core) : undefined;
  } catch {
    // The driver finds the same fault, and says so in the call's promise.
    return undefined;
  }
  if (core.port === undefined) core.portWait = WAIT;
  return core.port;
}

/** A promise of the host's own: its `then` is known to do what it should, and to come at most once. */
function isPlain(value: unknown): value is Promise<unknown> {
  return value instanceof Promise && value.constructor === Promise;
}

function invoke(first: FirstAttempt, fn: AnyFunction, self: unknown, args: readonly unknown[], wantsCurrent: boolean): Promise<unknown> {
  try {
    const value: unknown = wantsCurrent ? storage.run(first, fn, first) : storage.run(first, Reflect.apply, fn, self, args);
    return isPlain(value) ? value : Promise.resolve(value);
  } catch (error) {
    return Promise.reject(error);
  }
}

/** Not an async function: the one promise that this makes is the call's. What `then` is given runs in the caller's context. */
function untimed(first: FirstAttempt, fn: AnyFunction, self: unknown, args: readonly unknown[], wantsCurrent: boolean): Promise<unknown> {
  return invoke(first, fn, self, args, wantsCurrent).then(
    (value) => (first.succeed(value) ? value : goOnFrom(first.toRun(workOf(first.port.core, fn, self, args, wantsCurrent)), VALUE, value)),
    (error: unknown) => goOnFrom(first.toRun(workOf(first.port.core, fn, self, args, wantsCurrent)), ERROR, error),
  );
}

/** What ends the wait for a first attempt first; else the reason of a timer. */
const VALUE = 0;
const ERROR = 1;

/** The call's promise hangs on one that is settled by the callee or by the timer, so that whatever comes next runs in the caller's context and not in theirs. */
function timed(first: FirstAttempt, fn: AnyFunction, self: unknown, args: readonly unknown[], wantsCurrent: boolean): Promise<unknown> {
  let settle!: (how: number) => void;
  const settled = new Promise<number>((resolve) => (settle = resolve));
  let outcome: unknown;
  let run: Run | undefined;
  const over = (how: number, settledTo: unknown): void => {
    // The limit came first: the attempt ends late.
    if (run !== undefined) return end(run, how, settledTo);
    outcome = settledTo;
    settle(how);
  };
  const { limitMs, limitReason } = first.port;
  const racer = clock.race(limitMs, () => settle(limitReason), first.until! - limitMs);
  invoke(first, fn, self, args, wantsCurrent).then(
    (value) => over(VALUE, value),
    (error: unknown) => over(ERROR, error),
  );
  return settled.then((how) => {
    racer.cancel();
    if (how === VALUE && first.succeed(outcome)) return outcome;
    run = first.toRun(workOf(first.port.core, fn, self, args, wantsCurrent));
    return goOnFrom(run, how, outcome);
  });
}

/** The rest of the call, in the machine. */
function goOnFrom(run: Run, how: number, outcome: unknown): Promise<unknown> {
  if (how === VALUE || how === ERROR) end(run, how, outcome);
  else run.push(() => native.timer(run.handle, how, how === ATTEMPT ? 1 : 0, clock.now()));
  return goOn(run);
}

function end(run: Run, kind: number, outcome: unknown): void {
  const attempt = run.attempts.get(1)!;
  if (kind === VALUE) run.attempts.succeeded(attempt, outcome);
  else run.attempts.failed(attempt, outcome);
}

function workOf(core: Core, fn: AnyFunction, self: unknown, args: readonly unknown[], wantsCurrent: boolean): Work {
  return { core, fn, self, args, wantsCurrent, key: undefined, idempotencyKey: undefined, signal: undefined, isStream: false };
}
