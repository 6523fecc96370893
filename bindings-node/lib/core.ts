/** A policy behind its handles: resolved at the first call, shared by every view of it. */

import * as clock from './clock.js';
import { follow } from './control.js';
import { toMs } from './duration.js';
import { ConfigError, guardNative } from './errors.js';
import { emitRecords } from './events.js';
import { type Handle, native } from './native.js';
import type { Port } from './ports.js';
import { HEIRS, JUDGES, type Matches, type Part, specOf } from './part.js';

/** What a policy is made of. */
export interface Definition {
  readonly name: string | undefined;
  readonly parts: readonly Part[];
  readonly key: ((...args: any[]) => string | number) | undefined;
  readonly on: Matches | undefined;
  readonly ignore: Matches | undefined;
  readonly mode?: Mode | (() => Mode) | undefined;
}

/** What the native module says of a policy in force. */
interface Info {
  readonly label: string;
  readonly parts: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** Whether good results are kept. */
  readonly stale?: boolean;
}

const handles = new FinalizationRegistry<Handle>((handle) => native.policyDrop(handle));
let generation = 0;
let loads = 0;

/**
 * What a bare name finds: the first definition of the name in code, for the same name with other data is an error anyway. Held, for its functions are needed as
 * long as the name is known. Once all state was forgotten, names included, a definition counts from its next use.
 */
const defined = new Map<string, Core>();

/** A file was loaded: what is in force may have changed. */
export function noteLoad(): void {
  loads += 1;
}

/** Makes every policy resolve anew; for tests, after all state was forgotten. */
export function forgetHandles(): void {
  generation += 1;
  defined.clear();
}

/** Resolves whatever code has defined under a name. */
export function resolveAll(): void {
  for (const core of defined.values()) core.resolve();
}

export class Core {
  private handle: Handle | undefined;
  private found: Info | undefined;
  private resolvedIn = -1;
  private foundIn = -1;
  private label: string | undefined;
  /** Where calls are counted that need no decision; looked after by lib/quick.ts. */
  port: Port | undefined;
  /** The definition that the port of a bare name is for. */
  portOf: Core | undefined;
  /** Whether it is a name alone, which refers to a definition that may yet come. */
  readonly isBare: boolean;
  /** Calls to go by before a port is asked for again. */
  portWait = 0;
  private inner: Set<Core> | undefined;
  /** `on` and `ignore` of each judge, in the order of their bits. */
  private readonly matchers: ReadonlyArray<readonly [Matches | undefined, Matches | undefined]>;

  constructor(readonly definition: Definition) {
    this.isBare = definition.name !== undefined && definition.parts.length === 0 && typeof definition.mode !== 'string';
    this.matchers = matchersOf(definition, (judge) => this.part(judge));
    if (definition.parts.length > 0 || definition.mode !== undefined) guardNative(() => native.check(this.spec()));
    this.define();
  }

  private define(): void {
    const { name, parts } = this.definition;
    if (name !== undefined && parts.length > 0 && !defined.has(name)) defined.set(name, this);
  }

  /** A strategy that became a part of a policy of its own name defines nothing itself. */
  becomesPart(): void {
    const { name } = this.definition;
    if (name !== undefined && defined.get(name) === this) defined.delete(name);
  }

  /** The definition in code that a bare name refers to, with its functions; else the policy itself. */
  get defined(): Core {
    return this.isBare ? (defined.get(this.definition.name!) ?? this) : this;
  }

  private spec(): string {
    const { name, parts, key, on, ignore, mode } = this.definition;
    return specOf(name ?? null, parts, key !== undefined, { on: on !== undefined, ignore: ignore !== undefined }, typeof mode === 'function' ? undefined : mode);
  }

  /** The handle of the policy in force. */
  resolve(): Handle {
    if (this.defined !== this) return this.defined.resolve();
    if (this.handle !== undefined && this.resolvedIn === generation) return this.handle;
    this.define();
    const handle = guardNative(() => native.resolve(this.spec()));
    if (this.handle !== undefined) handles.unregister(this);
    if (this.label !== undefined) native.policyLabel(handle, this.label);
    // What has a name can be steered from outside.
    if (this.definition.name !== undefined) follow();
    handles.register(this, handle, this);
    this.handle = handle;
    this.resolvedIn = generation;
    this.found = undefined;
    return handle;
  }

