// vitest's fake timers.

import { afterEach, beforeEach, test, vi } from 'vitest';

import { acrossTheSwitch, reset, scenariosFor } from './scenarios.cjs';

const immediate = setImmediate;
async function advance(ms) {
  await vi.advanceTimersByTimeAsync(ms);
  for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => immediate(resolve));
}

beforeEach(() => reset());
afterEach(() => vi.useRealTimers());

for (const [name, options] of [['the default', undefined], ['everything', { toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'setImmediate', 'clearImmediate', 'Date', 'performance', 'queueMicrotask'] }]]) {
  const fake = () => {
    vi.useFakeTimers(options);
    return { hasDate: true, advance };
  };
  for (const [title, play] of scenariosFor(true)) {
    test(`${name}: ${title}`, async () => {
      fake();
      await play(advance, true);
    });
  }
  test(`${name}: a switch of clocks moves nothing`, () => acrossTheSwitch(fake, () => vi.useRealTimers()));
}
