// sinon's fake timers, in node:test; and node:test's own.

import { mock, test } from 'node:test';

import sinon from 'sinon';

import { acrossTheSwitch, reset, scenariosFor } from './scenarios.cjs';

const immediate = setImmediate;
async function settle() {
  for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => immediate(resolve));
}

let clock;
const fakes = {
  'sinon, all but nextTick, which the runner itself needs': {
    fake: () => {
      clock = sinon.useFakeTimers({ toNotFake: ['nextTick'] });
      return { hasDate: true, advance: (ms) => clock.tickAsync(ms).then(settle) };
    },
    restore: () => clock.restore(),
  },
  'sinon, setTimeout and Date': {
    fake: () => {
      clock = sinon.useFakeTimers({ now: 1_000_000_000_000, toFake: ['setTimeout', 'clearTimeout', 'Date'] });
      return { hasDate: true, advance: (ms) => clock.tickAsync(ms).then(settle) };
    },
    restore: () => clock.restore(),
  },
  ...Object.fromEntries(
    [['setTimeout', 'Date'], ['setTimeout']].map((apis) => [
      `node:test, ${apis.join(' and ')}`,
      {
        fake: () => {
          mock.timers.enable({ apis });
          const advance = async (ms) => {
            await settle();
            mock.timers.tick(ms);
            await settle();
          };
          return { hasDate: apis.includes('Date'), advance };
        },
        hasDate: apis.includes('Date'),
        restore: () => mock.timers.reset(),
      },
    ]),
  ),
};

for (const [name, { fake, restore, hasDate = true }] of Object.entries(fakes)) {
  for (const [title, play] of scenariosFor(hasDate)) {
    test(`${name}: ${title}`, async () => {
      reset();
      const { advance } = fake();
      try {
        await play(advance, hasDate);
      } finally {
        restore();
      }
    });
  }
  test(`${name}: a switch of clocks moves nothing`, async () => {
    reset();
    await acrossTheSwitch(fake, restore);
  });
}