  /** Parts in force, after a file has had its say. */
  get info(): Info {
    if (this.defined !== this) return this.defined.info;
    const handle = this.resolve();
    if (this.found === undefined || this.foundIn !== loads) {
      this.found = JSON.parse(native.policyInfo(handle)) as Info;
      this.foundIn = loads;
    }
    return this.found;
  }

  /** Whether calls of this policy may do without the machine, as far as the code goes: nothing of the user's has to be asked before they begin. */
  get isQuick(): boolean {
    const key = this.definition.key ?? this.defined.definition.key;
    const mode = this.definition.mode ?? this.defined.definition.mode;
    const asks = this.part('dead_letter')?.idempotencyKey !== undefined || typeof mode === 'function';
    return key === undefined && !asks && this.info.stale !== true;
  }

  /** Whether results are judged. */
  get judgesResults(): boolean {
    return this.part('retry')?.onResult !== undefined || this.part('circuit_breaker')?.onResult !== undefined;
  }

  part(strategy: string): Part | undefined {
    for (const part of this.defined.definition.parts) if (part.strategy === strategy) return part;
    return undefined;
  }

  /** Labels an unnamed policy with the first function that it guards. */
  labelBy(fn: Function): void {
    if (this.definition.name !== undefined || this.label !== undefined || fn.name === '') return;
    this.label = fn.name;
    if (this.handle !== undefined) native.policyLabel(this.handle, this.label);
    this.found = undefined;
  }

  /** The policy's name, else its label. */
  get shownName(): string {
    return this.definition.name ?? this.label ?? '';
  }

  /** The key of a call; a policy with a key cannot be called without one. `run` has no arguments to find it in. */
  keyOf(given: string | undefined, self: unknown, args: readonly unknown[] | undefined): string | null {
    const key = this.definition.key ?? this.defined.definition.key;
    if (key === undefined) {
      if (given === undefined) return null;
      throw new ConfigError('this policy has no key; give it one: policy(…, { key: (order) => order.tenant }, …)', this.shownName);
    }
    const found: unknown = given ?? (args === undefined ? undefined : key.apply(self, [...args]));
    if (typeof found === 'string' || typeof found === 'number') return String(found);
    throw new ConfigError(`its key must be text or a number, not ${found === null ? 'null' : typeof found}; name one with using({ key })`, this.shownName);
  }

  /** Which `on` and `ignore` match an error. A predicate that throws matches nothing. */
  bitsOf(error: unknown): number {
    let bits = 0;
    this.defined.matchers.forEach(([on, ignore], place) => {
      if (on !== undefined && asks(on, error)) bits |= 1 << (2 * place);
      if (ignore !== undefined && asks(ignore, error)) bits |= 2 << (2 * place);
    });
    return bits;
  }

  /** Which `onResult` rejects a result. */
  resultBitsOf(result: unknown): number {
    const retry = this.part('retry')?.onResult;
    const breaker = this.part('circuit_breaker')?.onResult;
    return (retry !== undefined && asks(retry, result) ? 256 : 0) | (breaker !== undefined && asks(breaker, result) ? 512 : 0);
  }

  /** What a mode function says of a call that begins; without one the policy's own mode holds. */
  modeFlags(): number {
    const mode = this.definition.mode ?? this.defined.definition.mode;
    if (typeof mode !== 'function') return 0;
    const said = mode();
    const flags = MODES.get(said);
    if (flags === undefined) throw new ConfigError(`the mode function gave ${String(said)}; "enforce", "shadow" or "disabled" would be right`, `${this.shownName}.mode`);
    return flags;
  }

  /** Guards what `inner` guards already. */
  holds(inner: Core): void {
    if (inner !== this) (this.inner ??= new Set()).add(inner);
  }

