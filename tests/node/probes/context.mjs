// AsyncLocalStorage: whose context code runs in, whoever woke it.

import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';

import { bulkhead, chaos, circuitBreaker, current, fallback, hedge, policy, rateLimit, retry, timeout } from 'seawall';
import { clock } from 'seawall/testing';

import { errorOf, never, probe, promised, settle } from './probe.mjs';

const storage = new AsyncLocalStorage();
const here = () => storage.getStore();

probe('an attempt after a back-off: it runs in the caller\'s context', async () => {
  const seen = [];
  const run = () => retry({ baseDelay: '1ms' }).run(async () => {
    seen.push(here());
    await settle();
    seen.push(here());
    if (current().attempt < 3) throw new Error('boom');
  });
  await Promise.all([storage.run('a', run), storage.run('b', run)]);
  assert.deepEqual(seen.sort(), [...Array(6).fill('a'), ...Array(6).fill('b')]);
});

probe('an attempt after one that was cut: it runs in the caller\'s context, and so does what follows the call', async () => {
  const time = clock();
  const seen = [];
  const call = storage.run('mine', async () => {
    const error = await errorOf(policy(retry({ maxAttempts: 2 }), timeout({ attempt: '1s' })).run(() => {
      seen.push(here());
      return never();
    }));
    seen.push(here());
    return error;
  });
  await storage.run('another', () => time.advance('5s'));
  await call;
  assert.deepEqual(seen, ['mine', 'mine', 'mine']);
});

probe('a queued call: it runs in its own caller\'s context, not in that of the call whose end woke it', async () => {
  const guard = bulkhead({ maxConcurrent: 1, maxQueue: 10 });
  const work = async () => {
    const before = here();
    await settle();
    return [before, here()];
  };
  const names = ['a', 'b', 'c', 'd'];
  const calls = names.map((name) => storage.run(name, () => guard.run(work).then((seen) => [...seen, here()])));
  assert.deepEqual(await Promise.all(calls), names.map((name) => [name, name, name]));
});

probe('a call that waited for the rate limit: it runs in its own caller\'s context', async () => {
  const guard = rateLimit({ rate: '200/s', burst: 1, maxWait: '10s' });
  const names = ['a', 'b', 'c'];
  assert.deepEqual(await Promise.all(names.map((name) => storage.run(name, () => guard.run(here)))), names);
});

probe('a hedge: it runs in the caller\'s context', async () => {
  const time = clock();
  const seen = [];
  const { promise, resolve } = promised();
  const call = storage.run('mine', () => hedge({ delay: '1s' }).run(() => {
    seen.push(here());
    return promise;
  }));
  await time.advance('1s');
  resolve('done');
  await call;
  assert.deepEqual(seen, ['mine', 'mine']);
});

probe('a fallback, a matcher and what chaos does: they run in the caller\'s context, even if a timer brought them about', async () => {
  const time = clock();
  const seen = [];
  const note = (value) => () => (seen.push(here()), value);
  const guard = policy(
    fallback(note('instead')),
    retry({ maxAttempts: 2, on: note(true) }),
    chaos({ behavior: note(undefined), rate: 1, expiresIn: '1h' }),
    timeout({ attempt: '1s' }),
  );
  const call = storage.run('mine', () => guard.run(never));
  await storage.run('another', () => time.advance('5s'));
  assert.equal(await call, 'instead');
  assert.ok(seen.length >= 4);
  assert.ok(seen.every((store) => store === 'mine'), String(seen));
});

probe('code after a call: it has its own context back, whatever the call did', async () => {
  const guard = policy(circuitBreaker(), timeout({ attempt: '1s' }));
  await storage.run('outer', async () => {
    await guard.run(() => storage.run('inner', () => settle()));
    assert.equal(here(), 'outer');
    assert.equal(current().attempt, 0);
  });
});

probe('work that goes on after its call: it has no limit and no attempt of a call that came later', async () => {
  const { promise, resolve } = promised();
  const guard = timeout({ attempt: '1s' });
  let background;
  await guard.run(() => {
    background = promise.then(() => current().attempt);
  });
  await guard.run(() => resolve());
  assert.equal(await background, 1);
});
