// Accepted by tsc --strict, but for the lines that are marked: each of those must be an error.
import * as seawall from 'seawall';
import { processor } from 'seawall/bullmq';
import { middleware } from 'seawall/express';
import { plugin } from 'seawall/fastify';
import { guardFetch } from 'seawall/fetch';
import { interceptor } from 'seawall/undici';
import { Agent } from 'undici';
import { clock, disabled, reset, type TestClock } from 'seawall/testing';

interface Order {
  id: number;
  tenant: string;
}

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function same<A, B>(_: Same<A, B>): void {}

async function charge(order: Order, cents: number): Promise<string> {
  return `${order.id} ${cents}`;
}

const payments = seawall.policy(
  'payments',
  { key: (order: Order) => order.tenant },
  seawall.retry({ maxAttempts: 4, baseDelay: '100ms', on: [Error, 'http:5xx', (error: unknown) => error !== null] }),
  seawall.circuitBreaker({ failureRatio: 0.5, breakDuration: 5_000 }),
  seawall.bulkhead({ maxConcurrent: 10 }),
  seawall.rateLimit({ rate: '100/s' }),
  seawall.timeout({ attempt: '2s', total: '10s' }),
  seawall.deadLetter('orders', { store: 'memory:', capture: (order: Order) => order.id }),
  seawall.chaos({ fault: [[Error, 3], 'outage'], rate: '30%', expiresIn: '1h' }),
);

// The signature stays: parameters, overloads, promise.
const guarded = payments(charge);
same<typeof guarded, typeof charge>(true);
void guarded({ id: 1, tenant: 'a' }, 2);
void guarded({ id: 1, tenant: 'a' }, '2'); // error
void guarded(1); // error

function lookup(id: number): Promise<number>;
function lookup(id: string): Promise<string>;
function lookup(id: number | string): Promise<number | string> {
  return Promise.resolve(id);
}
const found: Promise<number> = payments(lookup)(1);
const misread: Promise<number> = payments(lookup)('a'); // error

// A plain function gives a promise.
const doubled = seawall.retry()((n: number) => n * 2);
same<ReturnType<typeof doubled>, Promise<number>>(true);
const wrong: number = doubled(1); // error

// Generic functions stay generic, whatever they return.
const first = payments(async <T,>(items: readonly T[]): Promise<T | undefined> => items[0]);
same<Awaited<ReturnType<typeof first<string>>>, string | undefined>(true);
const last = seawall.retry()(<T,>(items: readonly T[]): T | undefined => items.at(-1));
const lastOne: Promise<string | undefined> = last(['a']);
const notOne: Promise<number | undefined> = last(['a']); // error
// `this` is asked for still.
const bound = payments(async function (this: Order, cents: number): Promise<number> {
  return this.id + cents;
});
void bound.call({ id: 1, tenant: 'a' }, 2);
void bound(2); // error
void seawall.retry()(function (this: Order) { return this.id; })(); // error

// A fallback widens what comes back.
const maybe = seawall.policy(seawall.fallback(null), seawall.retry())(charge);
same<Awaited<ReturnType<typeof maybe>>, string | null>(true);
const certain: Promise<string> = maybe({ id: 1, tenant: 'a' }, 2); // error
const chain = seawall.fallback(() => 7, false)(charge);
same<Awaited<ReturnType<typeof chain>>, string | number | boolean>(true);

// A fallback in options, with or without a value of its own.
const kept = seawall.policy(seawall.fallback({ staleIfError: true, maxAge: '1m', staleKey: (order: Order) => order.id }))(charge);
same<typeof kept, typeof charge>(true);
const either = seawall.fallback({ value: () => 7, staleIfError: true, maxEntries: 10, maxBytes: 1_000 })(charge);
same<Awaited<ReturnType<typeof either>>, string | number>(true);

// A stream keeps the parameters and the type of its items; a fallback answers with items.
async function* tokens(prompt: string, most?: number): AsyncGenerator<string, void, undefined> {
  yield prompt.slice(0, most);
}
const streamed = payments.stream(tokens);
same<Parameters<typeof streamed>, [prompt: string, most?: number]>(true);
for await (const token of streamed('a', 1)) same<typeof token, string>(true);
for await (const item of seawall.fallback([1, 2]).stream(async () => tokens('a'))()) same<typeof item, string | number>(true);
void streamed(1); // error
payments.stream(charge); // error

