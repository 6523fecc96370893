// Worker threads: isolates with event loops of their own, which share every policy's state.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';

const require = createRequire(import.meta.url);
const index = fileURLToPath(new URL('../../bindings-node/dist/index.js', import.meta.url));
// The module that the workers load, and not a copy of it.
const seawall = require(index);

const turn = () => new Promise((resolve) => setImmediate(resolve));
/** Policies of one name are one in the process; every test has a name of its own. */
let names = 0;
const fresh = () => `workers-${++names}`;

/** What every worker's source begins with. */
const PRELUDE = `
  const { parentPort, workerData } = require('node:worker_threads');
  const seawall = require(${JSON.stringify(index)});
  const say = (what) => parentPort.postMessage(what);
  const forever = () => new Promise(() => setInterval(() => undefined, 1_000_000));
`;

/** A worker that runs `source`. What it says comes by `heard`, in order. */
class Isolate {
  constructor(source, data = {}) {
    this.worker = new Worker(`${PRELUDE}\n${source}`, { eval: true, workerData: data });
    this.said = [];
    this.waiting = [];
    this.worker.on('message', (what) => (this.waiting.length > 0 ? this.waiting.shift().resolve(what) : this.said.push(what)));
    this.worker.on('error', (error) => this.waiting.splice(0).forEach(({ reject }) => reject(error)));
    this.exit = once(this.worker, 'exit').then(([code]) => code);
    this.exit.then((code) => this.waiting.splice(0).forEach(({ reject }) => reject(new Error(`the worker has ended with ${code}`))));
  }

  heard() {
    return this.said.length > 0 ? Promise.resolve(this.said.shift()) : new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
  }

  terminate() {
    return this.worker.terminate();
  }
}

/** A call that lasts until it is told to end. */
function hold(policy) {
  let free;
  const ended = policy.run(() => new Promise((resolve) => (free = resolve)));
  return { free: () => free('held'), ended };
}

const limits = (policy) => policy.snapshot().limits;

async function isQueued(policy, calls) {
  while (limits(policy).queued !== calls) await turn();
}

