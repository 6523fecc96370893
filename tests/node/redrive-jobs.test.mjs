// Bulk redrives on record, and redrives through the handler's own circuit breaker.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { circuitBreaker, DeadLetterQueue, onEvent } from 'seawall';
import { reset } from 'seawall/testing';

async function filled(t) {
  reset();
  const place = mkdtempSync(join(tmpdir(), 'jobs-'));
  t.after(() => rmSync(place, { recursive: true, force: true }));
  const queue = new DeadLetterQueue('orders', { store: `sqlite:///${place}` });
  for (let n = 0; n < 4; n += 1) await queue.put({ n });
  return queue;
}

test('a redrive without a limit is a job', async (t) => {
  const queue = await filled(t);
  await queue.redrive(() => undefined, { limit: 1 });
  assert.deepEqual(await queue.jobs(), []);
  const report = await queue.redrive(() => undefined, { limit: null });
  const [job] = await queue.jobs();
  assert.deepEqual([report.job, report.arrived], [job.id, 0]);
  assert.deepEqual([job.state, job.total, job.ok, job.remaining, job.stopped], ['done', 3, 3, 0, null]);
  assert.deepEqual([await queue.pause(job.id), await queue.cancel(job.id)], [false, false]);
});

test('an open circuit stops the redrive and counts against no letter', async (t) => {
  const queue = await filled(t);
  const outcomes = [];
  t.after(onEvent((event) => event.event === 'dlq.redriven' && outcomes.push(event.outcome)));
  const deliver = circuitBreaker({ consecutiveFailures: 2 })(async () => {
    throw new Error('still down');
  });
  const report = await queue.redrive(deliver, { limit: null, stopAfterFailures: null });
  assert.deepEqual([report.ok, report.failed, report.stopped, report.remaining], [0, 2, 'breaker', 2]);
  assert.deepEqual(outcomes, ['failed', 'failed', 'released']);
  assert.deepEqual((await queue.peek()).map((letter) => letter.redrives), [0, 0, 1, 1]);
  const [job] = await queue.jobs();
  assert.deepEqual([job.state, job.stopped], ['stopped', 'breaker']);
  const seen = [];
  await queue.redrive((letter) => seen.push(letter.payload.n), { resume: job.id });
  assert.deepEqual([seen, (await queue.jobs())[0].state], [[2, 3], 'done']);
});

test('a paused job is gone on with, a cancelled one has ended', async (t) => {
  const queue = await filled(t);
  const halt = (how) => async () => {
    await queue[how]((await queue.jobs())[0].id);
    // Longer than it takes a runner to notice.
    await new Promise((resolve) => setTimeout(resolve, 300));
  };
  const paused = await queue.redrive(halt('pause'), { limit: null });
  assert.deepEqual([paused.ok, paused.stopped, paused.remaining], [1, 'paused', 3]);
  const cancelled = await queue.redrive(halt('cancel'), { resume: paused.job });
  assert.deepEqual([cancelled.ok, cancelled.stopped, cancelled.job], [1, 'cancelled', paused.job]);
  assert.deepEqual([(await queue.jobs())[0].state, (await queue.jobs())[0].ok], ['cancelled', 2]);
  await assert.rejects(queue.redrive(() => undefined, { resume: paused.job }), /has ended/);
});
