/**
 * Orders that are charged in the background, by BullMQ's workers.
 *
 *     redis-server &
 *     node dist/worker.js &
 *     node dist/worker.js add a-7 450
 *
 * An order is charged or on record: a worker that dies gives its job back, and a job that failed for good leaves a letter, which `node dist/worker.js redrive`
 * sends to the workers again when the bank is back. The idempotency key is the job's id, the same each time.
 */

import { type Job, Queue, Worker } from 'bullmq';
import { circuitBreaker, correlate, current, type DeadLetter, deadLetter, DeadLetterQueue, headers, policy, retry, timeout } from 'seawall';
import { processor, withCorrelation } from 'seawall/bullmq';

interface Order {
  order: string;
  cents: number;
}

const bank = process.env['BANK_URL'] ?? 'http://localhost:8001';
const connection = { url: process.env['REDIS_URL'] ?? 'redis://localhost:6379' };

const payments = policy(
  'orders',
  deadLetter('orders', { capture: (job: Job<Order>) => job.data }),
  retry({ maxAttempts: 3, baseDelay: '50ms' }),
  circuitBreaker(),
  timeout({ attempt: '5s', total: '20s' }),
);

const charge = processor(payments, async ({ data: { order, cents } }: Job<Order>): Promise<string> => {
  const sent = { method: 'POST', headers: headers(), body: JSON.stringify({ cents }), signal: current().signal };
  const answer = await fetch(`${bank}/charges/${order}`, sent);
  if (!answer.ok) throw Object.assign(new Error(`the bank answered ${answer.status}`), { response: answer });
  return answer.text();
});

const [command, order, cents] = process.argv.slice(2);
if (command === undefined) {
  const worker = new Worker<Order, string>('orders', charge, { connection, concurrency: 5 });
  worker.on('failed', (job, error) => console.error(`${job?.id} failed: ${error.message}`));
  process.once('SIGTERM', () => void worker.close());
} else {
  const queue = new Queue<Order>('orders', { connection });
  if (command === 'add' && order !== undefined) {
    await correlate(`order-${order}`, () => queue.add('charge', withCorrelation({ order, cents: Number(cents) }), { jobId: `charge-${order}` }));
  } else if (command === 'redrive') {
    const again = async ({ idempotencyKey }: DeadLetter<Order>): Promise<void> => {
      const job = await queue.getJob(idempotencyKey ?? '');
      if (job === undefined) throw new Error(`there is no job ${idempotencyKey}`);
      await job.retry();
    };
    const { ok } = await new DeadLetterQueue<Order>('orders').redrive(again, { limit: null });
    console.log(`${ok} sent again`);
  }
  await queue.close();
}
