// The stack of an error that comes after retries names those who called.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as seawall from 'seawall';

const limit = Error.stackTraceLimit;
const fails = async () => {
  await null;
  throw new Error('boom');
};
const policies = {
  'the quick path': () => seawall.retry({ maxAttempts: 3, baseDelay: '1ms' }),
  'the quick path with a limit of time': () => seawall.policy(seawall.retry({ maxAttempts: 3, baseDelay: '1ms' }), seawall.timeout({ attempt: '10s' })),
  'the driver': () => seawall.policy({ key: () => 'a' }, seawall.retry({ maxAttempts: 3, baseDelay: '1ms' })),
};

async function stackOf(call) {
  try {
    await call();
  } catch (error) {
    return error.stack;
  }
  throw new Error('the call did not fail');
}

for (const [way, make] of Object.entries(policies)) {
  test(`an error of the last attempt names its callers: ${way}`, async () => {
    const guarded = make()(fails);
    async function placeOrder() {
      await guarded();
    }
    async function handleRequest() {
      return await placeOrder();
    }
    const stack = await stackOf(handleRequest);
    assert.match(stack, /^Error: boom\n +at fails .*\n/);
    assert.match(stack, /at async placeOrder/);
    assert.match(stack, /at async handleRequest/);
    assert.equal(stack.match(/placeOrder/g).length, 1);
    // What is ours stands between nobody and his caller.
    assert.doesNotMatch(stack, /bindings-node/);
  });
}

test('an error that passes two policies names those around both, once', async () => {
  const inner = seawall.retry({ maxAttempts: 2, baseDelay: '1ms' })(fails);
  const outer = seawall.retry({ maxAttempts: 2, baseDelay: '1ms' })(async function between() {
    await inner();
  });
  async function outside() {
    await outer();
  }
  const stack = await stackOf(outside);
  assert.equal(stack.match(/at async (Object\.)?between|at async between/g).length, 1, stack);
  assert.equal(stack.match(/at async outside/g).length, 1, stack);
});

test('one error object thrown again and again does not grow without end', async () => {
  const shared = new Error('shared');
  const guarded = seawall.retry({ maxAttempts: 2, baseDelay: 0 })(async () => {
    throw shared;
  });
  const lengths = [];
  for (let round = 0; round < 12; round += 1) {
    const caller = { [`caller${round}`]: async () => await guarded() }[`caller${round}`];
    lengths.push((await stackOf(caller)).length);
  }
  assert.equal(lengths.at(-1), lengths.at(-4));
});

test('frozen errors, values that are no errors and errors without a stack pass as they are', async () => {
  const frozen = Object.freeze(new Error('frozen'));
  const bare = new Error('bare');
  delete bare.stack;
  bare.stack = 7;
  for (const thrown of [frozen, bare, 'text', null, 7]) {
    const guarded = seawall.retry({ maxAttempts: 2, baseDelay: 0 })(async () => {
      throw thrown;
    });
    await assert.rejects(guarded(), (error) => error === thrown);
  }
  assert.equal(bare.stack, 7);
  assert.equal(Error.stackTraceLimit, limit);
});
