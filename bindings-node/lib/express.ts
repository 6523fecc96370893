/** Express: the context of each request, and an answer for rejections. */

import { answerTo, enter, type HasHeaders, type ServerOptions } from './http.js';

export type { ServerOptions } from './http.js';

/** What is needed of a response: `ServerResponse` of node:http has it. */
export interface ResponseLike {
  statusCode: number;
  readonly headersSent: boolean;
  setHeader(name: string, value: string): unknown;
  end(body: string): unknown;
}

type Next = (error?: unknown) => void;

/** Goes before the routes: they run in the context that the request's headers carry, and the response says its correlation id. */
export function middleware(options: ServerOptions = {}): (request: HasHeaders, response: ResponseLike, next: Next) => void {
  return (request, response, next) => enter(request, options, (name, value) => response.setHeader(name, value), next);
}

/** Goes after the routes: a rejection of a policy is answered with its status and its Retry-After. Other errors are passed on. */
export function errorHandler(): (error: unknown, request: HasHeaders, response: ResponseLike, next: Next) => void {
  return (error, _request, response, next) => {
    const answer = answerTo(error);
    if (answer === undefined || response.headersSent) return next(error);
    response.statusCode = answer.status;
    for (const [name, value] of Object.entries(answer.headers)) response.setHeader(name, value);
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(answer.body));
  };
}
