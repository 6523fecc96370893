/** Redrive: letters handed to a function again. The native side owns order, spacing, leases and the report; this side delivers. */

import * as clock from './clock.js';
import { FullScope, scope, within } from './context.js';
import { encodeError } from './encode.js';
import { ConfigError } from './errors.js';
import { emit } from './events.js';
import { type DeadLetter, type Filter, toFilter, toLetter } from './letter.js';
import { type Handle, native } from './native.js';
import { track } from './queues.js';

export interface RedriveOptions extends Filter {
  /** At most so many letters; `null` for all. Default: 100. */
  limit?: number | null;
  /** Such as `"10/s"`. */
  rate?: string;
  /** Deliveries at once. Default: 1. */
  concurrency?: number;
  /** Ends the redrive after so many failures; `null` for never. Default: 10. */
  stopAfterFailures?: number | null;
  /** A letter that failed so many redrives is parked; `null` for never. Default: 3. */
  maxRedrives?: number | null;
  /** Only counts. */
  dryRun?: boolean;
}

export interface RedriveReport {
  readonly ok: number;
  readonly failed: number;
  /** Letters that cannot be redriven, and deliveries whose lease was lost. */
  readonly skipped: number;
  /** Letters that were not tried. */
  readonly remaining: number;
  /** Why it ended while letters remained. */
  readonly stopped: 'failures' | 'limit' | null;
  /** In a dry run. */
  readonly groups?: readonly unknown[];
}

interface Step {
  deliver?: object;
  token?: number;
  wait_ms?: number;
  pending?: number;
  done?: RedriveReport;
}

/** A lease lasts 60 s; it is renewed well before. */
const RENEW_MS = 20_000;

/** Runs a redrive to its end. */
export async function redrive(queue: string, handle: Handle, handler: (letter: DeadLetter) => unknown, options: RedriveOptions): Promise<RedriveReport> {
  const { concurrency = 1 } = options;
  if (!Number.isInteger(concurrency) || concurrency < 1) throw new ConfigError('expected a whole number, at least 1', 'redrive.concurrency');
  const plan = await track(native.redriveNew(handle, toOptions(options), clock.now()));
  try {
    const workers = await Promise.allSettled(Array.from({ length: concurrency }, () => deliverAll(queue, plan, handler)));
    for (const worker of workers) if (worker.status === 'rejected') throw worker.reason;
    return (workers[0] as PromiseFulfilledResult<RedriveReport>).value;
  } finally {
    native.redriveDrop(plan);
  }
}

function toOptions(options: RedriveOptions): string {
  const { limit, rate, concurrency: _, stopAfterFailures, maxRedrives, dryRun, ...filter } = options;
  return JSON.stringify({
    limit,
    rate,
    stop_after_failures: stopAfterFailures,
    max_redrives: maxRedrives,
    dry_run: dryRun,
    filter: JSON.parse(toFilter(filter)) as unknown,
  });
}

async function deliverAll(queue: string, plan: Handle, handler: (letter: DeadLetter) => unknown): Promise<RedriveReport> {
  for (;;) {
    const step = JSON.parse(await track(native.redriveNext(plan, clock.now()))) as Step;
    if (step.done !== undefined) return step.done;
    // What is pending ends when others say so; that is not a wait of ours, so it stays out of virtual time.
    if (step.pending !== undefined) await clock.turn();
    else if (step.wait_ms !== undefined) await new Promise<void>((resolve) => void clock.sleep(step.wait_ms!, resolve));
    else await deliver(queue, plan, handler, toLetter(step.deliver!), step.token!);
  }
}

async function deliver(queue: string, plan: Handle, handler: (letter: DeadLetter) => unknown, letter: DeadLetter, token: number): Promise<void> {
  const inner = new FullScope(
    {
      correlationId: letter.correlationId ?? native.mintId(),
      idempotencyKey: letter.idempotencyKey ?? undefined,
      letter: { id: letter.id, redrives: letter.redrives, queue },
    },
    scope(),
  );
  const stop = renewing(plan, token);
  let error: string | null = null;
  let ok = true;
  try {
    await within(inner, async () => handler(letter));
  } catch (failed) {
    ok = false;
    error = JSON.stringify(encodeError(failed));
  } finally {
    stop();
  }
  const kept = (await track(native.redriveDelivered(plan, token, ok, error, clock.now()))) === 'true';
  const outcome = kept ? (ok ? 'ok' : 'failed') : 'lost';
  emit({
    event: 'dlq.redriven',
    severity: 'info',
    policy: letter.policy ?? '',
    correlation_id: inner.correlationId!,
    queue,
    letter_id: letter.id,
    outcome,
  });
}

/** Keeps the lease while the handler works. A renewal that fails is noticed when the delivery is answered. */
function renewing(plan: Handle, token: number): () => void {
  let timer = clock.race(RENEW_MS, renew);
  function renew(): void {
    track(native.redriveRenew(plan, token)).catch(() => undefined);
    timer = clock.race(RENEW_MS, renew);
  }
  return () => timer.cancel();
}
