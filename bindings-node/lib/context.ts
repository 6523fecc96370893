/** What travels with a call: the attempt, its deadline, its correlation id, its signal. Carried by AsyncLocalStorage. */

import { AsyncLocalStorage } from 'node:async_hooks';

import * as clock from './clock.js';
import { type Handle, native } from './native.js';

/** What a guarded function can know about the call that it runs in. */
export interface Current {
  /** The attempt, from 1; 0 outside a guarded call. */
  readonly attempt: number;
  /** Milliseconds left, where there is a limit. */
  readonly remaining: number | undefined;
  readonly key: string | undefined;
  readonly correlationId: string | undefined;
  /** The same over all attempts and redrives. */
  readonly idempotencyKey: string | undefined;
  /** In a fallback: the error that it answers. */
  readonly error: unknown;
  /** Aborts when the attempt is cut or the caller gives up. Made when read. */
  readonly signal: AbortSignal;
}

/** What a scope starts with; everything else is inherited from the one around it. */
export interface ScopeFields {
  attempt?: number;
  /** When the time is up, on the driver's clock. */
  until?: number | undefined;
  key?: string | undefined;
  correlationId?: string | undefined;
  idempotencyKey?: string | undefined;
  error?: unknown;
  traceparent?: string | undefined;
  letter?: Redriven | undefined;
  /** Given by a retry, which may try again what fails in here: letters that are to be archived if it succeeds. */
  trail?: WrittenLetter[];
  /** The bulkhead slots that the attempts around this code hold. */
  chain?: readonly number[];
}

/** A letter of a call that may yet succeed. */
export interface WrittenLetter {
  readonly queue: Handle;
  readonly correlationId: string;
  readonly operation: string;
}

/** The letter being redriven. */
export interface Redriven {
  readonly id: string;
  readonly redrives: number;
  readonly queue: string;
}

/** What the running code is in: what it knows, and how it is told to stop. */
export abstract class Scope implements Current {
  abstract readonly attempt: number;
  abstract readonly key: string | undefined;
  abstract readonly correlationId: string | undefined;
  abstract readonly idempotencyKey: string | undefined;
  abstract readonly error: unknown;
  abstract readonly traceparent: string | undefined;
  abstract readonly letter: Redriven | undefined;
  abstract readonly trail: WrittenLetter[] | undefined;
  abstract readonly chain: readonly number[];
  /** Few are ever told to stop, or asked for a signal. */
  private stop: Stop | undefined = undefined;

  constructor(
    readonly outer: Scope | undefined,
    /** When the time is up, on the driver's clock. */
    public until: number | undefined,
  ) {}

  /** Its own limit is met; what is around it still limits. */
  outlive(): void {
    this.until = this.outer?.until;
  }

  get remaining(): number | undefined {
    return this.until === undefined ? undefined : Math.max(0, Math.floor(this.until - clock.now()));
  }

  get signal(): AbortSignal {
    const stop = (this.stop ??= new Stop());
    if (stop.controller === undefined) {
      stop.controller = new AbortController();
      if (this.isCut) stop.controller.abort(this.reason);
      else if (this.attempt !== 0) this.outer?.onCut((reason) => this.cut(reason));
    }
    return stop.controller.signal;
  }

  /** Whether the work in this scope is to stop. */
  get isCut(): boolean {
    return this.stop?.ended !== undefined || (this.outer?.isCut ?? false);
  }

  /** Why. */
  get reason(): unknown {
    return this.stop?.ended !== undefined ? this.stop.ended.reason : this.outer?.reason;
  }

  /** Tells the work in this scope to stop. */
  cut(reason: unknown): void {
    const stop = (this.stop ??= new Stop());
    if (stop.ended !== undefined) return;
    stop.ended = { reason };
    stop.controller?.abort(reason);
    const { listeners } = stop;
    stop.listeners = undefined;
    for (const listener of listeners ?? []) listener(reason);
  }

  /** Calls `listener` when this scope, or one around it, is cut. Gives the way to take that back. */
  onCut(listener: (reason: unknown) => void): () => void {
    const stop = (this.stop ??= new Stop());
    stop.listeners ??= new Set();
    stop.listeners.add(listener);
    const release = this.outer?.onCut(listener);
    return () => {
      stop.listeners?.delete(listener);
      release?.();
    };
  }
}

/** How a scope is told to stop. */
class Stop {
  controller: AbortController | undefined;
  ended: { reason: unknown } | undefined;
  listeners: Set<(reason: unknown) => void> | undefined;
}

/** A scope whose knowledge is given when it begins. */
export class FullScope extends Scope {
  readonly attempt: number;
  readonly key: string | undefined;
  readonly correlationId: string | undefined;
  readonly idempotencyKey: string | undefined;
  readonly error: unknown;
  readonly traceparent: string | undefined;
  readonly letter: Redriven | undefined;
  readonly trail: WrittenLetter[] | undefined;
  readonly chain: readonly number[];

