/**
 * A service that stands while the bank behind it does not, with Fastify.
 *
 *     BANK_URL=http://localhost:8001 node dist/service.js
 *     curl -X POST localhost:8000/orders/a-7 -H 'x-correlation-id: me'
 *
 * An order that cannot be charged now gets no receipt, and none is lost: `seawall dlq ls orders` shows what is still to be charged, with the
 * correlation id of the request.
 */

import { fastify } from 'fastify';
import { bulkhead, circuitBreaker, correlationId, current, deadLetter, fallback, headers, policy, retry, timeout } from 'seawall';
import { plugin as seawall } from 'seawall/fastify';

const bank = process.env['BANK_URL'] ?? 'http://localhost:8001';

const payments = policy(
  'bank',
  fallback(null),
  deadLetter('orders', { idempotencyKey: (order: string) => order }),
  retry({ maxAttempts: 3, baseDelay: '50ms' }),
  bulkhead({ maxConcurrent: 20 }),
  circuitBreaker(),
  timeout({ attempt: '2s', total: '5s' }),
);

const charge = payments(async (order: string): Promise<string> => {
  const answer = await fetch(`${bank}/charges/${order}`, { method: 'POST', headers: headers(), signal: current().signal });
  if (!answer.ok) throw Object.assign(new Error(`the bank answered ${answer.status}`), { response: answer });
  return ((await answer.json()) as { receipt: string }).receipt;
});

// Every line of the log has the correlation id of its request.
const app = fastify({ logger: { mixin: () => ({ correlationId: correlationId() }) } });
await app.register(seawall);

app.post<{ Params: { order: string } }>('/orders/:order', async (request) => {
  const receipt = await charge(request.params.order);
  request.log.info(receipt === null ? 'to be charged later' : 'charged');
  return { order: request.params.order, receipt };
});

app.get('/health', () => ({ bank: payments.breaker.state }));

process.once('SIGTERM', () => void app.close());
await app.listen({ port: Number(process.env['PORT'] ?? 8000), host: '127.0.0.1' });
