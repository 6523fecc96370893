// A bare name finds the definition in code, functions included.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';

import * as seawall from 'seawall';
import { clock, reset } from 'seawall/testing';

const { chaos, circuitBreaker, deadLetter, fallback, policy, retry } = seawall;

let folder;
beforeEach(() => {
  reset();
  folder = mkdtempSync(join(tmpdir(), 'seawall-'));
});
afterEach(() => {
  reset();
  rmSync(folder, { recursive: true });
});

const down = () => {
  throw Object.assign(new Error('down'), { code: 'ECONNREFUSED' });
};

function load(text) {
  const path = join(folder, 'seawall.toml');
  writeFileSync(path, text);
  seawall.load(path);
  return path;
}

for (const isUsedFirst of [true, false]) {
  test(`its fallback answers, ${isUsedFirst ? 'used' : 'unused'} before`, async () => {
    const defined = policy('shared', fallback((...args) => `instead of ${args}`));
    if (isUsedFirst) assert.equal(await defined(down)(1), 'instead of 1');
    assert.equal(await policy('shared')(down)(2), 'instead of 2');
  });
}

test('its judges say what counts', async () => {
  const time = clock();
  try {
    const asked = [];
    const retryAfter = (error) => {
      asked.push(error.message);
      return '2s';
    };
    policy('judged', retry({ maxAttempts: 2, on: RangeError, retryAfter, onResult: (it) => it === 'bad', jitter: 'none' }));
    const bare = policy('judged');
    await assert.rejects(bare.run(down), /down/);
    assert.equal(time.sleeps.length, 0);
    await assert.rejects(bare.run(() => {
      throw new RangeError('out');
    }), /out/);
    assert.ok(asked.includes('out'));
    assert.ok(time.sleeps.length === 1 && time.sleeps[0] >= 2000);
    assert.equal(await bare.run(() => 'bad'), 'bad');
    assert.equal(time.sleeps.length, 2);
  } finally {
    time.restore();
  }
});

test('its key and mode hold, and a bare name may bring its own', async () => {
  let asked = 0;
  const mode = () => {
    asked += 1;
    return 'enforce';
  };
  policy('keyed', { key: (tenant) => tenant, mode }, circuitBreaker({ consecutiveFailures: 1 }));
  const bare = policy('keyed');
  await assert.rejects(bare(down)('a'), /down/);
  assert.deepEqual([bare.using({ key: 'a' }).breaker.state, bare.using({ key: 'b' }).breaker.state], ['open', 'closed']);
  assert.equal(asked, 1);
  await assert.rejects(bare.run(down), seawall.ConfigError);
  const other = policy('keyed', { key: (tenant) => `${tenant}${tenant}`, mode: () => 'disabled' });
  await assert.rejects(other(down)('b'), /down/);
  assert.equal(bare.using({ key: 'bb' }).breaker.state, 'closed');
  assert.equal(asked, 1);
});

test('its letter is captured', async () => {
  const store = `sqlite:///${folder}`;
  policy('kept', deadLetter('kept', { store, capture: (order) => ({ order }) }));
  await assert.rejects(policy('kept')(down)(7), /down/);
  const [letter] = await new seawall.DeadLetterQueue('kept', { store }).peek();
  assert.deepEqual(letter.payload, { order: 7 });
});

test('after a reset a definition counts from its next use', async () => {
  const held = policy('held', fallback(() => 'held'));
  reset();
  await assert.rejects(policy('held').run(down), /down/);
  assert.equal(await held.run(down), 'held');
  assert.equal(await policy('held').run(down), 'held');
  reset();
  const again = policy('held', fallback(() => 'new'));
  assert.equal(await policy('held').run(down), 'new');
  assert.deepEqual([await held.run(down), await again.run(down)], ['held', 'new'], 'callables belong to the object');
});

test('a definition made after a bare name was used is found', async () => {
  const bare = policy('later');
  await assert.rejects(bare.run(down), /down/);
  const defined = policy('later', fallback(() => 'now'));
  assert.deepEqual([await bare.run(down), await defined.run(down)], ['now', 'now']);
});

test('it is found by a function that a bare name guards already', async () => {
  let calls = 0;
  const work = policy('quick')(async () => {
    calls += 1;
    return 'bad';
  });
  for (let call = 0; call < 40; call++) assert.equal(await work(), 'bad');
  const defined = policy('quick', retry({ maxAttempts: 2, baseDelay: 0, onResult: (it) => it === 'bad' }));
  for (let call = 0; call < 40; call++) assert.equal(await work(), 'bad');
  assert.ok(calls > 80, `${calls} calls`);
  reset();
  assert.equal(await work(), 'bad');
  assert.equal(defined.name, 'quick');
});

test('a strategy that is a part of a policy of its name is no definition', async () => {
  policy('part', retry({ name: 'part', maxAttempts: 2, baseDelay: 0 }), fallback(() => 'whole'));
  assert.equal(await policy('part').run(down), 'whole');
});

test("a file tunes a fallback, whose value else stays the code's own object", async () => {
  load('[policy.tuned]\nfallback = { value = "from the file" }\n');
  policy('tuned', fallback({ value: 'from code' }));
  assert.equal(await policy('tuned').run(down), 'from the file');
  for (const value of [{ b: 1, a: [2, {}], c: undefined }, null, new Date(0)]) {
    reset();
    assert.equal(await policy('tuned', fallback({ value })).run(down), value);
  }
});

test('a file adds no fallback', async () => {
  for (const parts of [[], [retry({ baseDelay: 0 })]]) {
    reset();
    const path = load('[policy.added]\nfallback = { value = "from the file" }\n');
    const isRight = (error) => error instanceof seawall.ConfigError && error.path === `${path}.policy.added.fallback` && /a file may tune/.test(error.message);
    await assert.rejects(policy('added', ...parts).run(down), isRight);
  }
});

test('what only code can give is refused in a file', () => {
  for (const [strategy, option, given] of [['chaos', 'fault', '"outage"'], ['chaos', 'outcome', '1'], ['fallback', 'steps', '1']]) {
    assert.throws(
      () => load(`[policy.added]\n${strategy} = { ${option} = ${given} }\n`),
      (error) => error instanceof seawall.ConfigError && error.path.endsWith(`policy.added.${strategy}.${option}`) && /only code can give/.test(error.message),
    );
  }
  assert.ok(chaos({ fault: 'outage', rate: 0.5, expiresIn: '1h' }), 'and code does');
});

test('what counts is asked of somebody', () => {
  assert.throws(() => policy('nobody', { on: RangeError }), (error) => error instanceof seawall.ConfigError && error.path === 'nobody.on');
});