describe('worker threads', { timeout: 120_000 }, () => {
  const alive = setInterval(() => undefined, 1_000);
  after(() => clearInterval(alive));

  test('count from one clock', async () => {
    const name = fresh();
    const options = '{ consecutiveFailures: 1, breakDuration: 60_000, breakJitter: 0 }';
    const bank = seawall.policy(name, seawall.circuitBreaker({ consecutiveFailures: 1, breakDuration: 60_000, breakJitter: 0 }));
    await assert.rejects(bank.run(() => Promise.reject(new Error('down'))), /down/);
    const isolate = new Isolate(`
      const bank = seawall.policy(workerData.name, seawall.circuitBreaker(${options}));
      bank.run(async () => 1).catch((error) => say([error.code, error.retryAfterMs]));
    `, { name });
    const [code, retryAfterMs] = await isolate.heard();
    assert.equal(code, 'circuit.open');
    assert.ok(retryAfterMs <= 60_000, `a worker that began later sees no later end of the break: ${retryAfterMs}`);
    const error = await bank.run(async () => 1).catch((error) => error);
    assert.ok(error.retryAfterMs <= retryAfterMs, `${error.retryAfterMs} is left after ${retryAfterMs} was`);
    await isolate.exit;
  });

  // With the quick path, and by the driver from the start.
  for (const [way, more] of [['a bulkhead', ''], ['the driver', ", seawall.rateLimit({ rate: '1000000/s' })"]]) {
    const spec = (max) => `seawall.bulkhead({ maxConcurrent: ${max}, maxQueue: 100 })${more}`;
    const make = (name, max) => new Function('seawall', 'name', `return seawall.policy(name, ${spec(max)})`)(seawall, name);
    const HOLDS = (max) => `
      const policy = seawall.policy(workerData.name, ${spec(max)});
      policy.run(() => { say('in'); return forever(); });
    `;

    test(`${way}: a worker's queued call goes on when another isolate frees the slot`, async () => {
      const name = fresh();
      const policy = make(name, 1);
      const held = hold(policy);
      const isolate = new Isolate(`seawall.policy(workerData.name, ${spec(1)}).run(async () => 'mine').then(say);`, { name });
      await isQueued(policy, 1);
      held.free();
      assert.equal(await isolate.heard(), 'mine');
      assert.equal(await isolate.exit, 0, 'a call that is over holds no loop');
      assert.equal(await held.ended, 'held');
      assert.deepEqual([limits(policy).inFlight, limits(policy).queued], [0, 0]);
    });

    test(`${way}: queued calls of several isolates go on in their order`, async () => {
      const name = fresh();
      const policy = make(name, 1);
      const held = hold(policy);
      const order = [];
      const isolates = [];
      const own = [];
      for (let place = 0; place < 6; place += 2) {
        const isolate = new Isolate(`seawall.policy(workerData.name, ${spec(1)}).run(async () => say('ran'));`, { name });
        isolate.heard().then(() => order.push(place));
        isolates.push(isolate);
        await isQueued(policy, place + 1);
        own.push(policy.run(async () => undefined));
        await isQueued(policy, place + 2);
      }
      held.free();
      await Promise.all([...own, ...isolates.map(({ exit }) => exit)]);
      assert.deepEqual(order, [0, 2, 4]);
    });

    test(`${way}: a terminated worker's slot is free`, async () => {
      const name = fresh();
      const policy = make(name, 2);
      const isolates = [new Isolate(HOLDS(2), { name }), new Isolate(HOLDS(2), { name })];
      for (const isolate of isolates) assert.equal(await isolate.heard(), 'in');
      assert.equal(limits(policy).inFlight, 2);
      // Nobody but the worker's end can wake this one.
      const queued = policy.run(async () => 'its turn');
      await isQueued(policy, 1);
      await isolates[0].terminate();
      assert.equal(await queued, 'its turn');
      await isolates[1].terminate();
      assert.deepEqual([limits(policy).inFlight, limits(policy).queued], [0, 0]);
    });

    test(`${way}: a terminated worker leaves the queue, and hands on what it was granted unheard`, async () => {
      const name = fresh();
      const policy = make(name, 1);
      const held = hold(policy);
      const source = `seawall.policy(workerData.name, ${spec(1)}).run(async () => say('never'));`;
      const gone = new Isolate(source, { name });
      await isQueued(policy, 1);
      // This one hears nothing: its loop is blocked.
      const deaf = new Isolate(`${source} setImmediate(() => { say('deaf'); for (;;); });`, { name });
      assert.equal(await deaf.heard(), 'deaf');
      await isQueued(policy, 2);
      const last = policy.run(async () => 'last');
      await isQueued(policy, 3);
      await gone.terminate();
      assert.equal(limits(policy).queued, 2);
      held.free();
      await held.ended;
      assert.deepEqual([limits(policy).inFlight, limits(policy).queued], [1, 1], 'the deaf worker has the slot');
      await deaf.terminate();
      assert.equal(await last, 'last');
      assert.deepEqual([limits(policy).inFlight, limits(policy).queued], [0, 0]);
      assert.deepEqual([...gone.said, ...deaf.said], []);
    });

    test(`${way}: workers that start, end and are terminated under load leak nothing and crash nothing`, async () => {
      const MAX = 3;
      const name = fresh();
      const policy = make(name, MAX);
      const source = `
        const policy = seawall.policy(workerData.name, ${spec(MAX)});
        const turn = () => new Promise((resolve) => setImmediate(resolve));
        let calls = 0;
        const one = async () => {
          await policy.run(async () => { if ((calls += 1) === 20) say('loaded'); if (calls % 3 === 0) await turn(); });
          if (calls > workerData.last) return workerData.exits ? process.exit(0) : undefined;
          return one();
        };
        for (let at = 0; at < 4; at++) one();
      `;
      let isOver = false;
      let own = 0;
      const load = Promise.all([0, 1].map(async () => {
        while (!isOver) {
          await policy.run(turn);
          own += 1;
        }
      }));
      for (let round = 0; round < 4; round++) {
        const isolates = [{ last: 300, exits: false }, { last: 300, exits: true }, { last: Infinity }, { last: Infinity }].map((data) => new Isolate(source, { name, ...data }));
        for (const isolate of isolates.slice(2)) {
          await isolate.heard();
          for (let turns = round; turns > 0; turns--) await turn();
          await isolate.terminate();
        }
        const [ended, left] = await Promise.all(isolates.slice(0, 2).map(({ exit }) => exit));
        assert.deepEqual([ended, left], [0, 0]);
      }
      isOver = true;
      await load;
      assert.ok(own > 0);
      assert.deepEqual([limits(policy).inFlight, limits(policy).queued], [0, 0]);
      const all = Array.from({ length: MAX }, () => hold(policy));
      while (limits(policy).inFlight < MAX) await turn();
      assert.equal(limits(policy).queued, 0, 'each slot can be had');
      for (const { free, ended } of all) {
        free();
        await ended;
      }
    });
  }

  test('a circuit that opens in one isolate turns away who is queued in another', async () => {
    const name = fresh();
    const parts = 'seawall.bulkhead({ maxConcurrent: 1, maxQueue: 5 }), seawall.circuitBreaker({ consecutiveFailures: 1 })';
    const policy = new Function('seawall', 'name', `return seawall.policy(name, ${parts})`)(seawall, name);
    const isolate = new Isolate(`
      parentPort.once('message', () => fail());
      let fail;
      seawall.policy(workerData.name, ${parts}).run(() => { say('in'); return new Promise((_, reject) => (fail = () => reject(new Error('down')))); }).catch(() => undefined);
    `, { name });
    assert.equal(await isolate.heard(), 'in');
    const queued = policy.run(async () => 'never');
    await isQueued(policy, 1);
    isolate.worker.postMessage('fail');
    await assert.rejects(queued, { code: 'circuit.open' });
    await isolate.exit;
  });

  test('a reload in one isolate wakes who is queued in another', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'seawall-workers-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const name = fresh();
    const file = join(folder, 'seawall.toml');
    const policy = seawall.policy(name, seawall.bulkhead({ maxConcurrent: 1, maxQueue: 5 }));
    const held = hold(policy);
    const queued = policy.run(async () => 'there is room');
    await isQueued(policy, 1);
    writeFileSync(file, `[policy.${name}]\nbulkhead = { max_concurrent = 2, max_queue = 5 }\n`);
    await new Isolate('seawall.load(workerData.file);', { file }).exit;
    assert.equal(await queued, 'there is room');
    held.free();
    await held.ended;
  });

  test('a stale value of one isolate is not replaced by another one of the same key', async () => {
    const name = fresh();
    const parts = 'seawall.fallback({ staleIfError: true, staleKey: (key) => key })';
    const policy = new Function('seawall', 'name', `return seawall.policy(name, ${parts})`)(seawall, name);
    let isDown = false;
    const price = policy(async (key) => (isDown ? Promise.reject(new Error('down')) : `${key} here`));
    assert.equal(await price('tea'), 'tea here');
    const isolate = new Isolate(`
      const price = seawall.policy(workerData.name, ${parts})(async (key) => key + ' there');
      price('tea').then(say);
    `, { name });
    assert.equal(await isolate.heard(), 'tea there');
    await isolate.exit;
    isDown = true;
    assert.equal(await price('tea'), 'tea here');
  });

  test('a terminated worker gives back its trials of a half-open circuit', async () => {
    const name = fresh();
    const options = '{ consecutiveFailures: 1, breakDuration: 1, breakJitter: 0, halfOpenMaxCalls: 2, halfOpenSuccesses: 2 }';
    const policy = new Function('seawall', 'name', `return seawall.policy(name, seawall.circuitBreaker(${options}))`)(seawall, name);
    await assert.rejects(policy.run(() => Promise.reject(new Error('down'))), /down/);
    const isolate = new Isolate(`
      const policy = seawall.policy(workerData.name, seawall.circuitBreaker(${options}));
      const trial = () => policy.run(() => { say('in'); return forever(); }).catch(() => setTimeout(trial, 1));
      trial();
      trial();
    `, { name });
    assert.deepEqual([await isolate.heard(), await isolate.heard()], ['in', 'in']);
    await assert.rejects(policy.run(async () => 1), { code: 'circuit.open' });
    await isolate.terminate();
    await policy.run(async () => 1);
    await policy.run(async () => 1);
    assert.equal(policy.breaker.state, 'closed');
  });

  test('workers that are terminated while queues are opened and letters written leave the queue in order', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'seawall-workers-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const source = `
      const fail = () => Promise.reject(new Error('down'));
      const letters = seawall.policy(workerData.name, seawall.deadLetter(workerData.name, { store: workerData.store }), seawall.retry({ maxAttempts: 1 }));
      const guarded = letters(fail);
      say('begins');
      (async () => { for (;;) await guarded(1).catch(() => undefined); })();
    `;
    const name = fresh();
    const store = `sqlite:///${folder}`;
    for (let round = 0; round < 8; round++) {
      const isolate = new Isolate(source, { name, store });
      await isolate.heard();
      for (let turns = 0; turns < round * 4; turns++) await turn();
      await isolate.terminate();
    }
    const queue = new seawall.DeadLetterQueue(name, { store });
    const { ready } = await queue.stats();
    await queue.put('one more', { error: new Error('down') });
    assert.equal((await queue.stats()).ready, ready + 1);
  });

  test('a process whose only hope is a queued call ends, as ever', async () => {
    const source = `
      const seawall = require(${JSON.stringify(index)});
      const policy = seawall.bulkhead({ maxConcurrent: 1, maxQueue: 1 });
      policy.run(() => new Promise(() => undefined));
      policy.run(() => undefined);
    `;
    const { stdout } = await promisify(execFile)(process.execPath, ['-e', source], { timeout: 60_000 });
    assert.equal(stdout, '');
  });
});
