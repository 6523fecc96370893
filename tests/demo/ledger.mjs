// The ledger: what stands in its book is charged. It knows nothing of Seawall, and is killed in the middle of the run.

import { Book, isCharge, work } from './book.mjs';
import { hear, serve, settings } from './child.mjs';

const book = new Book(settings.book);

serve(async (request, body, inFlight) => {
  if (!isCharge(body) || typeof body.authorisation !== 'string') {
    return { status: 400, body: { error: 'an order, whole cents and an authorisation are needed' } };
  }
  const call = book.begin(request, body, inFlight);
  await work();
  const entry = book.enter(call, { authorisation: body.authorisation });
  await work();
  if (entry === null) return { status: 409, body: { error: 'this idempotency key stands for another charge' } };
  return { status: 201, body: { charged: entry.cents } };
}, settings.port);

hear(() => {});
