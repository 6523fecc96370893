// What a call takes over from its policy and from the calls around it, and the names of errors.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as seawall from 'seawall';
import { clock } from 'seawall/testing';

class Declined extends Error {}

test('retry and circuit breaker inherit on, the fallback still answers every error', async () => {
  const virtual = clock();
  try {
    let calls = 0;
    const guarded = seawall.policy('inherits', { on: TypeError }, seawall.fallback('cached'), seawall.retry({ maxAttempts: 3 }))(async () => {
      calls += 1;
      throw new Declined('no funds');
    });
    assert.equal(await guarded(), 'cached');
    assert.equal(calls, 1, 'an error that `on` does not name is not retried');
  } finally {
    virtual.restore();
  }
});

test('a subclass without a name of its own is known by its constructor', async () => {
  const virtual = clock();
  try {
    const guarded = seawall.retry({ maxAttempts: 1 })(async () => {
      throw new Declined('no funds');
    });
    const error = await guarded().catch((caught) => caught);
    assert.equal(seawall.failure(error).attempts[0].errorType, 'Declined');
  } finally {
    virtual.restore();
  }
});

test('a call never queues behind a slot of its own chain', async () => {
  const virtual = clock();
  try {
    const guard = seawall.bulkhead({ maxConcurrent: 1, maxQueue: 5 });
    const other = seawall.bulkhead({ maxConcurrent: 1, maxQueue: 5 });
    const inner = async () => 'done';
    const survived = await guard(async () => {
      assert.equal(await other(inner)(), 'done');
      await assert.rejects(seawall.correlate('inside', () => guard(inner)()), seawall.BulkheadFullError);
      return 'survived';
    })();
    assert.equal(survived, 'survived');
    assert.equal(await guard(inner)(), 'done');
  } finally {
    virtual.restore();
  }
});
