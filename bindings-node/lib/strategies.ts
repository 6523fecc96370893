/** One word per strategy. Each makes a policy of one, which is also a part of a larger policy. */

import type { DeadLetter } from './letter.js';
import type { ErrorClass, Matcher, RetryAfter } from './classify.js';
import { ConfigError } from './errors.js';
import { compilePart, type Part } from './part.js';
import { isPolicy, makePolicy, type Policy } from './policy.js';
import type { BulkheadData, ChaosData, CircuitBreakerData, DeadLetterData, FallbackData, HedgeData, RateLimitData, RetryData, TimeoutData } from './table.js';

/** What every strategy takes besides its own options. */
export interface CommonOptions {
  /** Shares the state with every object of this name. */
  name?: string;
  /** A function of the call's arguments that partitions the state. */
  key?: (...args: any[]) => string | number;
  /** Who shares the state. */
  scope?: 'process';
}

/** What counts as a failure. */
export interface MatchOptions {
  /** Replaces the default. */
  on?: Matcher;
  /** Subtracts from it. */
  ignore?: Matcher;
}

export interface RetryOptions extends RetryData, MatchOptions, CommonOptions {
  /** A predicate on results: a rejected one counts as a failure. */
  onResult?: (result: any) => boolean;
  /** Reads the server's wait from an error or a rejected result: milliseconds, a duration, `"never"`, or nothing. */
  retryAfter?: RetryAfter;
}

export interface CircuitBreakerOptions extends CircuitBreakerData, MatchOptions, CommonOptions {
  /** A predicate on results: a rejected one counts as a failure. */
  onResult?: (result: any) => boolean;
}

export interface BulkheadOptions extends BulkheadData, CommonOptions {}
export interface RateLimitOptions extends RateLimitData, CommonOptions {
  /** How many calls per second, minute or hour, such as `"100/s"`. */
  rate: string;
}
export interface TimeoutOptions extends Omit<TimeoutData, 'thread'>, CommonOptions {}

export interface HedgeOptions extends HedgeData, CommonOptions {}

export interface FallbackOptions<R> extends Omit<FallbackData, 'value'>, MatchOptions, CommonOptions {
  /** What to return in place of an error; a function is called like the guarded one. For a stream it is an iterable. */
  value?: R;
  /** Gives, from the call's arguments, what a good result is kept under; default: the function and all arguments by value. */
  staleKey?: (...args: any[]) => unknown;
}

export interface DeadLetterOptions extends Omit<DeadLetterData, 'queue' | 'encrypt'>, MatchOptions, CommonOptions {
  /** Gives the payload to record from the call's arguments; default: the arguments. */
  capture?: (...args: any[]) => unknown;
  /** Gives the idempotency key from the call's arguments. */
  idempotencyKey?: (...args: any[]) => string;
  /** Takes the letter and returns it without what must not be kept. */
  redact?: (letter: Record<string, unknown>) => Record<string, unknown>;
  /** The keys under which payload, headers, messages and stacks are encrypted: `env:NAME`, `file:PATH`, or a function that gives their text. */
  encrypt?: string | (() => string | Promise<string>);
  /** Called with a letter that could not be kept anywhere. */
  onLost?: (letter: DeadLetter) => unknown;
}

/** An error class, a function that makes an error, or an error's own name as text. */
export type Fault = ErrorClass | ((...args: any[]) => unknown) | string;

export interface ChaosOptions extends ChaosData, CommonOptions {
  /** The share of attempts struck: 0 to 1, or such as `"30%"`. */
  rate: number | string;
  /** The error to raise: one, or a list of them, or of pairs with a weight. */
  fault?: Fault | ReadonlyArray<Fault | readonly [Fault, number]>;
  /** A result in the callee's place: a value, a function that gives one, or a list of these, or of pairs with a weight. */
  outcome?: unknown;
  /** Run inside each attempt that is struck, before anything else of it; may be async. */
  behavior?: () => unknown;
  /** A predicate on the call's arguments: only these attempts may be struck. */
  only?: (...args: any[]) => boolean;
}

