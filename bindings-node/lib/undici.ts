/**
 * undici under a policy: an interceptor for `dispatcher.compose`, of undici 7 and later. It knows undici by the shape of what it passes and never imports it.
 *
 * An attempt lasts until the response's headers are there; its body belongs to the caller. Until the policy has decided, a response is held: paused, and what comes
 * nevertheless is kept in order.
 */

import { type Current, current } from './context.js';
import { annotate, ConfigError, failure, make } from './errors.js';
import { contextHeaders, isFailure, isIdempotent, never } from './outgoing.js';
import type { Policy } from './policy.js';
import { Attempt, type Handler, ResponseError, Steering } from './undici-attempt.js';

/** What a fallback of the policy may answer in place of a server. */
export interface Answer {
  readonly statusCode: number;
  readonly headers?: Record<string, string>;
  readonly body?: string | Uint8Array;
}

type Fields = Record<string, string | string[] | undefined>;

/** What is needed of a request, as undici describes it. */
interface Options {
  readonly origin?: string | URL;
  readonly path: string;
  readonly method: string;
  readonly headers?: unknown;
  readonly body?: unknown;
}

type Dispatch = (options: any, handler: any) => boolean;

/**
 * `new Agent().compose(interceptor(policy))`. The policy's functions (`key`, `capture`, `idempotencyKey`) are called with the host, the method and the URL; a `Client`
 * or `Pool` has one origin and does not tell it: there the host is the empty string. Statuses 408, 425, 429 and 5xx are failures, of which the last is
 * what the caller gets. Only idempotent methods, and requests with an idempotency key, are sent again, and never one whose body is a stream.
 */
export function interceptor(policy: Policy<Answer>): <D extends Dispatch>(dispatch: D) => D {
  if (typeof policy !== 'function') throw new ConfigError('expected a policy', 'undici.interceptor');
  return <D extends Dispatch>(dispatch: D) =>
    ((options: Options, handler: Handler) => {
      void new Exchange(dispatch, options, handler).under(policy);
      return true;
    }) as D;
}

/** One request with all its attempts. */
class Exchange {
  private readonly steering = new Steering();
  private readonly given: Fields;
  private readonly mayRepeat: boolean;
  private sent: Promise<Attempt> | undefined;
  /** The failed response that the caller would get. */
  private kept: ResponseError | undefined;
  private readonly context: Record<string, unknown> = {};

  constructor(
    private readonly dispatch: Dispatch,
    private readonly options: Options,
    private readonly handler: Handler,
  ) {
    this.given = fieldsOf(options.headers);
    const isKeyed = this.given['idempotency-key'] !== undefined || current().idempotencyKey !== undefined;
    this.mayRepeat = (isIdempotent(options.method.toUpperCase()) || isKeyed) && !isStream(options.body);
  }

  /** Makes the call, and tells the handler how it ends. It never rejects: what the handler throws ends its own response. */
  async under(policy: Policy<Answer>): Promise<void> {
    const { options, steering } = this;
    try {
      // At once, so that the caller can give up in a queue and in a back-off too.
      this.handler.onRequestStart?.(steering, this.context);
      const view = policy.using({ signal: steering.signal, ...this.idempotencyKey() });
      const send = (_host: string, _method: string, _url: string): Promise<Attempt> => this.attempt(current());
      const url = options.origin === undefined ? undefined : new URL(options.path, options.origin);
      this.settle(await view(send)(url?.host ?? '', options.method, url?.href ?? options.path));
    } catch (error) {
      this.fail(error);
    }
  }

  private idempotencyKey(): { idempotencyKey?: string } {
    const key = this.given['idempotency-key'];
    return typeof key === 'string' ? { idempotencyKey: key } : {};
  }

  private attempt(now: Current): Promise<Attempt> {
    if (this.mayRepeat) return this.send(now);
    if (this.sent === undefined) return (this.sent = this.send(now));
    // A hedge, or an attempt after one that was cut: the request is out, and is not sent again.
    return this.sent.catch((error: unknown) => {
      if (error instanceof ResponseError) throw error;
      throw never(make('timeout.attempt', 'the request was cut, and is not one to send twice', { correlationId: now.correlationId, cause: error }));
    });
  }

  private async send(now: Current): Promise<Attempt> {
    this.discard();
    const attempt = new Attempt(this.handler, this.steering, this.context);
    const onAbort = (): void => attempt.cut(now.signal.reason);
    now.signal.addEventListener('abort', onAbort, { once: true });
    try {
      this.dispatch({ ...this.options, headers: this.outgoing() }, attempt);
      await attempt.answered;
    } catch (error) {
      throw this.mayRepeat ? error : never(error);
    } finally {
      now.signal.removeEventListener('abort', onAbort);
    }
    if (!isFailure(attempt.statusCode)) return attempt;
    const failed = new ResponseError(attempt);
    if (!now.signal.aborted) this.kept = failed;
    throw this.mayRepeat ? failed : never(failed);
  }

  private outgoing(): Fields {
    const outgoing = { ...this.given };
    for (const [name, value] of contextHeaders((name) => this.given[name] !== undefined)) outgoing[name] = value;
    return outgoing;
  }

  /** An earlier response will not be the caller's; its body would hold the connection. */
  private discard(): void {
    this.kept?.attempt.cut(this.kept);
    this.kept = undefined;
  }

  private settle(outcome: unknown): void {
    if (outcome instanceof Attempt && outcome.belongsTo(this.steering)) return outcome.deliver();
    this.discard();
    if (!isAnswer(outcome)) throw new ConfigError('a fallback answers with { statusCode, headers, body }; what came is none, or was read already', 'undici.interceptor');
    const { handler, steering } = this;
    handler.onResponseStart?.(steering, outcome.statusCode, outcome.headers ?? {}, '');
    if (outcome.body !== undefined) handler.onResponseData?.(steering, Buffer.from(outcome.body as string));
    handler.onResponseEnd?.(steering, {});
  }

  /** The call failed: with the last response, if that is what it failed with. */
  private fail(error: unknown): void {
    if (error instanceof ResponseError && error === this.kept) {
      annotate(error.attempt, () => failure(error)!);
      return error.attempt.deliver();
    }
    this.discard();
    this.handler.onResponseError?.(this.steering, error as Error);
  }
}

/** The caller's headers by name, in lower case; of a flat list, an iterable of pairs or an object. */
function fieldsOf(headers: unknown): Fields {
  const fields: Fields = {};
  const add = (name: string, value: string | string[] | undefined): void => {
    const key = String(name).toLowerCase();
    const before = fields[key];
    fields[key] = before === undefined || value === undefined ? (value ?? before) : [before, value].flat();
  };
  if (Array.isArray(headers)) for (let at = 0; at + 1 < headers.length; at += 2) add(headers[at], headers[at + 1]);
  else if (typeof headers === 'object' && headers !== null) {
    const pairs = Symbol.iterator in headers ? (headers as Iterable<[string, string]>) : Object.entries(headers as Fields);
    for (const [name, value] of pairs) add(name, value);
  }
  return fields;
}

/** A body that can be read once only. */
function isStream(body: unknown): boolean {
  if (typeof body !== 'object' || body === null || ArrayBuffer.isView(body) || body instanceof ArrayBuffer || body instanceof Blob) return false;
  return Object.prototype.toString.call(body) !== '[object FormData]';
}

function isAnswer(value: unknown): value is Answer {
  return typeof value === 'object' && value !== null && !(value instanceof Attempt) && typeof (value as Answer).statusCode === 'number';
}