  constructor(fields: ScopeFields, outer: Scope | undefined) {
    super(outer, earlier(fields.until, outer?.until));
    this.attempt = fields.attempt ?? outer?.attempt ?? 0;
    this.key = fields.key ?? outer?.key;
    this.correlationId = fields.correlationId ?? outer?.correlationId;
    this.idempotencyKey = fields.idempotencyKey ?? outer?.idempotencyKey;
    this.error = fields.error;
    this.traceparent = fields.traceparent ?? outer?.traceparent;
    this.letter = fields.letter ?? outer?.letter;
    this.trail = fields.trail ?? outer?.trail;
    this.chain = fields.chain ?? outer?.chain ?? [];
  }
}

function earlier(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined ? b : b === undefined ? a : Math.min(a, b);
}

/** Carries the scope. Exported for the one caller that cannot afford a closure. */
export const storage = new AsyncLocalStorage<Scope>();

/** The scope that the running code is in. */
export function scope(): Scope | undefined {
  return storage.getStore();
}

/** Runs `fn` in a scope. */
export function within<T>(inner: Scope, fn: () => T): T {
  return storage.run(inner, fn);
}

/** What is known about the call that the running code is in; never undefined. */
export function current(): Current {
  return storage.getStore() ?? new FullScope({}, undefined);
}

/** The correlation id in force, if any; none is minted. */
export function correlationId(): string | undefined {
  return storage.getStore()?.correlationId;
}

/** The id as it is, or a new one if it is not 1 to 128 safe characters. */
function cleanOrNew(id: unknown): string {
  return (typeof id === 'string' ? native.cleanId(id) : null) ?? native.mintId();
}

/** Runs `fn` with this correlation id. An id that logs or headers could misread is replaced. */
export function correlate<T>(id: string, fn: () => T): T {
  return within(new FullScope({ correlationId: cleanOrNew(id) }, scope()), fn);
}

/** Milliseconds left until the nearest deadline around the running code, else `otherwise`. */
export function deadline(): number | undefined;
export function deadline(otherwise: number): number;
export function deadline(otherwise?: number): number | undefined {
  return storage.getStore()?.remaining ?? otherwise;
}

/** A `traceparent` of the version that everybody reads; none of the zeros that stand for nothing. */
const TRACE = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

let traceSource: (() => string | undefined) | undefined;

/** Gives the trace of the span that the running code is in, where a tracer is instrumented: it stands before the caller's. Gives the one before. */
export function useTraceSource(source: typeof traceSource): typeof traceSource {
  const before = traceSource;
  traceSource = source;
  return before;
}

/** Headers that carry the context to the next service. */
export function headers(): Record<string, string> {
  const here = scope();
  const found: Record<string, string> = {};
  const trace = traceSource?.() ?? here?.traceparent;
  if (trace !== undefined) found['traceparent'] = trace;
  if (here === undefined) return found;
  if (here.remaining !== undefined) found['x-seawall-deadline-ms'] = String(here.remaining);
  if (here.attempt > 0) found['x-seawall-attempt'] = String(here.attempt);
  if (here.correlationId !== undefined) found['x-correlation-id'] = here.correlationId;
  if (here.idempotencyKey !== undefined) found['idempotency-key'] = here.idempotencyKey;
  return found;
}

/** Incoming headers: a `Headers`, or an object as Node's `request.headers`. */
export type IncomingHeaders = { get(name: string): string | null } | Record<string, string | string[] | undefined>;

/**
 * Runs `fn` in the context that came with a request. Untrusted headers (the default) give the correlation id only; trusted ones also the deadline, the
 * attempt, the idempotency key and the trace.
 */
export function receive<T>(incoming: IncomingHeaders, fn: () => T, options: { trust?: boolean } = {}): T {
  const get = reader(incoming);
  const fields: ScopeFields = { correlationId: cleanOrNew(get('x-correlation-id') ?? get('x-request-id')) };
  if (options.trust === true) {
    const left = get('x-seawall-deadline-ms');
    const attempt = get('x-seawall-attempt');
    if (left !== undefined && /^\d{1,12}$/.test(left)) fields.until = clock.now() + Number(left);
    if (attempt !== undefined && /^\d{1,6}$/.test(attempt)) fields.attempt = Number(attempt);
    const key = get('idempotency-key');
    if (key !== undefined && key.length <= 255) fields.idempotencyKey = key;
    const trace = get('traceparent');
    if (trace !== undefined && TRACE.test(trace)) fields.traceparent = trace;
  }
  return within(new FullScope(fields, scope()), fn);
}

function reader(incoming: IncomingHeaders): (name: string) => string | undefined {
  if (typeof incoming.get === 'function') {
    const get = incoming.get.bind(incoming) as (name: string) => string | null;
    return (name) => get(name) ?? undefined;
  }
  const lower = new Map(Object.entries(incoming).map(([name, value]) => [name.toLowerCase(), value]));
  return (name) => {
    const value = lower.get(name);
    const first: unknown = Array.isArray(value) ? value[0] : value;
    return typeof first === 'string' ? first : undefined;
  };
}
