// The public surface, name by name: each accepted in its ways, and refused in others. Marked lines must be errors, all else must not.
import * as seawall from 'seawall';
import {
  bulkhead,
  chaos,
  circuitBreaker,
  deadLetter,
  DeadLetterQueue,
  fallback,
  hedge,
  type Policy,
  policy,
  rateLimit,
  retry,
  timeout,
} from 'seawall';
import { clock, disabled, reset } from 'seawall/testing';

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function same<A, B>(_: Same<A, B>): void {}

interface Order {
  id: number;
  tenant: string;
}
declare const order: Order;
class Broken extends Error {}

// Each strategy, with every option.
const common = { name: 'shop', key: (one: Order) => one.tenant, scope: 'process' } as const;
const judged = { on: [Broken, 'ECONNRESET', 'http:5xx', (error: Error) => error.message === ''], ignore: new Set(['http:404']) };
retry({ ...common, ...judged, maxAttempts: 3, backoff: 'linear', baseDelay: '1m30s', factor: 2, maxDelay: 5_000, jitter: 'decorrelated' });
retry({ onResult: (result: { status: number }) => result.status === 503, retryAfter: (error: { wait?: number }) => error.wait, retryAfterMax: '1m', waitForBreaker: true });
retry({ retryBudget: { ratio: 0.1, perSecond: 2 } });
retry({ retryBudget: null });
retry({ retryBudget: false });
retry({ backoff: 'quadratic' }); // error
retry({ retryBudget: { rate: 1 } }); // error
retry({ retryBudget: true }); // error
retry({ on: 404 }); // error
retry({ onResult: 'http:5xx' }); // error
retry({ retryAfter: () => new Date() }); // error
retry({ scope: 'cluster' }); // error: until it exists
retry({ name: 7 }); // error
retry({ max_attempts: 3 }); // error
circuitBreaker({ ...common, ...judged, failureRatio: 0.5, minimumThroughput: 20, samplingDuration: '30s', consecutiveFailures: 5 });
circuitBreaker({ windowSize: 100, slowCallDuration: '2s', slowCallRatio: 0.5, breakDuration: '5s', maxBreakDuration: '1m', breakJitter: 0.2, resetAfter: '5m' });
circuitBreaker({ halfOpenMaxCalls: 3, halfOpenSuccesses: 2, halfOpenLease: '10s', throttle: true, ramp: '10s', onResult: () => false });
circuitBreaker({ failureRatio: true }); // error
circuitBreaker({ breakDuration: { seconds: 5 } }); // error
bulkhead({ ...common, maxConcurrent: 64, maxQueue: 10, maxWait: '1s' });
bulkhead({ adaptive: true, minLimit: 1, maxLimit: 100 });
bulkhead({ maxQueue: '10' }); // error
bulkhead({ on: 'http:5xx' }); // error: it judges nothing
rateLimit({ ...common, rate: '100/s', burst: 10, maxWait: '1s' });
rateLimit({ burst: 10 }); // error: the rate
rateLimit({ rate: 100 }); // error
timeout({ ...common, attempt: '2s', total: 10_000, idle: '5s' });
timeout(); // error
timeout({ attempt: '2s', thread: true }); // error: of Python
hedge({ ...common, delay: 'p95', maxHedges: 2 });
hedge({ delay: '100ms', maxHedges: '1' }); // error
fallback('cached', () => 7, { a: 1 });
fallback({ value: { a: 1 }, on: Broken, staleIfError: true, maxAge: '1m', staleKey: (one: Order) => one.id, maxEntries: 10, maxBytes: 1_000 });
fallback(); // error
deadLetter('orders', { ...common, ...judged, store: 'memory:', capture: (one: Order) => one.id, idempotencyKey: (one: Order) => String(one.id) });
deadLetter('orders', { redact: (letter) => ({ ...letter, payload: null }), writeTimeout: '250ms' });
deadLetter({ store: 'memory:' }); // error: the queue comes first
deadLetter('orders', { writeTimeout: false }); // error
deadLetter('orders', { idempotencyKey: 'k' }); // error: a function of the arguments
chaos({ ...common, fault: Broken, latency: '1s', rate: 0.3, seed: 7, only: (one: Order) => one.tenant === 'a', expiresIn: '1h' });
chaos({ fault: () => new Broken(), rate: 1, until: new Date() });
chaos({ fault: Broken, expiresIn: '1h' }); // error: the rate
chaos({ rate: 1, fault: 7, expiresIn: '1h' }); // error
chaos({ rate: 1, fault: Broken, only: 'acme', expiresIn: '1h' }); // error

