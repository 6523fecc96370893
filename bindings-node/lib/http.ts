/** What the server adapters share. Frameworks are known by the shape of what they pass. */

import { correlationId, receive } from './context.js';
import { RejectedError } from './errors.js';

/** Options of the server adapters. */
export interface ServerOptions {
  /** Whether to take the deadline, the attempt, the idempotency key and the trace of incoming headers too. Only behind callers that you run. Default: false. */
  trust?: boolean;
}

/** Incoming headers, as node:http has them. */
export interface HasHeaders {
  readonly headers: Record<string, string | string[] | undefined>;
}

/** Runs the rest of a request in the context that its headers carry; tells `answer` the correlation id. */
export function enter(request: HasHeaders, options: ServerOptions, answer: (name: string, value: string) => void, next: () => void): void {
  receive(
    request.headers,
    () => {
      answer('x-correlation-id', correlationId()!);
      next();
    },
    { trust: options.trust === true },
  );
}

/** What to answer for a rejection of ours; undefined for any other error. */
export function answerTo(error: unknown): { status: number; headers: Record<string, string>; body: { error: string; message: string } } | undefined {
  if (!(error instanceof RejectedError) || error.httpStatus === undefined) return undefined;
  return { status: error.httpStatus, headers: error.httpHeaders, body: { error: error.code, message: 'try again later' } };
}
