/** A policy as users hold it: a function that guards functions, a decorator, and a handle. */

import { Breaker, Core, type Definition, type Mode, type Override } from './core.js';
import type { Current } from './context.js';
import { compile, type Matcher } from './classify.js';
import type { Work } from './driver.js';
import { ConfigError } from './errors.js';
import { HEIRS } from './part.js';
import { note, type WorstCase, worstCase } from './lint.js';
import { call } from './quick.js';
import { type Snapshot, snapshotOf } from './snapshot.js';
import { GuardedStream, type GuardedStreamFunction, type StreamFunction } from './stream.js';
import type { CommonOptions } from './strategies.js';

type AnyFunction = (this: any, ...args: any[]) => any;

/** A guarded function: as it was where it returned a promise (overloads and all), else with a promise of what it returned. */
export type Guarded<F extends AnyFunction, R> = [R] extends [Awaited<ReturnType<F>>]
  ? ReturnType<F> extends Promise<any>
    ? F
    : (this: ThisParameterType<F>, ...args: Parameters<F>) => Promise<Awaited<ReturnType<F>>>
  : (this: ThisParameterType<F>, ...args: Parameters<F>) => Promise<Awaited<ReturnType<F>> | R>;

/** What can be set for one view of a policy, or for one call. */
export interface CallOptions {
  /** In place of the policy's own function of the arguments. */
  key?: string | number;
  /** The same over all attempts and redrives. */
  idempotencyKey?: string;
  /** The caller's: its abort ends the call, in back-off, in a queue and in an attempt alike, and counts for nothing. */
  signal?: AbortSignal;
}

/** Options of a policy as a whole. */
export interface PolicyOptions extends Omit<CommonOptions, 'name'> {
  /** What counts as a failure, for every strategy that says nothing itself. */
  on?: Matcher;
  ignore?: Matcher;
  /** `shadow`: all is judged and reported, nothing is enforced. A function is asked at each call. */
  mode?: Mode | (() => Mode);
}

/** A policy. `R` is what its fallback may return; `never` without one. */
export interface Policy<out R = never> {
  /** Guards a function; the result always returns a promise. */
  <F extends (this: any, ...args: any[]) => Promise<any>>(fn: F): Guarded<F, R>;
  /** The same for one that does not; it may be generic. */
  <This, A extends any[], T>(fn: (this: This, ...args: A) => T): (this: This, ...args: A) => Promise<Awaited<T> | R>;
  /** Guards a method: `@payments async charge(…) { … }`, in both kinds of decorators. */
  <F extends AnyFunction>(fn: F, context: ClassMethodDecoratorContext): Guarded<F, R>;
  <F extends AnyFunction>(target: object, property: string | symbol, descriptor: TypedPropertyDescriptor<F>): void;
  /** Calls a function once, guarded; it gets what `current()` gives. */
  run<T>(fn: (current: Current) => T, options?: CallOptions): Promise<Awaited<T> | R>;
  /** Guards a function that gives a stream: an async iterable, or the promise of one. The call begins when the first item is asked for. */
  stream<F extends StreamFunction>(fn: F): GuardedStreamFunction<F, R>;
  /** The same policy with these set. */
  using(options: CallOptions): Policy<R>;
  /** Its circuit breaker; with a key, that of the view's key. */
  readonly breaker: Breaker;
  /** Sets the mode by hand, over the policy's own, until it is set again or for so long. */
  setMode(mode: Mode, why: Override): void;
  /** The longest that a call may last and the most calls that it may make below, with the arithmetic. */
  worstCase(): WorstCase;
  /** Counts, ratios, limits and the retry budget, as they are now; of one key with `using({ key })`. */
  snapshot(): Snapshot;
}

const CORE = Symbol('seawall.core');
const guardedBy = new WeakMap<Function, Policy<any>>();

/** Whether a value is one of our policies. */
export function isPolicy(value: unknown): value is Policy<any> {
  return typeof value === 'function' && CORE in value;
}

function coreOf(policy: Policy<any>): Core {
  return (policy as unknown as { [CORE]: Core })[CORE];
}

/** The policy that guards a function, if any. */
export function policyOf(fn: Function): Policy<any> | undefined {
  return guardedBy.get(fn);
}

/** Makes a policy from its parts. */
export function makePolicy<R>(definition: Definition): Policy<R> {
  return view<R>(new Core(definition), NOTHING_SET);
}

const SET = Symbol('seawall.set');

/** What a view of a policy is, besides a function. */
interface View extends Function {
  readonly [CORE]: Core;
  readonly [SET]: CallOptions;
}

