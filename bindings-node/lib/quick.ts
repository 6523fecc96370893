/**
 * The quick path: a call that neither waits nor fails, without the machine.
 *
 * | the call | here | else |
 * |---|---|---|
 * | passes at once and succeeds | counted on the policy's port | |
 * | passes at once and fails, or its limit of time comes | begins here, and goes on in the machine with its first attempt running | |
 * | anything else | | the driver, from the start, before anything was taken |
 *
 * The driver stays as it is; what a call does is the same either way, which the vectors play both ways. `SEAWALL_FAST=0` switches this path off, for tests.
 */

import { isThenable } from './user-code.js';
import * as clock from './clock.js';
import { type Redriven, Scope, storage, type WrittenLetter } from './context.js';
import type { Core } from './core.js';
import type { Racer } from './deadlines.js';
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
  /** The call in the machine, once it is there. */
  run: Run | undefined = undefined;
  racer: Racer | undefined = undefined;
  private minted: string | undefined = undefined;
  private letters: WrittenLetter[] | undefined = undefined;

  constructor(
    readonly port: Port,
    private readonly core: Core,
    readonly generation: number,
    private readonly before: number,
    private readonly started: number,
    outer: Scope | undefined,
    until: number | undefined,
  ) {
    super(outer, until);
  }

  get attempt(): number {
    return 1;
  }

  get key(): string | undefined {
    return this.outer?.key;
  }

  get correlationId(): string {
    return (this.minted ??= this.outer?.correlationId ?? native.mintId());
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
    return this.core.part('retry') === undefined ? this.outer?.trail : (this.letters ??= []);
  }

  get chain(): readonly number[] {
    const around = this.outer?.chain ?? NONE;
    return this.port.hasBulkhead ? [...around, this.port.chain] : around;
  }

  /** The handle of the call in the machine. */
  resume(): Handle {
    const { port, generation, before, started } = this;
    return native.portResume(port.handle, generation, port.hasBulkhead, before, started, this.correlationId);
  }

  /** Puts the call into the machine. */
  toRun(work: Work): Run {
    taken.resumed += 1;
    this.racer?.cancel();
    this.run = new Run(work, this);
    const passed = clock.now() - this.started;
    this.run.attempts.adopt(this, clock.wallNow() - passed);
    if (this.port.totalMs >= 0) this.run.arm(TOTAL, 0, Math.max(0, this.port.totalMs - passed));
    return this.run;
  }

  /** Counts the success. False if the machine has to. */
  succeed(value: unknown): boolean {
    const { core, port } = this;
    if (core.judgesResults && core.resultBitsOf(value) !== 0) return false;
    if (!port.succeed(this.generation)) return false;
    if (port.hasBulkhead) port.leave();
    taken.quick += 1;
    return true;
  }
}

/** Calls `fn` guarded by the policy of `core`. */
export function call(core: Core, fn: AnyFunction, self: unknown, args: readonly unknown[], wantsCurrent: boolean, set: CallOptions): Promise<unknown> {
  const first = begin(core, set);
  if (first !== undefined) return first.until === undefined ? untimed(first, core, fn, self, args, wantsCurrent) : timed(first, core, fn, self, args, wantsCurrent);
  taken.driver += 1;
  const { key, idempotencyKey, signal } = set;
  return drive({ core, fn, self, args, wantsCurrent, key: key === undefined ? undefined : String(key), idempotencyKey, signal, isStream: false });
}

function begin(core: Core, set: CallOptions): FirstAttempt | undefined {
  if (isOff || set.signal !== undefined || set.key !== undefined || set.idempotencyKey !== undefined || isDisabled()) return undefined;
  const outer = storage.getStore();
  // A call inside another has to end with it, and in its time.
  if (outer !== undefined && (outer.attempt !== 0 || outer.until !== undefined || outer.letter !== undefined)) return undefined;
  const port = portOf(core);
  if (port === undefined) return undefined;
  const { generation } = port;
  if (generation === SHUT || (port.hasBulkhead && !port.enter())) return undefined;
  const started = clock.now();
  return new FirstAttempt(port, core, generation, port.begin(), started, outer, port.limitMs < 0 ? undefined : started + port.limitMs);
}

function portOf(core: Core): Port | undefined {
  const { port } = core;
  return port !== undefined && port.generation !== SHUT ? port : lookForPort(core);
}

function lookForPort(core: Core): Port | undefined {
  if (core.port !== undefined) {
    if (core.port.isCurrent) return core.port;
    core.port.detach();
    core.port = undefined;
    core.portWait = 0;
  }
  if (core.portWait > 0) {
    core.portWait -= 1;
    return undefined;
  }
  try {
    core.port = core.isQuick ? Port.attach(core.resolve()) : undefined;
  } catch {
    // The driver finds the same fault, and says so in the call's promise.
    return undefined;
  }
  if (core.port === undefined) core.portWait = WAIT;
  return core.port;
}

async function untimed(first: FirstAttempt, core: Core, fn: AnyFunction, self: unknown, args: readonly unknown[], wantsCurrent: boolean): Promise<unknown> {
  let value: unknown;
  try {
    value = await (wantsCurrent ? storage.run(first, fn, first) : storage.run(first, Reflect.apply, fn, self, args));
  } catch (error) {
    const run = first.toRun(workOf(core, fn, self, args, wantsCurrent));
    run.attempts.failed(run.attempts.get(1)!, error);
    return goOn(run);
  }
  if (first.succeed(value)) return value;
  const run = first.toRun(workOf(core, fn, self, args, wantsCurrent));
  run.attempts.succeeded(run.attempts.get(1)!, value);
  return goOn(run);
}

/** What ends the wait for a first attempt first. */
const VALUE = 0;
const ERROR = 1;

async function timed(first: FirstAttempt, core: Core, fn: AnyFunction, self: unknown, args: readonly unknown[], wantsCurrent: boolean): Promise<unknown> {
  let outcome: unknown;
  // Awaited here, so that whatever comes next runs in the caller's context and not in the timer's.
  const how = await new Promise<number>((resolve) => {
    const late = (kind: number): boolean => first.run !== undefined && end(first.run, kind, outcome);
    const settle = (kind: number) => (settled: unknown) => {
      outcome = settled;
      if (!late(kind)) resolve(kind);
    };
    first.racer = clock.race(first.port.limitMs, () => resolve(first.port.limitReason));
    let value: unknown;
    try {
      value = wantsCurrent ? storage.run(first, fn, first) : storage.run(first, Reflect.apply, fn, self, args);
    } catch (error) {
      return settle(ERROR)(error);
    }
    if (isThenable(value)) value.then(settle(VALUE), settle(ERROR));
    else settle(VALUE)(value);
  });
  if (how === VALUE && first.succeed(outcome)) {
    first.racer!.cancel();
    return outcome;
  }
  const run = first.toRun(workOf(core, fn, self, args, wantsCurrent));
  if (how === VALUE || how === ERROR) end(run, how, outcome);
  else run.push(() => native.timer(run.handle, how, how === ATTEMPT ? 1 : 0, clock.now()));
  return goOn(run);
}

function end(run: Run, kind: number, outcome: unknown): true {
  const attempt = run.attempts.get(1)!;
  if (kind === VALUE) run.attempts.succeeded(attempt, outcome);
  else run.attempts.failed(attempt, outcome);
  return true;
}

function workOf(core: Core, fn: AnyFunction, self: unknown, args: readonly unknown[], wantsCurrent: boolean): Work {
  return { core, fn, self, args, wantsCurrent, key: undefined, idempotencyKey: undefined, signal: undefined, isStream: false };
}