// Hedges, chaos and modes.
const hedged = seawall.policy({ mode: () => (Math.random() > 0.5 ? 'shadow' : 'enforce') }, seawall.hedge({ delay: 'p95', maxHedges: 2 }), seawall.hedge())(charge);
same<typeof hedged, typeof charge>(true);
seawall.hedge({ delay: 250 });
seawall.hedge({ maxHedge: 1 }); // error
seawall.timeout({ idle: '5s' });
seawall.chaos({ outcome: [[null, 3], [() => 7, 1]], behavior: async () => 7, rate: 1, expiresIn: '1h' });
seawall.chaos({ behavior: 'slow', rate: 1, expiresIn: '1h' }); // error
seawall.chaos({ fault: 'x', window: '2m every 10m', maxShare: '20%', abortWhen: { breaker: 'open', policy: 'bank', failureRatio: 0.5 }, rate: 1, expiresIn: '1h' });
seawall.chaos({ fault: 'x', abortWhen: { breaker: 'closed' }, rate: 1, expiresIn: '1h' }); // error
seawall.policy({ mode: 'off' }, seawall.retry()); // error

// `run` hands over the context.
const ran: Promise<number> = payments.run(({ attempt, signal }) => (signal.aborted ? 0 : attempt), { key: 'a', idempotencyKey: 'k' });
void payments.run(({ attemptt }) => attemptt); // error
void payments.using({ keyy: 'a' }); // error
const state: 'closed' | 'open' | 'half_open' | 'isolated' | 'disabled' = payments.using({ key: 'a' }).breaker.state;
payments.breaker.isolate({ author: 'me' }); // error

// Options are checked by name, type and word.
seawall.retry({ maxAttempst: 3 }); // error
seawall.retry({ maxAttempts: '3' }); // error
seawall.retry({ jitter: 'some' }); // error
seawall.timeout({ attempt: new Date() }); // error
seawall.rateLimit(); // error
seawall.policy('x', 7); // error

class Till {
  @payments
  async charge(order: Order): Promise<number> {
    return order.id;
  }

  async find(id: number): Promise<number>;
  async find(id: string): Promise<string>;
  @payments
  async find(id: number | string): Promise<number | string> {
    return id;
  }

  @payments
  static async open<T>(till: T): Promise<T> {
    return till;
  }

  @payments
  async #count(): Promise<number> {
    return 1;
  }

  async total(): Promise<number> {
    return (await this.#count()) + (await this.find(1));
  }

  @payments // error: the class promises a number and not a promise
  now(): number {
    return 1;
  }

  @seawall.fallback(null) // error: neither may it give null
  async name(): Promise<string> {
    return 'till';
  }

  @seawall.retry // error
  async refund(order: Order): Promise<number> {
    return order.id;
  }
}

// Errors narrow, letters are typed.
try {
  await new Till().charge({ id: 1, tenant: 'a' });
} catch (error) {
  if (error instanceof seawall.RejectedError) {
    const after: number | undefined = error.retryAfterMs;
    const code: seawall.ErrorCode = error.code;
    void [after, code, error.nothing]; // error
  }
  const known = seawall.failure(error);
  void known?.attempts[0]?.outcome;
}

const queue = new seawall.DeadLetterQueue<Order>('orders', { store: 'memory:' });
void queue.put({ id: 1, tenant: 'a' }, { error: new Error('boom') });
void queue.put({ id: 'a' }); // error
void queue.redrive((letter) => letter.payload.tenant, { rate: '10/s', limit: null });
void queue.redrive((letter) => letter.payload.colour); // error

const stop: () => void = seawall.onEvent((event) => event.correlation_id);
const time: TestClock = clock({ seed: 7 });
await time.advance('1s');
reset();
disabled().restore();

export { certain, found, lastOne, misread, notOne, ran, state, stop, wrong };

// The adapters keep fetch's type, and take what their frameworks pass by its shape.
const guardedFetch: typeof fetch = guardFetch(payments);
void guardedFetch('https://example.org/', { signal: AbortSignal.timeout(5) });
guardFetch('payments'); // error: a policy, not its name
const agent = new Agent().compose(interceptor(payments), interceptor(seawall.fallback({ value: { statusCode: 200, body: 'as yesterday' } })));
void agent.request({ origin: 'https://example.org', path: '/', method: 'GET' });
interceptor('payments'); // error: a policy, not its name
interceptor(seawall.fallback('as yesterday')); // error: an answer has a status
middleware({ trust: true });
middleware({ trust: 'yes' }); // error: trust is a boolean
const workOn = processor(seawall.retry(), async (job: { id: string; data: { order: number } }, token: string) => job.data.order + token.length);
same<ReturnType<typeof workOn>, Promise<number>>(true);
void workOn({ id: '1', data: { order: 1 } }, 'token');
void workOn({ id: '1', data: { order: 'x' } }, 'token'); // error: the job's data
plugin({ addHook: () => undefined, setErrorHandler: () => undefined }, { trust: false }, () => undefined);
