// Payments as people write it: one call after the other, and whatever fails is the caller's to repeat.

import { authorise, record } from './city.mjs';

export async function charge(order) {
  try {
    const authorisation = await authorise(order);
    await record({ ...order, authorisation });
    return { status: 200, body: { charged: true } };
  } catch (error) {
    return { status: 503, body: { error: error.message }, facts: { error_type: error.code ?? error.name } };
  }
}

export async function redrive() {
  return null;
}
