/**
 * `fetch` under a policy.
 *
 * A response that says "not now" (408, 425, 429, 5xx) is a failure of its attempt, so that retry, circuit breaker and dead letters see it; the caller gets the
 * last such response, as from a bare `fetch`, and not an error.
 */

import { type Current, current } from './context.js';
import { annotate, failure, make } from './errors.js';
import { contextHeaders, isFailure, isIdempotent, never } from './outgoing.js';
import type { Policy } from './policy.js';

type Fetch = typeof globalThis.fetch;
type Input = Parameters<Fetch>[0];

/** A response that counts as a failure, on its way through the policy. `retry` reads its Retry-After from `response`. */
class ResponseError extends Error {
  override readonly name = 'ResponseError';
  readonly status: number;

  constructor(readonly response: Response) {
    super(`the server answered ${response.status}`);
    this.status = response.status;
  }
}

/**
 * Gives a `fetch` that works under `policy`, whose functions (`key`, `capture`, `idempotencyKey`) are called with the host, the method and the URL:
 * `{ key: (host: string) => host }` keeps hosts apart. Requests carry the context's headers. Only idempotent methods, and requests that have an
 * idempotency key, are sent more than once, and never one whose body is a stream.
 */
export function guardFetch(policy: Policy<any>, inner?: Fetch): Fetch {
  return async (input, init) => {
    const exchange = new Exchange(inner ?? globalThis.fetch, input, init);
    try {
      return (await exchange.under(policy)) as Response;
    } catch (error) {
      return exchange.settle(error);
    }
  };
}

/** One call of the guarded `fetch`, with all its attempts. */
class Exchange {
  private readonly request: Request | undefined;
  private readonly given: Headers;
  private readonly signal: AbortSignal | undefined;
  private readonly method: string;
  private readonly mayRepeat: boolean;
  private sent: Promise<Response> | undefined;
  /** The failed response that would be returned. */
  private kept: ResponseError | undefined;

  constructor(
    private readonly fetch: Fetch,
    private readonly input: Input,
    private readonly init: RequestInit | undefined,
  ) {
    this.request = input instanceof Request ? input : undefined;
    this.given = new Headers(init?.headers ?? this.request?.headers);
    this.signal = init?.signal ?? (init?.signal === null ? undefined : this.request?.signal);
    this.method = (init?.method ?? this.request?.method ?? 'GET').toUpperCase();
    const isKeyed = this.given.has('idempotency-key') || current().idempotencyKey !== undefined;
    this.mayRepeat = (isIdempotent(this.method) || isKeyed) && !this.isStreaming();
  }

  /** The body of a `Request` is a stream too, whatever it was made of. */
  private isStreaming(): boolean {
    const body: unknown = this.init?.body;
    if (body === undefined || body === null) return this.request !== undefined && this.request.body !== null;
    return typeof body === 'object' && (body instanceof ReadableStream || Symbol.asyncIterator in body);
  }

  /** Makes the call. */
  async under(policy: Policy<any>): Promise<unknown> {
    const url = new URL(this.request?.url ?? String(this.input));
    const idempotencyKey = this.given.get('idempotency-key');
    const view = policy.using({ ...(this.signal && { signal: this.signal }), ...(idempotencyKey !== null && { idempotencyKey }) });
    const fetch = (_host: string, _method: string, _url: string): Promise<Response> => this.attempt(current());
    return view(fetch)(url.host, this.method, url.href);
  }

  attempt(now: Current): Promise<Response> {
    if (this.mayRepeat) return this.send(now);
    if (this.sent === undefined) return (this.sent = this.send(now));
    // A hedge, or an attempt after one that was cut: the request is out, and is not sent again.
    return this.sent.catch((error: unknown) => {
      if (error instanceof ResponseError) throw error;
      throw never(make('timeout.attempt', 'the request was cut, and is not one to send twice', { correlationId: now.correlationId, cause: error }));
    });
  }

  private async send(now: Current): Promise<Response> {
    this.discard();
    const { signal } = now;
    const joined = this.signal === undefined ? signal : AbortSignal.any([this.signal, signal]);
    const outgoing = new Headers(this.given);
    for (const [name, value] of contextHeaders((name) => outgoing.has(name))) outgoing.set(name, value);
    let response: Response;
    try {
      response = await this.fetch(this.input, { ...this.init, headers: outgoing, signal: joined });
    } catch (error) {
      throw this.mayRepeat ? error : never(error);
    }
    if (!isFailure(response.status)) return response;
    const failed = new ResponseError(response);
    if (signal.aborted) cancel(response);
    else this.keep(failed);
    throw this.mayRepeat ? failed : never(failed);
  }

  private keep(failed: ResponseError): void {
    this.discard();
    this.kept = failed;
  }

  private discard(): void {
    if (this.kept !== undefined) cancel(this.kept.response);
    this.kept = undefined;
  }

  /** The call failed: with the last response, if that is what it failed with. */
  settle(error: unknown): Response {
    if (error instanceof ResponseError && error === this.kept) {
      const { response } = error;
      // `failure(response)` says what became of the attempts.
      annotate(response, () => failure(error)!);
      return response;
    }
    this.discard();
    throw error;
  }
}

/** A body that nobody reads holds its connection. */
function cancel(response: Response): void {
  response.body?.cancel().catch(() => undefined);
}
