// Stale results: the last good one answers an error, under its own key, for a while.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as seawall from 'seawall';
import { clock } from 'seawall/testing';

const { fallback, policy, retry } = seawall;

function virtual(t, options) {
  const time = clock(options);
  t.after(() => time.restore());
  return time;
}

/** A callee that works until it is told not to. */
function failing() {
  const callee = async function lookup(...args) {
    if (callee.isBroken) throw new Error('boom');
    return { args };
  };
  callee.isBroken = false;
  return callee;
}

test('a good result answers a later error, until it is too old', async (t) => {
  const time = virtual(t);
  const callee = failing();
  const guarded = fallback({ staleIfError: true, maxAge: '1m' })(callee);
  const good = await guarded('a', { page: 1, size: 2 });
  callee.isBroken = true;
  assert.equal(await guarded('a', { size: 2, page: 1 }), good, 'by value, in any order of fields');
  await assert.rejects(guarded('b', { page: 1, size: 2 }), { message: 'boom' });
  await time.advance('59s');
  assert.equal(await guarded('a', { page: 1, size: 2 }), good);
  await time.advance('2s');
  await assert.rejects(guarded('a', { page: 1, size: 2 }), { message: 'boom' });
});

test('stale is tried before the steps', async (t) => {
  virtual(t);
  const callee = failing();
  const guarded = fallback({ value: 'instead', staleIfError: true })(callee);
  const good = await guarded('a');
  callee.isBroken = true;
  assert.equal(await guarded('a'), good);
  assert.equal(await guarded('b'), 'instead');
});

test('two functions, and values that only look alike, keep apart', async (t) => {
  virtual(t);
  const [one, two] = [failing(), failing()];
  const guard = fallback({ staleIfError: true });
  const [first, second] = [guard(one), guard(two)];
  const good = await first('1');
  await first(undefined);
  const dated = await first(new Date(0), [new URL('http://a.b')]);
  one.isBroken = two.isBroken = true;
  assert.equal(await first('1'), good);
  assert.equal(await first(new Date(0), [new URL('http://a.b')]), dated);
  await assert.rejects(second('1'), { message: 'boom' });
  for (const alike of [[1], [1n], [null], [], ['1', undefined]]) await assert.rejects(first(...alike), { message: 'boom' });
});

test('staleKey names what belongs together; the receiver does not matter', async (t) => {
  virtual(t);
  const callee = failing();
  const guarded = fallback({ staleIfError: true, staleKey: (order) => order.id })(callee);
  const good = await guarded.call({ a: 1 }, { id: 7, at: 1 });
  callee.isBroken = true;
  assert.equal(await guarded.call({ b: 2 }, { id: 7, at: 2 }), good);
});

test('arguments that go by identity are not kept, and one event says so', async (t) => {
  virtual(t);
  const callee = failing();
  const events = [];
  t.after(seawall.onEvent(({ event, policy: name }) => events.push([event, name])));
  const guarded = policy('lookups', fallback({ staleIfError: true }))(callee);
  const { signal } = new AbortController();
  await guarded('a', signal);
  await guarded('a', () => 1);
  await guarded('a', new (class Secret { #state = 1; })());
  assert.deepEqual(events, [['fallback.stale_skipped', 'lookups']]);
  callee.isBroken = true;
  await assert.rejects(guarded('a', signal), { message: 'boom' });
});

test('entries and bytes are bounded', async (t) => {
  virtual(t);
  for (const bound of [{ maxEntries: 2 }, { maxBytes: 40 }]) {
    const callee = failing();
    const guarded = fallback({ staleIfError: true, ...bound })(callee);
    const good = [await guarded('a'), await guarded('b'), await guarded('c')];
    callee.isBroken = true;
    await assert.rejects(guarded('a'), { message: 'boom' });
    assert.equal(await guarded('c'), good[2]);
    assert.equal(await guarded('b'), good[1]);
  }
});

test('who shares a name shares what is kept', async (t) => {
  virtual(t);
  const callee = failing();
  const made = () => policy('shared', fallback({ staleIfError: true, staleKey: (id) => id }));
  const good = await made()(callee)('a');
  callee.isBroken = true;
  assert.equal(await made()(callee)('a'), good);
});

test('a rejected result is not kept', async (t) => {
  virtual(t);
  let value = 'good';
  const guarded = policy(fallback({ staleIfError: true }), retry({ maxAttempts: 1, onResult: (result) => result !== 'good' }))(async () => value);
  await guarded();
  value = 'bad';
  assert.equal(await guarded(), 'good');
  assert.equal(await guarded(), 'good');
});