/** A property that all views share. What it gives is bound to the view, so that it works detached too; nothing is made for a view that is never asked. */
function shared(get: (core: Core, set: CallOptions, self: Policy<any>) => unknown): PropertyDescriptor {
  return {
    get(this: View) {
      return get(this[CORE], this[SET], this as unknown as Policy<any>);
    },
  };
}

const VIEW: object = Object.create(Function.prototype, {
  run: shared((core, set) => (fn: (current: Current) => unknown, options?: CallOptions) => run(core, options === undefined ? set : { ...set, ...options }, fn)),
  stream: shared((core, set, self) => (fn: AnyFunction) => wrap(core, set, self, fn, 'stream')),
  using: shared((core, set) => (options: CallOptions) => view(core, { ...set, ...options })),
  breaker: shared((core, set) => core.breaker(text(set.key))),
  setMode: shared((core) => (mode: Mode, why: Override) => core.setMode(mode, why)),
  worstCase: shared((core) => () => worstCase(core)),
  snapshot: shared((core, set) => () => snapshotOf(core, text(set.key))),
});

const NOTHING_SET: CallOptions = {};

function view<R>(core: Core, set: CallOptions): Policy<R> {
  const guard = ((...given: unknown[]) => decorate(core, set, guard as unknown as Policy<R>, given)) as unknown as View;
  Object.defineProperty(guard, CORE, { value: core });
  Object.defineProperty(guard, SET, { value: set });
  Object.defineProperty(guard, 'name', { value: core.definition.name ?? 'policy' });
  return Object.setPrototypeOf(guard, VIEW) as Policy<R>;
}

function text(key: string | number | undefined): string | undefined {
  return key === undefined ? undefined : String(key);
}

function run(core: Core, set: CallOptions, fn: (current: Current) => unknown): Promise<unknown> {
  if (typeof fn !== 'function') return Promise.reject(new ConfigError(NOT_A_FUNCTION, 'run'));
  core.labelBy(fn);
  return call(core, fn, undefined, NONE, true, set);
}

const NONE: readonly unknown[] = [];
const NOT_A_FUNCTION = 'expected a function; pass the function itself, without calling it: payments(charge), not payments(charge()) with parentheses';

/** Wraps a function, or decorates a method, told apart by what comes second and third. */
function decorate(core: Core, set: CallOptions, policy: Policy<any>, given: unknown[]): unknown {
  const [target, second, third] = given;
  if (typeof second === 'string' || typeof second === 'symbol') return legacy(core, set, policy, second, third);
  if (typeof second === 'object' && second !== null && 'kind' in second) {
    const { kind, name } = second as ClassMethodDecoratorContext;
    if (kind !== 'method') throw new ConfigError(`decorates methods; ${String(name)} is a ${kind}`, core.shownName);
  }
  return wrap(core, set, policy, target as AnyFunction);
}

function legacy(core: Core, set: CallOptions, policy: Policy<any>, property: string | symbol, descriptor: unknown): PropertyDescriptor {
  const value: unknown = (descriptor as PropertyDescriptor | undefined)?.value;
  if (typeof value !== 'function') throw new ConfigError(`decorates methods; ${String(property)} is none`, core.shownName);
  return { ...(descriptor as PropertyDescriptor), value: wrap(core, set, policy, value as AnyFunction) };
}

function wrap(core: Core, set: CallOptions, policy: Policy<any>, fn: AnyFunction, what: 'value' | 'stream' = 'value'): AnyFunction {
  if (typeof fn !== 'function') throw new ConfigError(NOT_A_FUNCTION, core.shownName);
  core.labelBy(fn);
  note(core);
  const inside = guardedBy.get(fn);
  if (inside !== undefined) core.holds(coreOf(inside));
  const key = text(set.key);
  const stream = function (this: unknown, ...args: unknown[]): AsyncIterableIterator<unknown> {
    const work: Work = { core, fn, self: this, args, wantsCurrent: false, key, idempotencyKey: set.idempotencyKey, signal: set.signal, isStream: true };
    return new GuardedStream(work);
  };
  const value = function (this: unknown, ...args: unknown[]): Promise<unknown> {
    return call(core, fn, this, args, false, set);
  };
  const guarded = what === 'stream' ? stream : value;
  resemble(guarded, fn);
  guardedBy.set(guarded, policy);
  return guarded;
}

/** The part of `reflect-metadata` that is needed, if the application has loaded it. */
interface Metadata {
  getOwnMetadataKeys?(of: object): unknown[];
  getOwnMetadata?(key: unknown, of: object): unknown;
  defineMetadata?(key: unknown, value: unknown, of: object): void;
}

