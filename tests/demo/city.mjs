// How payments talks to the bank and the ledger, guarded or not: undici, and an error for every answer that is not a success.

import { request } from 'undici';

import { settings } from './child.mjs';
import { log } from './journal.mjs';

export class CityError extends Error {
  constructor(message, status) {
    super(message);
    this.name = 'CityError';
    this.status = status;
  }
}

async function post(url, order, body, { headers = {}, signal } = {}) {
  const response = await request(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers, 'idempotency-key': order.key },
    body: JSON.stringify(body),
    signal,
  });
  const answer = await response.body.json();
  if (response.statusCode >= 400) throw new CityError(answer.error, response.statusCode);
  return answer;
}

/** Asks the bank to authorise an order; gives the authorisation. */
export async function authorise(order, options) {
  return (await post(`${settings.bank}/authorise`, order, { order: order.id, cents: order.cents }, options)).authorisation;
}

/** Writes an authorised charge to the ledger. Each call is logged when it is sent: a dead ledger cannot count. */
export async function record(charge, options) {
  log({ event: 'ledger.called', order: charge.id, correlation_id: options?.headers?.['x-correlation-id'] ?? null });
  const { id: order, cents, authorisation } = charge;
  await post(`${settings.ledger}/charges`, charge, { order, cents, authorisation }, options);
}