// Policies: the forms of the definition.
policy('shop');
policy('shop', retry());
policy('shop', { mode: 'shadow', on: Broken, ignore: 'http:404', key: (one: Order) => one.tenant }, retry());
policy({ mode: () => 'disabled' }, retry());
policy(retry(), timeout({ total: '1s' }));
policy('shop', { name: 'other' }, retry()); // error
policy('shop', retry); // error: the strategy is to be called
policy(retry(), 'shop'); // error: the name comes first
policy('shop', { key: 'tenant' }, retry()); // error

// What a policy may return: covariant.
const strict: Policy = policy(retry(), circuitBreaker());
const orNull: Policy<null> = policy(fallback(null), retry());
const wider: Policy<string | null> = orNull;
const narrower: Policy<string> = orNull; // error
const counted = orNull(async (n: number) => n);
same<Awaited<ReturnType<typeof counted>>, number | null>(true);

// Wrapping: `this`, generics, overloads, rest parameters, plain and thenable results.
const method = strict(function (this: { open: boolean }, cents: number) {
  return this.open ? cents : 0;
});
void method.call({ open: true }, 1);
void method.call({ open: 1 }, 1); // error
void method(1); // error: without its receiver
const generic = strict(async <T,>(value: T): Promise<T[]> => [value]);
const texts: Promise<string[]> = generic('a');
const rest = strict((...parts: string[]) => parts.length);
same<Parameters<typeof rest>, string[]>(true);
const thenable = strict((n: number): PromiseLike<number> => Promise.resolve(n));
same<ReturnType<typeof thenable>, Promise<number>>(true);
const either = strict((n: number): number | Promise<string> => n);
same<ReturnType<typeof either>, Promise<number | string>>(true);
strict('charge'); // error
strict(method.call({ open: true }, 1)); // error: a promise, for it was called

// `run`, `using`, and what a policy tells.
same<ReturnType<typeof strict.run<number>>, Promise<number>>(true);
void strict.run((now) => {
  same<typeof now.attempt, number>(true);
  same<typeof now.remaining, number | undefined>(true);
  same<typeof now.key, string | undefined>(true);
  same<typeof now.correlationId, string | undefined>(true);
  same<typeof now.idempotencyKey, string | undefined>(true);
  same<typeof now.error, unknown>(true);
  same<typeof now.signal, AbortSignal>(true);
  now.attempt = 2; // error: to be read
});
void strict.run(async () => 1, { signal: AbortSignal.timeout(5), key: 7, idempotencyKey: 'k' });
void strict.run(async () => 1, { signal: 'now' }); // error
void strict.run((a: number, b: number) => a + b); // error: it is given one thing
same<ReturnType<typeof orNull.using>, Policy<null>>(true);
const { breaker } = strict.using({ key: 'a' });
breaker.isolate({ reason: 'maintenance', author: 'me', expiresIn: '1h' });
breaker.disable({ reason: 'incident' });
breaker.disable({}); // error: why
breaker.reset();
breaker.state = 'open'; // error
const { total, failures, slow, consecutiveFailures, rejected } = breaker.counts;
same<typeof total & typeof failures & typeof slow & typeof consecutiveFailures & typeof rejected, number>(true);
strict.setMode('shadow', { reason: 'trial', expiresIn: 60_000 });
strict.setMode('shadow'); // error: why
strict.setMode('off', { reason: 'trial' }); // error
const shot = strict.snapshot();
same<typeof shot.mode, 'enforce' | 'shadow' | 'disabled'>(true);
same<typeof shot.limits.inFlight, number | null>(true);
shot.limits.burst = 7; // error
const found: Policy<any> | undefined = seawall.policyOf(method);
seawall.policyOf('method'); // error

// Streams: async iterables and promises of them; an iterable that is not async is none.
const numbers = strict.stream(async () => [1, 2].values()); // error
const items = wider.stream(async function* (most: number) {
  yield most;
});
void (async () => {
  for await (const item of items(3)) same<typeof item, number>(true);
})();
void items('3'); // error

// Decorators: methods of their kind, and nothing else.
class Till {
  @strict
  async charge(cents: number): Promise<number> {
    return cents;
  }

  @orNull // error: the method does not say that it may return null
  async refund(cents: number): Promise<number> {
    return cents;
  }

  @strict // error: a field
  field = 7;

  @retry() @circuitBreaker()
  async twice(cents: number): Promise<number> {
    return cents;
  }

