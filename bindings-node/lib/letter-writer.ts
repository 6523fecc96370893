/** Writes the dead letter of a call that failed for good. Whatever goes wrong here, the caller still gets its own error. */

import { errorType } from './classify.js';
import * as clock from './clock.js';
import type { WrittenLetter } from './context.js';
import type { Run } from './driver.js';
import { toMs } from './duration.js';
import { encode, encodeError } from './encode.js';
import { emit } from './events.js';
import { native } from './native.js';
import { openQueue, track } from './queues.js';
import type { Report } from './report.js';
import type { EventName } from './table.js';

/** A captured call: its arguments, and no named ones. */
export const CALL_TYPE = 'application/vnd.seawall.call+json';
const DEFAULT_WRITE_TIMEOUT = '250ms';

type Form = Record<string, unknown>;

/** Writes the letter and calls `done` with its id, or with nothing if it could not be written in time. */
export function writeLetter(run: Run, done: (id: string | undefined) => void): void {
  const options = run.work.core.info.parts['dead_letter'] ?? {};
  const queue = typeof options['queue'] === 'string' ? options['queue'] : run.work.core.shownName || 'letters';
  const store = typeof options['store'] === 'string' ? options['store'] : undefined;
  const writeTimeout = options['write_timeout'] ?? DEFAULT_WRITE_TIMEOUT;
  let answered = false;
  const answer = (id: string | undefined): void => {
    if (answered) return;
    answered = true;
    timer.cancel();
    done(id);
  };
  const lost = (error: unknown): void => {
    if (answered) return;
    tell(run, 'dlq.lost', 'error', { queue, error_type: typeof error === 'string' ? error : errorType(error) });
    answer(undefined);
  };
  const timer = clock.race(toMs(writeTimeout as string, 'dead_letter.write_timeout'), () => lost('timeout'));
  write(run, queue, store, writeTimeout).then(({ id, form }) => {
    tell(run, 'dlq.written', 'warning', { queue, letter_id: id, attempts: (form['attempts'] as unknown[]).length, error_type: errorType(run.error) });
    if (form['redrivable'] === false) tell(run, 'dlq.unredrivable', 'error', { queue, letter_id: id });
    answer(id);
  }, lost);
}

async function write(run: Run, queue: string, store: string | undefined, writeTimeout: unknown): Promise<{ id: string; form: Form }> {
  const form = redacted(run, letterOf(run, queue));
  form['write_timeout'] = typeof writeTimeout === 'number' ? `${writeTimeout}ms` : writeTimeout;
  const handle = await openQueue(queue, store);
  const id = await track(native.queuePut(handle, JSON.stringify(form)));
  run.outer?.trail?.push({ queue: handle, correlationId: run.correlationId, operation: run.work.fn.name });
  return { id, form };
}

/** An outer retry succeeded after all: the letters written on the way are archived. If that fails, they are merely redriven in vain. */
export function recovered(letters: readonly WrittenLetter[]): void {
  for (const { queue, correlationId, operation } of letters) track(native.queueArchive(queue, correlationId, operation)).catch(() => undefined);
}

function letterOf(run: Run, queue: string): Form {
  const report = JSON.parse(run.report) as Report;
  const { core, fn } = run.work;
  const form: Form = {
    ...payloadOf(run),
    error: encodeError(run.error),
    attempts: report.attempts.map((attempt) => ({
      time: run.attempts.startedAt + attempt.started_ms,
      outcome: OUTCOMES[attempt.outcome] ?? attempt.outcome,
      error_type: attempt.error_type,
      duration_ms: attempt.duration_ms,
      delay_ms: attempt.delay_ms,
    })),
    correlation_id: run.correlationId,
    policy: core.shownName,
    operation: fn.name,
    language: 'node',
    within_retry: run.outer?.trail !== undefined,
  };
  if (run.key !== null) form['key'] = run.key;
  if (run.idempotencyKey !== undefined) form['idempotency_key'] = run.idempotencyKey;
  if (run.outer?.traceparent !== undefined) form['headers'] = { traceparent: run.outer.traceparent };
  if (run.outer?.letter?.queue === queue) form['id'] = run.outer.letter.id;
  return form;
}

/** How attempts end, in the words of letters. */
const OUTCOMES: Readonly<Record<string, string>> = { failure: 'exception', ignored: 'exception', success: 'exception' };

/** What `capture` gives, else the arguments; receivers are never captured. */
function payloadOf(run: Run): Form {
  const { core, self, args } = run.work;
  const capture = core.part('dead_letter')?.capture;
  if (capture === undefined) {
    const { value, whole } = encode([...args]);
    return { payload: { args: value, kwargs: {} }, content_type: CALL_TYPE, redrivable: whole };
  }
  try {
    const { value, whole } = encode(capture.apply(self, [...args]));
    return { payload: value, redrivable: whole };
  } catch {
    return { payload: null, redrivable: false };
  }
}

/** A redaction that fails costs the payload, not the letter. */
function redacted(run: Run, form: Form): Form {
  const redact = run.work.core.part('dead_letter')?.redact;
  if (redact === undefined) return form;
  try {
    const kept: unknown = redact({ ...form });
    if (typeof kept === 'object' && kept !== null && !(kept instanceof Promise)) return { ...(kept as Form) };
  } catch {
    // Falls through: what could not be redacted is not kept.
  }
  return { ...form, payload: null, redrivable: false };
}

function tell(run: Run, event: EventName, severity: 'info' | 'warning' | 'error', fields: Form): void {
  const key = run.key === null ? {} : { key: run.key };
  emit({ event, severity, policy: run.work.core.shownName, ...key, correlation_id: run.correlationId, ...fields });
}
