// A policy file that is watched. Real files and real time: nothing sleeps, everything waits for an event.

import assert from 'node:assert/strict';
import { createHook } from 'node:async_hooks';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test as plainTest } from 'node:test';

import * as seawall from 'seawall';
import { clock, reset } from 'seawall/testing';

const RELOADED = ['config.loaded', 'config.reloaded'];
const attempts = (count) => `[policy.pay]\nretry = { max_attempts = ${count}, base_delay = "0ms" }\n`;

/** A test that waits for events and fails if they do not come. The watch keeps no process alive, so something else must. */
function test(name, body) {
  plainTest(name, { timeout: 30_000 }, async (t) => {
    reset();
    const awake = setInterval(() => undefined, 1000);
    const folder = mkdtempSync(join(tmpdir(), 'seawall-'));
    const told = [];
    let arrived = () => undefined;
    const stop = seawall.onEvent((event) => {
      if (!event.event.startsWith('config.')) return;
      told.push(event);
      arrived();
    });
    const next = async (count) => {
      while (told.length < count) await new Promise((resolve) => (arrived = resolve));
      return told.splice(0, count);
    };
    const names = async (count) => (await next(count)).map(({ event }) => event);
    t.after(() => {
      stop();
      reset();
      clearInterval(awake);
      rmSync(folder, { recursive: true });
    });
    const path = join(folder, 'seawall.toml');
    const watched = async () => {
      writeFileSync(path, attempts(1));
      seawall.load(path, { watch: true });
      assert.deepEqual(await names(1), ['config.loaded']);
      assert.equal(await callsMade(), 1);
    };
    await body({ folder, path, next, names, watched });
  });
}

async function callsMade() {
  let calls = 0;
  const down = () => {
    calls += 1;
    throw Object.assign(new Error('down'), { code: 'ECONNREFUSED' });
  };
  await assert.rejects(seawall.policy('pay').run(down), /down/);
  return calls;
}

test('a change is taken', async ({ path, next, watched }) => {
  await watched();
  writeFileSync(path, attempts(3));
  const events = await next(2);
  assert.deepEqual(events.map(({ event }) => event), RELOADED);
  assert.deepEqual([events[1].policy, events[1].changed, events[1].path], ['pay', ['retry.max_attempts'], path]);
  assert.equal(await callsMade(), 3);
});

test('a file renamed over it is taken', async ({ path, names, watched }) => {
  await watched();
  writeFileSync(`${path}~`, attempts(2));
  renameSync(`${path}~`, path);
  assert.deepEqual(await names(2), RELOADED);
  assert.equal(await callsMade(), 2);
});

test('a link that moves to another folder, as those of Kubernetes do, is followed', async ({ folder, path, names }) => {
  for (const [name, count] of [['one', 1], ['two', 4]]) {
    mkdirSync(join(folder, name));
    writeFileSync(join(folder, name, 'seawall.toml'), attempts(count));
  }
  symlinkSync('one', join(folder, 'data'));
  symlinkSync('data/seawall.toml', path);
  seawall.load(path, { watch: true });
  assert.deepEqual(await names(1), ['config.loaded']);
  assert.equal(await callsMade(), 1);
  symlinkSync('two', join(folder, 'data.new'));
  renameSync(join(folder, 'data.new'), join(folder, 'data'));
  assert.deepEqual(await names(2), RELOADED);
  assert.equal(await callsMade(), 4);
});

test('a bad file is refused with its place, and a good one taken after it', async ({ path, next, names, watched }) => {
  await watched();
  writeFileSync(path, '[policy.pay]\nretry = { max_atempts = 3 }\n');
  const [event] = await next(1);
  assert.deepEqual([event.event, event.path], ['config.refused', path]);
  assert.match(event.reason, /policy\.pay\.retry\.max_atempts.*max_attempts/);
  assert.equal(await callsMade(), 1);
  writeFileSync(path, attempts(2));
  assert.deepEqual(await names(2), RELOADED, 'and the bad one was told of once');
  assert.equal(await callsMade(), 2);
});

test('a file that would change what a policy is is refused', async ({ path, next, watched }) => {
  await watched();
  writeFileSync(path, `${attempts(2)}bulkhead = {}\n`);
  const [event] = await next(1);
  assert.deepEqual([event.event, event.policy], ['config.refused', 'pay']);
  assert.equal(await callsMade(), 1);
});

test('a file that is gone keeps what is in force until it returns', async ({ path, names, watched }) => {
  await watched();
  unlinkSync(path);
  assert.equal(await callsMade(), 1);
  writeFileSync(path, attempts(2));
  assert.deepEqual(await names(2), RELOADED);
  assert.equal(await callsMade(), 2);
});

test('the last load says what is watched', async ({ folder, path, next, names, watched }) => {
  await watched();
  const second = join(folder, 'second.toml');
  writeFileSync(second, attempts(1));
  assert.throws(() => seawall.load(join(folder, 'nowhere.toml'), { watch: true }), /nowhere/);
  writeFileSync(path, attempts(2));
  assert.deepEqual(await names(2), RELOADED, 'a load that failed changes nothing');
  seawall.load(second, { watch: true });
  assert.deepEqual(await names(2), RELOADED);
  writeFileSync(path, attempts(5));
  writeFileSync(second, attempts(3));
  assert.deepEqual((await next(2)).map((event) => event.path), [second, second]);
  assert.equal(await callsMade(), 3);
});

test('a load without watch and a reset end it', async ({ path }) => {
  writeFileSync(path, attempts(1));
  const timers = new Set();
  const hook = createHook({ init: (id, type) => void (type === 'Timeout' && timers.add(id)), destroy: (id) => void timers.delete(id) }).enable();
  try {
    for (const end of [() => seawall.load(path), () => reset()]) {
      seawall.load(path, { watch: true });
      assert.equal(timers.size, 1);
      end();
      while (timers.size > 0) await new Promise(setImmediate);
    }
  } finally {
    hook.disable();
  }
});

test('it looks by real time under virtual time and under fake timers too', async ({ path, names, watched }) => {
  const time = clock();
  const real = globalThis.setInterval;
  globalThis.setInterval = () => assert.fail('the timers of a test are not for files');
  try {
    await watched();
    writeFileSync(path, attempts(2));
    assert.deepEqual(await names(2), RELOADED);
    assert.equal(time.now, 0);
    assert.equal(await callsMade(), 2);
  } finally {
    globalThis.setInterval = real;
    time.restore();
  }
});

test('a call that waits is given the slot that a change made', async ({ path }) => {
  const text = (slots) => `[policy.pay]\nbulkhead = { max_concurrent = ${slots}, max_queue = 1 }\n`;
  writeFileSync(path, text(1));
  seawall.load(path, { watch: true });
  const guard = seawall.policy('pay');
  let leave;
  const holder = guard.run(() => new Promise((resolve) => (leave = resolve)));
  const waiter = guard.run(() => 'in');
  writeFileSync(path, text(2));
  assert.equal(await waiter, 'in');
  leave();
  await holder;
});

test('it keeps no process alive', async ({ path }) => {
  writeFileSync(path, attempts(1));
  const script = `import('seawall').then((seawall) => seawall.load(${JSON.stringify(path)}, { watch: true }))`;
  assert.equal(spawnSync(process.execPath, ['-e', script], { cwd: process.cwd(), timeout: 20_000 }).status, 0);
});

test('watch is true or false', async ({ path }) => {
  writeFileSync(path, attempts(1));
  assert.throws(() => seawall.load(path, { watch: 'yes' }), (error) => error instanceof seawall.ConfigError && error.path === 'load.watch');
});
