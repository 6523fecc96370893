// Payments: charges an order by authorising it at the bank and writing it to the ledger. Only the guarded mode loads Seawall.

import { hear, serve, settings, tell } from './child.mjs';
import { flushed, log } from './journal.mjs';

const { charge, redrive } = await import(settings.mode === 'bare' ? './payments_bare.mjs' : './payments_guarded.mjs');

serve(async (request, order) => {
  const reply = await charge(order, request.headers);
  log({ event: 'order.answered', order: order.id, status: reply.status, ...reply.facts });
  return reply;
});

hear(async (message) => {
  if (message.redrive) tell({ redriven: await redrive() });
  if (message.flush) {
    await flushed();
    tell({ flushed: true });
  }
});
