/** BullMQ: the processor of a worker, guarded. */

import { correlate, correlationId } from './context.js';
import type { Policy } from './policy.js';

/** What is needed of a job. */
export interface JobLike {
  readonly id?: string | undefined;
  readonly data: unknown;
}

/** Where the correlation id travels in a job's data. */
const FIELD = 'correlationId';

/** A job's data with the correlation id in force, if there is one: for `queue.add(name, withCorrelation(data))`. */
export function withCorrelation<D extends object>(data: D): D & { correlationId?: string } {
  const id = correlationId();
  return id === undefined ? data : { ...data, [FIELD]: id };
}

/** Guards a processor. It runs under the correlation id in the job's data, with the job's id as idempotency key: the same however often BullMQ gives out the job. */
export function processor<J extends JobLike, A extends unknown[], T, R = never>(
  policy: Policy<R>,
  fn: (job: J, ...rest: A) => T,
): (job: J, ...rest: A) => Promise<Awaited<T> | R> {
  return (job, ...rest) => {
    const guarded = (job.id === undefined ? policy : policy.using({ idempotencyKey: job.id }))(fn) as (job: J, ...rest: A) => Promise<Awaited<T> | R>;
    const id = (job.data as { [FIELD]?: unknown } | null | undefined)?.[FIELD];
    return typeof id === 'string' ? correlate(id, () => guarded(job, ...rest)) : guarded(job, ...rest);
  };
}