  /** The handle, once the native module knows which policies work inside this one. */
  resolveAll(seen: Set<Core> = new Set()): Handle {
    const handle = this.resolve();
    if (seen.has(this)) return handle;
    seen.add(this);
    for (const inner of this.inner ?? []) native.policyNoteInner(handle, inner.resolveAll(seen));
    return handle;
  }

  /** Sets the mode by hand. */
  setMode(mode: Mode, why: Override): void {
    const expiresIn = checkWhy(why, 'set_mode');
    emitRecords([guardNative(() => native.policySetMode(this.resolve(), mode, why.reason, why.author ?? null, expiresIn, clock.now()))]);
  }

  /** The breaker of one key. */
  breaker(key: string | undefined): Breaker {
    return new Breaker(this, key ?? null);
  }
}

const NO_MATCHERS: ReadonlyArray<readonly [Matches | undefined, Matches | undefined]> = [];

function matchersOf(definition: Definition, part: (strategy: string) => Part | undefined): ReadonlyArray<readonly [Matches | undefined, Matches | undefined]> {
  const each = JUDGES.map((judge) => {
    const above = HEIRS.includes(judge) ? definition : undefined;
    return [part(judge)?.on ?? above?.on, part(judge)?.ignore ?? above?.ignore] as const;
  });
  return each.every(([on, ignore]) => on === undefined && ignore === undefined) ? NO_MATCHERS : each;
}

const complained = new WeakSet<Matches>();

function asks(predicate: Matches, outcome: unknown): boolean {
  try {
    return predicate(outcome) === true;
  } catch (error) {
    if (!complained.has(predicate)) {
      complained.add(predicate);
      process.emitWarning(`a predicate on outcomes threw ${String(error)} and counts as not matching; reported once`, 'SeawallWarning');
    }
    return false;
  }
}

/** Whether a policy enforces; only judges and reports; or does nothing. */
export type Mode = 'enforce' | 'shadow' | 'disabled';

/** Flags of a call. */
const MODES: ReadonlyMap<unknown, number> = new Map([
  ['enforce', 0],
  ['shadow', 4],
  ['disabled', 8],
]);

function checkWhy(why: Override, path: string): number | null {
  if (typeof why?.reason !== 'string' || why.reason === '') throw new ConfigError('say why: { reason: "…" }', `${path}.reason`);
  return why.expiresIn === undefined ? null : toMs(why.expiresIn, `${path}.expires_in`);
}

/** Why somebody overrides a breaker or a mode, and for how long (default: until `reset()`, or until it is set again). */
export interface Override {
  reason: string;
  author?: string;
  expiresIn?: string | number;
}

export type BreakerState = 'closed' | 'open' | 'half_open' | 'isolated' | 'disabled';

/** The circuit breaker of a policy, or of one of its keys. */
export class Breaker {
  constructor(
    private readonly core: Core,
    private readonly key: string | null,
  ) {}

  /** The state as judged now. */
  get state(): BreakerState {
    return guardNative(() => native.breakerState(this.core.resolve(), this.key, clock.now()) as BreakerState);
  }

  /** The current window, and what was rejected since the last transition. */
  get counts(): { total: number; failures: number; slow: number; consecutiveFailures: number; rejected: number } {
    const [total = 0, failures = 0, slow = 0, consecutiveFailures = 0, rejected = 0] = guardNative(() =>
      native.breakerCounts(this.core.resolve(), this.key, clock.now()),
    );
    return { total, failures, slow, consecutiveFailures, rejected };
  }

  /** Holds the circuit open. */
  isolate(why: Override): void {
    this.override(native.breakerIsolate, why);
  }

  /** Lets every call through, whatever happens. */
  disable(why: Override): void {
    this.override(native.breakerDisable, why);
  }

  /** Closes the circuit and forgets its history. */
  reset(): void {
    emitRecords(guardNative(() => native.breakerReset(this.core.resolve(), this.key)));
  }

  private override(call: typeof native.breakerIsolate, why: Override): void {
    const expiresIn = checkWhy(why, 'breaker');
    emitRecords(guardNative(() => call(this.core.resolve(), this.key, why.reason, why.author ?? null, expiresIn, clock.now())));
  }
}
