// jest's fake timers, in jest's own realm, modern and legacy.

/* global afterEach, beforeEach, describe, jest, test */

const { acrossTheSwitch, reset, scenariosFor } = require('./scenarios.cjs');

const immediate = setImmediate;
async function settle() {
  for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => immediate(resolve));
}

const kinds = {
  modern: {
    options: undefined,
    hasDate: true,
    advance: async (ms) => {
      await jest.advanceTimersByTimeAsync(ms);
      await settle();
    },
  },
  legacy: {
    options: { legacyFakeTimers: true },
    hasDate: false,
    advance: async (ms) => {
      await settle();
      jest.advanceTimersByTime(ms);
      await settle();
    },
  },
};

beforeEach(() => reset());
afterEach(() => jest.useRealTimers());

describe.each(Object.entries(kinds))('%s', (_, { options, hasDate, advance }) => {
  const fake = () => {
    jest.useFakeTimers(options);
    return { hasDate, advance };
  };
  test.each(scenariosFor(hasDate))('%s', async (_title, play) => {
    fake();
    await play(advance, hasDate);
  });
  test('a switch of clocks moves nothing', () => acrossTheSwitch(fake, () => jest.useRealTimers()));
});
