/** The engine's report of a call, as errors and `failure()` show it. */

import { type AttemptRecord, type Failure, make, type Refusal, type RejectionFields, type SeawallError } from './errors.js';
import type { Run } from './driver.js';
import { ERROR_CODES, type ErrorCode, type Reason } from './table.js';

/** The report as it crosses the boundary. */
export interface Report {
  readonly attempts: ReadonlyArray<{
    number: number;
    outcome: string;
    error_type: string | null;
    started_ms: number;
    duration_ms: number | null;
    delay_ms: number | null;
  }>;
  readonly reason: Reason | null;
  readonly policy: string;
  readonly key: string | null;
  readonly correlation_id: string;
  readonly injected: boolean;
  readonly rejection: { state: string; generation: number; retry_after_ms: number | null; total: number; failures: number } | null;
}

/** What `failure(error)` says. */
export function readReport(text: string, letterId: string | undefined, injected: boolean): Failure {
  const report = JSON.parse(text) as Report;
  const attempts = report.attempts.map(
    (attempt): AttemptRecord => ({
      number: attempt.number,
      outcome: attempt.outcome,
      errorType: attempt.error_type ?? undefined,
      startedMs: attempt.started_ms,
      durationMs: attempt.duration_ms ?? undefined,
      delayMs: attempt.delay_ms ?? undefined,
    }),
  );
  return {
    attempts,
    delays: attempts.flatMap(({ delayMs }) => (delayMs === undefined ? [] : [delayMs])),
    reason: report.reason ?? undefined,
    policy: report.policy,
    key: report.key ?? undefined,
    correlationId: report.correlation_id,
    letterId,
    injected: injected || report.injected,
  };
}

/** The error of ours that would surface: `how` 1 names its code, 2 stands for a rejected result. */
export function ourError(run: Run, how: number, place: number, retryAfterMs: number, cause: unknown): SeawallError {
  const code: ErrorCode = how === 2 ? 'result.rejected' : ERROR_CODES[place]!;
  const more = cause === undefined ? {} : { cause };
  if (!code.startsWith('circuit.')) return errorOf(code, run.work.core.shownName, run.key, retryAfterMs, run.correlationId, more);
  const { report } = run;
  return errorOf(code, run.work.core.shownName, run.key, retryAfterMs, run.correlationId, { ...more, refusal: () => readRefusal(report) });
}

/** An error of ours, with the words that people read. */
export function errorOf(
  code: ErrorCode,
  policy: string,
  key: string | null,
  retryAfterMs: number,
  correlationId: string | (() => string),
  more: { cause?: unknown; refusal?: () => Refusal | undefined; failure?: () => Failure },
): SeawallError {
  const shown = policy === '' ? 'this policy' : `policy "${policy}"${key === null ? '' : ` (key "${key}")`}`;
  const again = retryAfterMs < 0 ? '' : `; call again in ${retryAfterMs} ms`;
  const { refusal, failure } = more;
  const fields: RejectionFields = { code, policy, key: key ?? undefined, retryAfterMs: retryAfterMs < 0 ? undefined : retryAfterMs, correlationId, refusal, failure };
  if ('cause' in more) fields.cause = more.cause;
  return make(code, `${shown}: ${MESSAGES[code] ?? code}${again}`, fields);
}

function readRefusal(report: string): Refusal | undefined {
  const { rejection } = JSON.parse(report) as Report;
  if (rejection === null) return undefined;
  const { state, generation, total, failures } = rejection;
  return { state, generation, counts: { total, failures } };
}

const MESSAGES: Partial<Record<ErrorCode, string>> = {
  'circuit.open': 'the circuit is open',
  'circuit.isolated': 'the circuit is held open',
  'circuit.throttled': 'the circuit turned its share of calls away',
  'bulkhead.full': 'every slot is in use',
  'rate.limited': 'the rate limit is reached',
  'timeout.attempt': 'the attempt took too long',
  'timeout.total': 'the call took too long',
  'timeout.deadline': "the caller's deadline has passed",
  'result.rejected': 'the result was rejected',
};
