/** What the client adapters share: which requests may be sent again, which answers are failures, and which headers go along. */

import { headers } from './context.js';

const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE']);
/** These belong to the attempt; the others are the caller's to set. */
const OURS = /^x-seawall-/;

/** Whether sending a request with this method twice does what sending it once does. */
export function isIdempotent(method: string): boolean {
  return IDEMPOTENT.has(method);
}

/** Whether a status says that the request may succeed another time. */
export function isFailure(status: number): boolean {
  return status >= 500 || status === 408 || status === 425 || status === 429;
}

/** The context's headers that a request should carry; `has` tells, in lower case, what the caller set. */
export function contextHeaders(has: (name: string) => boolean): Array<[string, string]> {
  return Object.entries(headers()).filter(([name]) => OURS.test(name) || !has(name));
}

/** Says to `retry` that there is to be no other attempt. */
export function never<E>(error: E): E {
  if (typeof error === 'object' && error !== null && Object.isExtensible(error)) {
    Object.defineProperty(error, 'retryAfterMs', { value: 'never', configurable: true });
  }
  return error;
}
