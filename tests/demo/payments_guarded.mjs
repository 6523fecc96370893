// Payments guarded by Seawall, with the policies `bank` and `ledger` of the file that it shares with dispatch.
//
// A bank failure is answered 503: nothing has happened yet, dispatch may try again. A ledger failure comes after the
// authorisation: it becomes a letter here and is answered 202, so that nobody repeats what the letter will finish.

import * as seawall from 'seawall';

import { authorise, record } from './city.mjs';
import { settings } from './child.mjs';
import { append, log } from './journal.mjs';

seawall.onEvent((event) => {
  if (event.severity !== 'debug') append(seawall.eventLine(event));
});
seawall.load(settings.policies);

const options = () => ({ headers: seawall.headers(), signal: seawall.current().signal });
const atBank = seawall.policy('bank')(async (order) => authorise(order, options()));
const atLedger = seawall.policy('ledger')(async (charge) => record(charge, options()));

export function charge(order, headers) {
  return seawall.receive(headers, () => chargeOnce(order), { trust: true });
}

async function chargeOnce(order) {
  const facts = { correlation_id: seawall.correlationId() };
  let authorisation;
  try {
    authorisation = await atBank(order);
  } catch (error) {
    return failed('bank', error, facts);
  }
  try {
    await atLedger({ ...order, authorisation });
  } catch (error) {
    const letter = seawall.failure(error)?.letterId;
    if (!letter) return failed('ledger', error, facts);
    return { status: 202, body: { letter }, facts: { ...facts, letter } };
  }
  return { status: 200, body: { charged: true }, facts };
}

function failed(what, error, facts) {
  const body = { error: `${what}: ${error.message}` };
  return { status: 503, body, headers: error.httpHeaders ?? {}, facts: { ...facts, error_type: error.code ?? error.name } };
}

/** Charges what dispatch could not, from the letters that Python wrote: at the bank and in the ledger, with the same key. */
export async function redrive() {
  const letters = new seawall.DeadLetterQueue('orders');
  const report = await letters.redrive(async (letter) => {
    const [order] = letter.args;
    const authorisation = await authorise(order, options());
    await record({ ...order, authorisation }, options());
    log({ event: 'letter.redriven', order: order.id, letter_id: letter.id, correlation_id: letter.correlationId });
  }, settings.redrive);
  return { ok: report.ok, failed: report.failed, skipped: report.skipped, remaining: report.remaining };
}
