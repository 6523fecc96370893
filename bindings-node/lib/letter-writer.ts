/** Writes the dead letter of a call that failed for good. Whatever goes wrong here, the caller still gets its own error. */

import * as afterwards from './afterwards.js';
import type { OnLost, Sent } from './afterwards.js';
import { errorType } from './classify.js';
import * as clock from './clock.js';
import type { WrittenLetter } from './context.js';
import type { Run } from './driver.js';
import { toMs } from './duration.js';
import { encode, encodeError } from './encode.js';
import { emit } from './events.js';
import { native } from './native.js';
import { type Encrypt, sourceOf, track } from './queues.js';
import type { Report } from './report.js';
import type { EventName } from './table.js';

/** A captured call: its arguments, and no named ones. */
export const CALL_TYPE = 'application/vnd.seawall.call+json';
const DEFAULT_WRITE_TIMEOUT = '250ms';
/** The longest that all steps of the chain may take, unless one may take longer. */
const ALL_STEPS_MS = 1000;

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
  const step = toMs(writeTimeout as string, 'dead_letter.write_timeout');
  const steps = options['second_store'] === undefined ? step : Math.min(2 * step, Math.max(ALL_STEPS_MS, step));
  const timer = clock.race(steps, () => lost('timeout'));
  const onLost = run.work.core.part('dead_letter')?.onLost as OnLost | undefined;
  write(run, queue, store, options, onLost).then(({ sent, form }) => {
    tellSteps(run, queue, sent, answered);
    if (sent.unsealed !== null) {
      console.error(`seawall: dead letter ${sent.id} could not be encrypted and was written without its payload: ${sent.unsealed}`);
      form['redrivable'] = false;
    }
    if (sent.lost !== null) {
      lost(sent.cause ?? 'lost');
      afterwards.lost(sent.lost, onLost);
      return;
    }
    if (sent.step !== 'memory') tellWritten(run, queue, sent.id, form);
    if (form['redrivable'] === false) tell(run, 'dlq.unredrivable', 'error', { queue, letter_id: sent.id });
    answer(sent.id);
  }, lost);
}

/** What became of other letters for this one, and of this one beside its store. */
function tellSteps(run: Run, queue: string, { id, step, cause, dropped, expired }: Sent, isOver: boolean): void {
  const aside = step === 'second' || step === 'memory';
  if (!isOver && (aside || dropped + expired > 0)) run.went(aside, dropped + expired);
  if (dropped > 0) tell(run, 'dlq.dropped', 'error', { queue, letters: dropped, reason: 'full' });
  if (expired > 0) tell(run, 'dlq.dropped', 'error', { queue, letters: expired, reason: 'age' });
  if (aside) tell(run, 'dlq.fallback', 'error', { queue, letter_id: id, step, cause });
}

function tellWritten(run: Run, queue: string, id: string, form: Form): void {
  tell(run, 'dlq.written', 'warning', { queue, letter_id: id, attempts: (form['attempts'] as unknown[]).length, error_type: errorType(run.error) });
}

async function write(run: Run, queue: string, store: string | undefined, options: Form, onLost: OnLost | undefined): Promise<{ sent: Sent; form: Form }> {
  const form = redacted(run, letterOf(run, queue));
  form['chain'] = true;
  form['write_timeout'] = toText(options['write_timeout'] ?? DEFAULT_WRITE_TIMEOUT);
  for (const name of ['durability', 'await_durable', 'second_store']) if (options[name] !== undefined) form[name] = options[name];
  const named = options['encrypt'];
  // Only a function is waited for: otherwise the write is under way at once.
  const keys = named === true ? await track(keysOf(run.work.core.part('dead_letter')?.encrypt)) : named;
  if (keys !== undefined) form['encrypt'] = keys;
  const limits = LIMITS.filter((name) => options[name] !== undefined).map((name) => [name, AGES.has(name) ? toText(options[name]) : options[name]]);
  if (limits.length > 0) form['limits'] = Object.fromEntries(limits);
  const sent = await afterwards.send(queue, store, JSON.stringify(form), onLost);
  if (sent.queue !== undefined && sent.lost === null) run.outer?.trail?.push({ queue: sent.queue, correlationId: run.correlationId, operation: run.work.fn.name });
  return { sent, form };
}

/** Where the keys are. Without any the letter is written bare, and never in the clear. */
async function keysOf(encrypt: Encrypt | undefined): Promise<string | undefined> {
  try {
    return await sourceOf(encrypt);
  } catch {
    // Never what it says: keys may stand in it.
    console.error('seawall: deadLetter.encrypt gave no keys');
    return 'held:none';
  }
}

const LIMITS = ['max_letters', 'max_bytes', 'max_age', 'retention', 'min_free', 'when_full'];
const AGES: ReadonlySet<string> = new Set(['max_age', 'retention']);

/** A duration as the native side reads it. */
function toText(duration: unknown): unknown {
  return typeof duration === 'number' ? `${duration}ms` : duration;
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
