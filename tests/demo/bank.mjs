// The bank: authorises charges. In its sick phase Seawall's chaos makes it slow and fails a share of its tries, bare run or not.
//
// Whether a try fails is drawn from (order, the bank's own count of tries for it): both runs meet the same faults.

import { randomUUID } from 'node:crypto';
import { chaos, policy } from 'seawall';

import { Book, isCharge, work } from './book.mjs';
import { hear, serve, settings } from './child.mjs';

class BankDown extends Error {}

const book = new Book(settings.book);
let sick = false;

const byTry = { key: (call) => `${call.order}#${call.attempt}` };
const slow = policy('bank-latency', byTry, chaos({ latency: settings.latency, rate: 1, seed: settings.seed, expiresIn: '1d' }));
const failing = policy('bank-faults', byTry, chaos({ fault: BankDown, rate: settings.faults, seed: settings.seed, expiresIn: '1d' }));

async function authorise(call) {
  await work();
  const entry = book.enter(call, { authorisation: randomUUID() });
  await work();
  return entry;
}

const authoriseWhenSick = slow(failing(authorise));

serve(async (request, body, inFlight) => {
  if (!isCharge(body)) return { status: 400, body: { error: 'an order and whole cents are needed' } };
  const call = book.begin(request, body, inFlight);
  try {
    const entry = await (sick ? authoriseWhenSick(call) : authorise(call));
    if (entry === null) return { status: 409, body: { error: 'this idempotency key stands for another charge' } };
    return { status: 200, body: { authorisation: entry.authorisation } };
  } catch (error) {
    if (!(error instanceof BankDown)) throw error;
    book.refuse(call);
    return { status: 500, body: { error: 'the bank has failed' } };
  }
});

hear((message) => {
  sick = message.sick;
});
