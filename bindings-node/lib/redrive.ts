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
  /** Whether it goes on record, so that others see it in `jobs` and can pause it. Default: if there is no limit. */
  job?: boolean;
  /** The id of a job to go on with, by the options that it was begun with. */
  resume?: string;
}

export type Stopped = 'failures' | 'limit' | 'breaker' | 'paused' | 'cancelled' | 'taken_over';

/** A redrive on record. */
export interface RedriveJob {
  readonly id: string;
  readonly queue: string;
  /** `interrupted`: its runner is gone. */
  readonly state: 'running' | 'interrupted' | 'paused' | 'stopped' | 'cancelled' | 'done';
  /** Letters at its start. */
  readonly total: number;
  readonly ok: number;
  readonly failed: number;
  readonly skipped: number;
  readonly remaining: number;
  /** Letters that came since its start. */
  readonly arrived: number;
  readonly started: string;
  readonly updated: string;
  readonly stopped: Stopped | null;
  readonly pid: number;
  readonly options: Readonly<Record<string, unknown>>;
}

export interface RedriveReport {
  readonly ok: number;
  readonly failed: number;
  /** Letters that cannot be redriven, and deliveries whose lease was lost. */
  readonly skipped: number;
  /** Letters that were not tried. */
  readonly remaining: number;
  /** Why it ended while letters remained; `breaker`: the handler's circuit is open; `taken_over`: by another runner. */
  readonly stopped: Stopped | null;
  /** The job, if it went on record. */
  readonly job?: string;
  /** Letters that came since the job's start. */
  readonly arrived?: number;
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
  } catch (error) {
    // Its lease ends anyway if this fails.
    await track(native.redriveLeave(plan)).catch(() => undefined);
    throw error;
  } finally {
    native.redriveDrop(plan);
  }
}

/** The target takes nothing now: the letter was given back. */
const OPEN: ReadonlySet<unknown> = new Set(['circuit.open', 'circuit.isolated']);

function toOptions(options: RedriveOptions): string {
  const { limit, rate, concurrency: _, stopAfterFailures, maxRedrives, dryRun, job, resume, ...filter } = options;
  return JSON.stringify({
    limit,
    rate,
    stop_after_failures: stopAfterFailures,
    max_redrives: maxRedrives,
    dry_run: dryRun,
    job,
    resume,
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
  let failure = 'failed';
  try {
    await within(inner, async () => handler(letter));
  } catch (failed) {
    ok = false;
    const told = encodeError(failed);
    if (OPEN.has(told['code'])) failure = 'released';
    error = JSON.stringify(told);
  } finally {
    stop();
  }
  const kept = (await track(native.redriveDelivered(plan, token, ok, error, clock.now()))) === 'true';
  const outcome = kept ? (ok ? 'ok' : failure) : 'lost';
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
