/** Every error that Seawall raises, and what can be told about an error that came out of a guarded call. */

import { ERROR_CLASSES, type ErrorCode, type Reason } from './table.js';

/** Marks our errors with the names of their classes, so that two copies of this package recognise each other's. */
const BRAND = Symbol.for('seawall.error');

/** What every error of ours may say. */
export interface ErrorFields {
  code?: ErrorCode;
  policy?: string;
  key?: string | undefined;
  retryAfterMs?: number | undefined;
  /** Text, or what makes it once somebody asks. */
  correlationId?: string | (() => string) | undefined;
  cause?: unknown;
  /** What `failure(error)` will say. */
  failure?: (() => Failure) | undefined;
}

/** What is known about an error of ours lies on it, which is cheaper than in a map beside it. */
let known: { of(error: object): (() => Failure) | undefined; set(error: object, found: () => Failure): boolean };

/**
 * The root of all errors of Seawall. `code` is the same in every language; `policy` the policy's name, or for an unnamed one the first function
 * that it guarded; `retryAfterMs` after how many milliseconds another call makes sense.
 */
export class SeawallError extends Error {
  readonly code: ErrorCode;
  readonly policy: string;
  readonly key: string | undefined;
  readonly retryAfterMs: number | undefined;
  #correlationId: string | (() => string) | undefined;
  #failure: (() => Failure) | undefined;