/** Frameworks leave marks on functions: own properties, and metadata of `Reflect`. The guarded function has them too, its name and length among them. */
function resemble(guarded: AnyFunction, fn: AnyFunction): void {
  for (const property of Reflect.ownKeys(fn)) {
    if (property === 'prototype' || property === 'caller' || property === 'arguments') continue;
    Object.defineProperty(guarded, property, { ...Object.getOwnPropertyDescriptor(fn, property), configurable: true });
  }
  const metadata = Reflect as Metadata;
  for (const key of metadata.getOwnMetadataKeys?.(fn) ?? []) metadata.defineMetadata?.(key, metadata.getOwnMetadata?.(key, fn), guarded);
}

type FallbackOf<P> = P extends Policy<infer R> ? R : never;

// The overloads with options come first: a function that the others were tried with has lost the type that `mode` gives it.
/**
 * One policy of several strategies, in the canonical order whatever the order here. With a name its state is shared by everybody who uses the name; a name alone
 * finds what a policy file or other code defines, else the default policy.
 */
export function policy<const P extends readonly Policy<any>[]>(options: PolicyOptions, ...parts: P): Policy<FallbackOf<P[number]>>;
export function policy<const P extends readonly Policy<any>[]>(name: string, options: PolicyOptions, ...parts: P): Policy<FallbackOf<P[number]>>;
export function policy<const P extends readonly Policy<any>[]>(name: string, ...parts: P): Policy<FallbackOf<P[number]>>;
export function policy<const P extends readonly Policy<any>[]>(...parts: P): Policy<FallbackOf<P[number]>>;
export function policy(...given: unknown[]): Policy<any> {
  const rest = [...given];
  const name = typeof rest[0] === 'string' ? (rest.shift() as string) : undefined;
  if (name === '') throw new ConfigError('a name must not be empty; leave it out for an unnamed policy', 'policy');
  const options = typeof rest[0] === 'object' && rest[0] !== null ? (rest.shift() as PolicyOptions) : {};
  const parts = rest.flatMap((part, place) => {
    if (!isPolicy(part)) throw new ConfigError(`argument ${place + 1} is no strategy; write retry(…), circuitBreaker(…) or another`, name ?? 'policy');
    return partOf(part, name);
  });
  if (name === undefined && parts.length === 0) throw new ConfigError('expected a name, strategies, or both', 'policy');
  const made = makePolicy<any>(define(name, options, parts));
  note(coreOf(made));
  return made;
}

function partOf(part: Policy<any>, name: string | undefined): Definition['parts'] {
  const { definition } = coreOf(part);
  if (definition.parts.length !== 1) {
    throw new ConfigError('a policy of several strategies cannot be a part; nest it: outer(inner(fn))', definition.name ?? 'policy');
  }
  if (definition.name !== undefined && definition.name !== name) {
    throw new ConfigError(`the strategy is named "${definition.name}"; name the policy instead: policy("${definition.name}", …)`, name ?? 'policy');
  }
  coreOf(part).becomesPart();
  return definition.parts;
}

const POLICY_OPTIONS = ['key', 'on', 'ignore', 'scope', 'mode'];

function define(name: string | undefined, options: PolicyOptions, parts: Definition['parts']): Definition {
  const where = name ?? 'policy';
  const unknown = Object.keys(options).find((option) => !POLICY_OPTIONS.includes(option));
  if (unknown !== undefined) throw new ConfigError(`there is no option "${unknown}"; known are ${POLICY_OPTIONS.join(', ')}`, where);
  if (options.scope !== undefined && options.scope !== 'process') throw new ConfigError('only "process" exists', `${where}.scope`);
  const twice = parts.find((part, place) => parts.findIndex((other) => other.strategy === part.strategy) !== place);
  if (twice !== undefined) throw new ConfigError(`${twice.strategy} is given twice; nest another policy for a second one`, where);
  const keys = new Set([options.key, ...parts.map((part) => part.key)].filter((key) => key !== undefined));
  if (keys.size > 1) throw new ConfigError('different keys are given; give the policy one', `${where}.key`);
  const key = [...keys][0] as Definition['key'];
  if (key !== undefined && typeof key !== 'function') throw new ConfigError('expected a function of the arguments', `${where}.key`);
  const on = options.on === undefined ? undefined : compile(options.on, `${where}.on`);
  for (const option of ['on', 'ignore'] as const) {
    if (options[option] === undefined || parts.some((part) => HEIRS.includes(part.strategy))) continue;
    throw new ConfigError('nothing here asks for it: add a retry or a circuit breaker', `${where}.${option}`);
  }
  const ignore = options.ignore === undefined ? undefined : compile(options.ignore, `${where}.ignore`);
  return { name, parts, key, on, ignore, mode: options.mode };
}
