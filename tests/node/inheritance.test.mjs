// A policy's own `on` and `ignore`, and the names of errors.

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
