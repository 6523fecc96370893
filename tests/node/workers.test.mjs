// Worker threads: isolates with event loops of their own, which share every policy's state.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

const require = createRequire(import.meta.url);
const index = fileURLToPath(new URL('../../bindings-node/dist/index.js', import.meta.url));
// The module that the workers load, and not a copy of it.
const seawall = require(index);

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
});