/** Bare `@retry` hands over a function or a decorator's context where options belong. */
function options(word: string, given: unknown[]): Record<string, unknown> {
  const [first] = given;
  if (given.length > 1 || typeof first === 'function') {
    throw new ConfigError(`write ${word}() with parentheses: @${word}(), ${word}({ … }) or ${word}({ … })(fn)`, word);
  }
  if (first === undefined) return {};
  if (typeof first !== 'object' || first === null || Array.isArray(first) || isPolicy(first)) {
    throw new ConfigError(`expected an options object such as ${word}({ … })`, word);
  }
  return first as Record<string, unknown>;
}

function single(part: Part): Policy<never> {
  return makePolicy({ name: part.name, parts: [part], key: part.key, on: undefined, ignore: undefined, mode: undefined });
}

/** Tries again after failures. Writing it declares that the call may be repeated. */
export function retry(...given: [options?: RetryOptions]): Policy {
  return single(compilePart('retry', options('retry', given)));
}

/** Stops calling what keeps failing, and lets a few trial calls through when a break is over. */
export function circuitBreaker(...given: [options?: CircuitBreakerOptions]): Policy {
  return single(compilePart('circuit_breaker', options('circuitBreaker', given)));
}

/** Bounds how many attempts run at once. */
export function bulkhead(...given: [options?: BulkheadOptions]): Policy {
  return single(compilePart('bulkhead', options('bulkhead', given)));
}

/** Bounds how many attempts start per second, minute or hour. */
export function rateLimit(...given: [options: RateLimitOptions]): Policy {
  return single(compilePart('rate_limit', options('rateLimit', given)));
}

/** Limits each attempt, the whole call, or both. */
export function timeout(...given: [options: TimeoutOptions]): Policy {
  return single(compilePart('timeout', options('timeout', given)));
}

/** Starts another attempt beside one that takes long; the first that succeeds wins, the others are told to stop. */
export function hedge(...given: [options?: HedgeOptions]): Policy {
  return single(compilePart('hedge', options('hedge', given)));
}

/** Answers a final error with a value, or with the first of several values and functions that works. A lone plain object is options. */
export function fallback<R>(options: FallbackOptions<R> & { value: R }): Policy<StepValue<R>>;
export function fallback(options: FallbackOptions<never>): Policy;
export function fallback<const S extends readonly [unknown, ...unknown[]]>(...steps: S): Policy<StepValue<S[number]>>;
export function fallback(...steps: unknown[]): Policy<unknown> {
  const [first] = steps;
  const prototype: unknown = typeof first === 'object' && first !== null ? Object.getPrototypeOf(first) : undefined;
  const isOptions = steps.length === 1 && !isPolicy(first) && (prototype === Object.prototype || prototype === null);
  const part = isOptions ? compilePart('fallback', first as Record<string, unknown>) : compilePart('fallback', {}, steps);
  if (part.steps.length === 0 && !('value' in part.data) && part.data['stale_if_error'] !== true) {
    throw new ConfigError('give a value or a function: fallback(cached), fallback(null), fallback({ value }) or fallback({ staleIfError: true })', 'fallback');
  }
  return single(part) as Policy<unknown>;
}

type StepValue<S> = S extends (...args: any[]) => infer R ? Widen<Awaited<R>> : Widen<S>;
/** The type of a constant written in code. */
export type Widen<S> = S extends string ? string : S extends number ? number : S extends boolean ? boolean : S;

/** Records calls that failed for good, so that they can be redriven. */
export function deadLetter(queue?: string, given: DeadLetterOptions = {}): Policy {
  if (typeof queue === 'function') options('deadLetter', [queue]);
  if (queue !== undefined && typeof queue !== 'string') {
    throw new ConfigError('expected the name of a queue first: deadLetter("orders", { … })', 'dead_letter.queue');
  }
  return single(compilePart('dead_letter', { ...(queue === undefined ? {} : { queue }), ...options('deadLetter', [given]) }));
}

/** Injects faults and latency into a share of the attempts, while the process is armed (`SEAWALL_CHAOS=allow`). */
export function chaos(...given: [options: ChaosOptions]): Policy {
  return single(compilePart('chaos', options('chaos', given)));
}