  static {
    known = {
      of: (error) => (#failure in error ? error.#failure : undefined),
      set: (error, found) => {
        if (!(#failure in error)) return false;
        error.#failure = found;
        return true;
      },
    };
  }

  constructor(message: string, fields: ErrorFields = {}) {
    super(message, 'cause' in fields ? { cause: fields.cause } : undefined);
    this.code = fields.code ?? 'result.rejected';
    this.policy = fields.policy ?? '';
    this.key = fields.key;
    this.retryAfterMs = fields.retryAfterMs;
    this.#correlationId = fields.correlationId;
    this.#failure = fields.failure;
  }

  get correlationId(): string | undefined {
    const id = this.#correlationId;
    return typeof id === 'function' ? (this.#correlationId = id()) : id;
  }

  /** The HTTP status a service would answer with; none for most errors. */
  get httpStatus(): number | undefined {
    return ERROR_CLASSES[this.code]?.[1] || undefined;
  }

  /** `retry-after` in whole seconds, rounded up, where it is known and the error has a status. */
  get httpHeaders(): Record<string, string> {
    if (this.httpStatus === undefined || this.retryAfterMs === undefined) return {};
    return { 'retry-after': String(Math.ceil(this.retryAfterMs / 1000)) };
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    const names = (value as { [BRAND]?: unknown } | null | undefined)?.[BRAND];
    if (Array.isArray(names) && Object.hasOwn(this.prototype, BRAND)) return names.includes(this.brand());
    return Function.prototype[Symbol.hasInstance].call(this, value);
  }

  private static brand(): unknown {
    return (this.prototype as unknown as { [BRAND]: string[] })[BRAND][0];
  }
}

/** What a circuit breaker says of its refusal. */
export interface Refusal {
  state: string;
  generation: number;
  counts: Record<string, number>;
}

/** What a rejection is made of. */
export interface RejectionFields extends ErrorFields {
  refusal?: (() => Refusal | undefined) | undefined;
}

/** A policy refused the call. It has no stack of its own, and reads its details only when asked: refusing must stay cheap when everything is refused. */
export class RejectedError extends SeawallError {
  readonly #refusal: () => Refusal | undefined;

  constructor(message: string, fields: RejectionFields = {}) {
    super(message, fields);
    this.#refusal = fields.refusal ?? (() => undefined);
  }

  /** The circuit breaker's state at the refusal, where one refused. */
  get state(): string | undefined {
    return this.#refusal()?.state;
  }

  /** Changes with every transition of the circuit breaker. */
  get generation(): number | undefined {
    return this.#refusal()?.generation;
  }

  /** The circuit breaker's counts when it opened. */
  get counts(): Readonly<Record<string, number>> | undefined {
    return this.#refusal()?.counts;
  }
}

/** The circuit breaker is open (`circuit.open`) or somebody holds it open (`circuit.isolated`). */
export class CircuitOpenError extends RejectedError {}

/** Every slot of the bulkhead is in use, and the queue is full or the wait in it was too long. */
export class BulkheadFullError extends RejectedError {}

/** The rate limit would be exceeded, and waiting for a turn would take longer than allowed. */
export class RateLimitedError extends RejectedError {}

/** A limit passed: of the attempt (`timeout.attempt`), of the call (`timeout.total`) or of a caller (`timeout.deadline`). */
export class TimeoutExceededError extends SeawallError {}

/** A fault that chaos injected, where no error of your own was given. */
export class InjectedFaultError extends SeawallError {
  constructor(message: string, fields: ErrorFields = {}) {
    super(message, { code: 'chaos.injected', ...fields });
  }
}

/** Something is written wrongly. `path` names the place, such as `retry.max_attempts`; the message says what would be right. */
export class ConfigError extends SeawallError {
  readonly path: string;

  constructor(message: string, path = '') {
    super(path === '' ? message : `${path}: ${message}`, { code: 'config.invalid' });
    this.path = path;
  }
}

/** The dead-letter store could not do what was asked. */
export class StoreError extends SeawallError {}

const CLASSES = {
  SeawallError,
  RejectedError,
  CircuitOpenError,
  BulkheadFullError,
  RateLimitedError,
  TimeoutExceededError,
  InjectedFaultError,
  ConfigError,
  StoreError,
};

for (const [name, kind] of Object.entries(CLASSES)) {
  const inherited = (Object.getPrototypeOf(kind.prototype) as { [BRAND]?: string[] })[BRAND] ?? [];
  Object.defineProperty(kind.prototype, BRAND, { value: [name, ...inherited] });
  Object.defineProperty(kind.prototype, 'name', { value: name, writable: true, configurable: true });
}

/** The error of a code, of the class that the table names, without walking the stack. */
export function make(code: ErrorCode, message: string, fields: RejectionFields): SeawallError {
  fields.code = code;
  const kind = CLASSES[ERROR_CLASSES[code][0] as keyof typeof CLASSES] as new (message: string, fields: object) => SeawallError;
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    return new kind(message, fields);
  } finally {
    Error.stackTraceLimit = limit;
  }
}

/** The public error for one of the native module's, whose message is JSON. Any other error is given back as it is. */
export function fromNative(error: unknown): unknown {
  if (!(error instanceof Error) || !error.message.startsWith('{')) return error;
  let said: { code: ErrorCode; message: string; path?: string };
  try {
    said = JSON.parse(error.message);
  } catch {
    return error;
  }
  if (said.code === 'config.invalid') return new ConfigError(said.message, said.path ?? '');
  return new StoreError(said.message, { code: said.code });
}

/** Calls a native function and gives its errors their public classes. */
export function guardNative<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw fromNative(error);
  }
}

/** One attempt of a call that failed. Times in milliseconds, `startedMs` counted from the start of the call. */
export interface AttemptRecord {
  readonly number: number;
  readonly outcome: string;
  readonly errorType: string | undefined;
  readonly startedMs: number;
  /** Undefined while the work, abandoned, has not ended. */
  readonly durationMs: number | undefined;
  /** The wait that followed it; undefined where none did. */
  readonly delayMs: number | undefined;
}

/** What a policy knows about an error that came out of it. */
export interface Failure {
  readonly attempts: readonly AttemptRecord[];
  /** The waits between the attempts, in milliseconds. */
  readonly delays: readonly number[];
  /** Why no further attempt was made; undefined where nothing was to be retried. */
  readonly reason: Reason | undefined;
  readonly policy: string;
  readonly key: string | undefined;
  readonly correlationId: string;
  /** The dead letter that was written for it. */
  readonly letterId: string | undefined;
  /** Whether chaos made the error. */
  readonly injected: boolean;
}

const failures = new WeakMap<object, () => Failure>();

/** What is known about an error that came out of a policy, or undefined if none raised it. */
export function failure(error: unknown): Failure | undefined {
  return isObject(error) ? (known.of(error) ?? failures.get(error))?.() : undefined;
}

/** Attaches what is known; the outermost policy has the last word. */
export function annotate(error: unknown, found: () => Failure): void {
  if (isObject(error) && !known.set(error, found)) failures.set(error, found);
}

function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}