  @strict // error: a plain result becomes a promise, which the class would not say
  plain(cents: number): number {
    return cents;
  }
}
void new Till().charge('7'); // error

// What runs around calls.
same<ReturnType<typeof seawall.correlationId>, string | undefined>(true);
same<ReturnType<typeof seawall.correlate<Promise<number>>>, Promise<number>>(true);
seawall.correlate(7, () => 1); // error
const left: number | undefined = seawall.deadline();
const surely: number = seawall.deadline(250);
const guess: number = seawall.deadline(); // error
same<ReturnType<typeof seawall.headers>, Record<string, string>>(true);
const received: number = seawall.receive(new Headers(), () => 7, { trust: true });
seawall.receive({ 'x-request-id': ['a'] }, () => 7);
seawall.receive(new Headers(), () => 7, { trust: 'yes' }); // error
seawall.receive(7, () => 7); // error
const stop: () => void = seawall.onEvent(({ event, policy: name }) => void [event, name]);
seawall.onEvent('event'); // error
same<ReturnType<typeof seawall.transient>, boolean>(true);
same<ReturnType<typeof seawall.metrics>, string>(true);
same<ReturnType<typeof seawall.snapshot>, Record<string, Record<string, number>>>(true);
same<ReturnType<typeof seawall.flush>, Promise<boolean>>(true);
void seawall.flush({ timeout: '5s' });
void seawall.flush('5s'); // error
seawall.load();
seawall.load('seawall.toml', { env: 'staging', watch: true });
seawall.load('seawall.toml', { watch: 'yes' }); // error

// Errors: one tree, codes known one by one.
declare const error: unknown;
if (error instanceof seawall.CircuitOpenError) {
  const status: number | undefined = error.httpStatus;
  same<typeof error.httpHeaders, Record<string, string>>(true);
  same<typeof error.retryAfterMs, number | undefined>(true);
  const parent: seawall.RejectedError = error;
  if (error.code === 'circuit.opened') void parent; // error: there is no such code
  error.code = 'circuit.open'; // error: to be read
  void status;
}
if (error instanceof seawall.ConfigError) same<typeof error.path, string>(true);
for (const kind of [seawall.BulkheadFullError, seawall.RateLimitedError, seawall.TimeoutExceededError, seawall.InjectedFaultError, seawall.StoreError]) {
  if (error instanceof kind) same<typeof error.code, seawall.ErrorCode>(true);
}
const rejection: seawall.RejectedError = new seawall.TimeoutExceededError(''); // error: a limit is no rejection
const known = seawall.failure(error);
same<typeof known, seawall.Failure | undefined>(true);
same<NonNullable<typeof known>['reason'], seawall.Reason | undefined>(true);
known.attempts; // error: it may be unknown
known?.delays.push(7); // error: to be read

// Letters.
const queue = new DeadLetterQueue<Order>('orders');
void (async () => {
  const id: string = await queue.put(order, { error, idempotencyKey: 'k', headers: { a: ['b'] }, key: 'a' });
  const letter = await queue.get(id);
  same<typeof letter, seawall.DeadLetter<Order> | undefined>(true);
  for (const { payload } of await queue.peek({ limit: 5, cursor: id, state: 'parked', olderThan: '1h', newerThan: new Date() })) same<typeof payload, Order>(true);
  same<Awaited<ReturnType<typeof queue.groups>>, seawall.Group[]>(true);
  same<Awaited<ReturnType<typeof queue.stats>>, seawall.Stats>(true);
  const parked: number = await queue.park({ group: 'g' });
  const purged: number = await queue.purge({ all: true, dryRun: true });
  const report: seawall.RedriveReport = await queue.redrive(async ({ payload }) => payload.id, { concurrency: 4, rate: '10/s', limit: null, stopAfterFailures: 3, dryRun: true, policy: 'shop' });
  void [parked, purged, report];
})();
void queue.peek({ state: 'dead' }); // error
void queue.peek(50); // error
void queue.purge({ everything: true }); // error
void queue.redrive({ limit: 5 }); // error: the handler comes first
new DeadLetterQueue(); // error

// Tests.
const time = clock({ autoAdvance: false, seed: 7 });
same<typeof time.sleeps, readonly number[]>(true);
same<ReturnType<typeof time.advance>, Promise<void>>(true);
time.now = 7; // error
clock({ start: 7 }); // error
{
  using _ = disabled();
  using __ = clock();
}
reset('all'); // error

export { either, found, guess, left, narrower, numbers, received, rejection, stop, surely, texts, wider };
