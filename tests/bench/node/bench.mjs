// What a guarded call costs over the bare async call, beside peers, in one process.
//
//     make bench-node            or: node tests/bench/node/bench.mjs [--rounds N]
//
// All rows are visited once in each round, so that drift of the machine hits them alike. A figure is the median over rounds of (row - bare) in the same
// round; behind it the quartiles. Two figures whose quartiles overlap are not told apart. Peers come from this folder's own package.json.

import { createRequire } from 'node:module';
import v8 from 'node:v8';
import vm from 'node:vm';

// By its path: this folder is a package of its own, so the name would be searched among the peers.
import * as seawall from '../../../bindings-node/esm/index.mjs';

const rounds = Number(process.argv[process.argv.indexOf('--rounds') + 1] || 0) || 60;
const CALLS = 2_000;
const require = createRequire(import.meta.url);
const HOUR = 3_600_000;

const work = async (a, b) => a + b;
const fail = async () => {
  throw new Error('down');
};
const waiting = () => new Promise((resolve) => setImmediate(resolve, 3));

/** A peer, or nothing where it is not installed. */
function peer(name) {
  try {
    return require(name);
  } catch {
    console.log(`${name} is not installed; run npm install in tests/bench/node`);
    return undefined;
  }
}

function ours() {
  const breaker = () => seawall.circuitBreaker({ failureRatio: 0.5, samplingDuration: 10_000, breakDuration: HOUR, maxBreakDuration: HOUR });
  const stack = (name) =>
    seawall.policy(name, seawall.fallback(0), seawall.retry({ maxAttempts: 4 }), breaker(), seawall.bulkhead({ maxConcurrent: 200, maxQueue: 1000 }), seawall.timeout({ attempt: 1000 }));
  const timeout = seawall.timeout({ attempt: 1000 });
  return {
    breaker: breaker()(work),
    retry: seawall.retry({ maxAttempts: 4 })(work),
    bulkhead: seawall.bulkhead({ maxConcurrent: 200, maxQueue: 1000 })(work),
    timeout: timeout(work),
    'timeout, signal read': () => timeout.run(({ signal }) => work(signal, 1)),
    stack: stack('bench-stack')(work),
    rejected: seawall.circuitBreaker({ consecutiveFailures: 1, breakDuration: HOUR, maxBreakDuration: HOUR })(fail),
    throughput: stack('bench-throughput')(waiting),
  };
}

function cockatiel() {
  const lib = peer('cockatiel');
  if (lib === undefined) return {};
  const { circuitBreaker, retry, bulkhead, timeout, fallback, wrap, handleAll, ConsecutiveBreaker, SamplingBreaker, TimeoutStrategy } = lib;
  const windowed = () => circuitBreaker(handleAll, { halfOpenAfter: HOUR, breaker: new SamplingBreaker({ threshold: 0.5, duration: 10_000 }) });
  const stack = () =>
    wrap(fallback(handleAll, 0), retry(handleAll, { maxAttempts: 3 }), windowed(), bulkhead(200, 1000), timeout(1000, TimeoutStrategy.Aggressive));
  const rows = { breaker: windowed(), retry: retry(handleAll, { maxAttempts: 3 }), bulkhead: bulkhead(200, 1000), timeout: timeout(1000, TimeoutStrategy.Aggressive), stack: stack() };
  const open = circuitBreaker(handleAll, { halfOpenAfter: HOUR, breaker: new ConsecutiveBreaker(1) });
  const slow = stack();
  const guarded = Object.fromEntries(Object.entries(rows).map(([row, policy]) => [row, () => policy.execute(() => work(1, 2))]));
  return { ...guarded, rejected: () => open.execute(fail), throughput: () => slow.execute(waiting) };
}

function opossum() {
  const Breaker = peer('opossum');
  if (Breaker === undefined) return {};
  const make = (fn, options) => {
    const breaker = new Breaker(fn, { resetTimeout: HOUR, rollingCountTimeout: 10_000, ...options });
    return () => breaker.fire(1, 2);
  };
  return {
    breaker: make(work, { timeout: false }),
    bulkhead: make(work, { timeout: false, capacity: 200 }),
    timeout: make(work, { timeout: 1000 }),
    rejected: make(fail, { timeout: false, errorThresholdPercentage: 1, volumeThreshold: 0 }),
  };
}

v8.setFlagsFromString('--expose-gc');
const gc = vm.runInNewContext('gc');

const quartile = (sorted, part) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];

/** Nanoseconds of one awaited call. */
async function time(call) {
  // No row pays for what another one left.
  gc();
  const begun = process.hrtime.bigint();
  for (let place = 0; place < CALLS; place++) {
    try {
      await call(1, 2);
    } catch {
      // Rejected rows.
    }
  }
  return Number(process.hrtime.bigint() - begun) / CALLS;
}

/** Calls per second with a hundred in flight, each waiting for one turn of the event loop. */
async function throughput(call) {
  const each = 100;
  const begun = process.hrtime.bigint();
  await Promise.all(
    Array.from({ length: 100 }, async () => {
      for (let place = 0; place < each; place++) await call(1, 2);
    }),
  );
  return (100 * each * 1e9) / Number(process.hrtime.bigint() - begun);
}

function show(figures) {
  const sorted = [...figures].sort((a, b) => a - b);
  const [low, middle, high] = [0.25, 0.5, 0.75].map((part) => Math.round(quartile(sorted, part)));
  return `${middle} (${low}..${high})`;
}

const libraries = { seawall: ours(), cockatiel: cockatiel(), opossum: opossum() };
const over = {};
const perSecond = {};
const bare = [];
for (const rows of Object.values(libraries)) await rows.rejected?.(1, 2).catch(() => undefined);
for (let round = -10; round < rounds; round++) {
  const floor = await time(work);
  if (round >= 0) bare.push(floor);
  for (const [library, { throughput: inFlight, ...rows }] of Object.entries(libraries)) {
    for (const [row, call] of Object.entries(rows)) {
      const figure = (await time(call)) - floor;
      if (round >= 0) ((over[row] ??= {})[library] ??= []).push(figure);
    }
    if (inFlight !== undefined && round >= 0 && round % 10 === 0) (perSecond[library] ??= []).push(await throughput(inFlight));
  }
}

console.log(`Node ${process.version}; ${rounds} rounds of ${CALLS} calls; the bare async call takes ${show(bare)} ns`);
console.log('nanoseconds over the bare async call: median (quartiles)\n');
console.log(`| row | ${Object.keys(libraries).join(' | ')} |\n|---|${'---:|'.repeat(Object.keys(libraries).length)}`);
for (const [row, figures] of Object.entries(over)) {
  console.log(`| ${row} | ${Object.keys(libraries).map((library) => (figures[library] === undefined ? '' : show(figures[library]))).join(' | ')} |`);
}
for (const [library, figures] of Object.entries(perSecond)) console.log(`\n${library}, stack, 100 in flight: ${show(figures)} calls a second`);

const heap = () => (gc(), gc(), process.memoryUsage().heapUsed);
const kept = [];
const before = heap();
for (let place = 0; place < 5_000; place++) kept.push(seawall.circuitBreaker({ failureRatio: 0.5, samplingDuration: 10_000 }));
console.log(`\nJavaScript heap of a breaker: ${Math.round((heap() - before) / kept.length)} bytes`);
