/** What the driver says of an outcome: facts about errors and results. What they mean is decided by the engine. */

import * as clock from './clock.js';
import { ConfigError, InjectedFaultError, RejectedError, SeawallError, TimeoutExceededError } from './errors.js';
import { toMs } from './duration.js';

/** An error class, an error code, a predicate, or several of these. */
export type Matcher = ErrorClass | string | ((error: any) => boolean) | Iterable<Matcher>;
/** A class of errors. */
export type ErrorClass = abstract new (...args: any[]) => unknown;
/** What a server asked for: milliseconds or a duration to wait, `"never"`, or nothing. */
export type RetryAfter = (outcome: any) => number | string | null | undefined;

/** Kinds of ends on the boundary. */
export const Kind = { success: 0, error: 1, programming: 2, rejected: 3, config: 4, cancelled: 5, injected: 6, timeout: 7 } as const;

const NOTHING = -1;
const NEVER = -2;
const injected = new WeakSet<object>();

/** Marks an error as injected by chaos, whatever its class. */
export function markInjected(error: unknown): void {
  if (typeof error === 'object' && error !== null) injected.add(error);
}

/** Whether chaos made this error. */
export function isInjected(error: unknown): boolean {
  return error instanceof InjectedFaultError || (typeof error === 'object' && error !== null && injected.has(error));
}

/** The kind of an error. */
export function kindOf(error: unknown): number {
  if (isInjected(error)) return Kind.injected;
  if (error instanceof RejectedError) return Kind.rejected;
  if (error instanceof ConfigError) return Kind.config;
  if (error instanceof TimeoutExceededError) return Kind.timeout;
  return isProgramming(error) ? Kind.programming : Kind.error;
}

/** By name and not by class: errors of another realm (a test runner's, a worker's) count too. */
function isProgramming(error: unknown): boolean {
  if (Object.prototype.toString.call(error) !== '[object Error]') return false;
  const { name, cause } = error as Error;
  if (name === 'ReferenceError' || name === 'SyntaxError' || name === 'RangeError') return true;
  // `fetch` reports a broken connection as a TypeError whose cause has a code.
  return name === 'TypeError' && typeof property(cause, 'code') !== 'string';
}

/** The name that stands for an error's type in events and letters. */
export function errorType(error: unknown): string {
  // A subclass that sets no name of its own is known by its constructor.
  if (error instanceof Error) return error.name && error.name !== 'Error' ? error.name : (error.constructor?.name ?? 'Error');
  return error === null ? 'null' : typeof error === 'object' ? (error.constructor?.name ?? 'Object') : typeof error;
}

/** The HTTP status on an error, a result or its response, else 0. */
export function statusOf(outcome: unknown): number {
  for (const holder of [outcome, property(outcome, 'response')]) {
    for (const name of ['status', 'statusCode']) {
      const status = property(holder, name);
      if (typeof status === 'number' && Number.isInteger(status) && status >= 100 && status <= 599) return status;
    }
  }
  return 0;
}

/** What the server asked for: milliseconds, -1 nothing, -2 never again. */
export function retryAfterOf(outcome: unknown, read: RetryAfter | undefined): number {
  if (read !== undefined) return asked(read(outcome));
  const own = property(outcome, 'retryAfterMs');
  if (own !== undefined && own !== null) return asked(own);
  for (const holder of [outcome, property(outcome, 'response')]) {
    const text = header(property(holder, 'headers'), 'retry-after');
    if (text !== undefined) return fromHeader(text);
  }
  return NOTHING;
}

function asked(said: unknown): number {
  if (said === 'never' || said === Infinity) return NEVER;
  if (typeof said !== 'string' && !(typeof said === 'number' && said >= 0)) return NOTHING;
  try {
    return toMs(typeof said === 'number' ? Math.ceil(said) : said, 'retryAfter');
  } catch {
    return NOTHING;
  }
}

/** Seconds, or an instant of the wall clock. */
function fromHeader(text: string): number {
  if (/^\s*\d+\s*$/.test(text)) return Number(text) * 1000;
  const instant = Date.parse(text);
  return Number.isNaN(instant) ? NOTHING : Math.max(0, Math.ceil(instant - clock.wallNow()));
}

function header(headers: unknown, name: string): string | undefined {
  if (typeof headers !== 'object' || headers === null) return undefined;
  const get = (headers as { get?: unknown }).get;
  const value: unknown =
    typeof get === 'function' ? get.call(headers, name) : Object.entries(headers).find(([key]) => key.toLowerCase() === name)?.[1];
  const first = Array.isArray(value) ? value[0] : value;
  return first === null || first === undefined ? undefined : String(first);
}

/** A strict predicate: connection and time-out errors, 408, 425, 429, 5xx, anything with Retry-After. */
export function transient(outcome: unknown): boolean {
  const status = statusOf(outcome);
  if (status >= 500 || status === 408 || status === 425 || status === 429 || retryAfterOf(outcome, undefined) >= 0) return true;
  if (outcome instanceof TimeoutExceededError || property(outcome, 'name') === 'TimeoutError') return true;
  return [outcome, property(outcome, 'cause')].some((holder) => TRANSIENT_CODES.test(String(property(holder, 'code'))));
}

const TRANSIENT_CODES = /^(ECONN(REFUSED|RESET|ABORTED)|EPIPE|ETIMEDOUT|E(HOST|NET)UNREACH|EAI_AGAIN|UND_ERR_(SOCKET|(CONNECT|HEADERS|BODY)_TIMEOUT))$/;

/** Compiles `on` or `ignore` once, so that a call only asks. */
export function compile(matcher: Matcher, path: string): (error: unknown) => boolean {
  if (typeof matcher === 'string') return codeMatcher(matcher, path);
  if (typeof matcher === 'function') {
    return isClass(matcher) ? (error) => error instanceof (matcher as never) : (error) => (matcher as (error: unknown) => boolean)(error) === true;
  }
  if (typeof matcher === 'object' && matcher !== null && Symbol.iterator in matcher) {
    const each = [...matcher].map((one, place) => compile(one, `${path}[${place}]`));
    return (error) => each.some((matches) => matches(error));
  }
  throw new ConfigError('expected an error class, a code such as "ECONNRESET" or "http:5xx", a predicate, or a list of these', path);
}

function isClass(matcher: Function): boolean {
  return matcher.prototype instanceof Error || matcher === Error || /^class\b/.test(Function.prototype.toString.call(matcher));
}

function codeMatcher(code: string, path: string): (error: unknown) => boolean {
  if (!code.startsWith('http:')) {
    // `fetch` keeps the code of a broken connection on the cause. The cause of one of ours is the callee's error, which is not what surfaces.
    const ofCause = (error: unknown): unknown => (error instanceof SeawallError ? undefined : property(property(error, 'cause'), 'code'));
    return (error) => property(error, 'code') === code || ofCause(error) === code;
  }
  const wanted = code.slice(5);
  if (!/^[1-5](\d\d|xx)$/.test(wanted)) throw new ConfigError(`"${code}" names no status; write "http:429" or "http:5xx"`, path);
  const pattern = new RegExp(`^${wanted.replace('xx', '\\d\\d')}$`);
  return (error) => pattern.test(String(statusOf(error)));
}

function property(holder: unknown, name: string): unknown {
  if ((typeof holder !== 'object' && typeof holder !== 'function') || holder === null) return undefined;
  try {
    return (holder as Record<string, unknown>)[name];
  } catch {
    return undefined;
  }
}
