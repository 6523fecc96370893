/** Virtual time and a clean slate, for tests. */

import * as driverClock from './clock.js';
import { forgetHandles } from './core.js';
import { insert, Racer } from './deadlines.js';
import { disable } from './disabled.js';
import { toMs } from './duration.js';
import { ConfigError } from './errors.js';
import { native } from './native.js';
import { forgetQueues, underWay } from './queues.js';
import { forgetStale } from './stale.js';
import type { DurationLike } from './table.js';
import { watch } from './watch.js';

export interface ClockOptions {
  /** A wait of ours moves the clock on at once. Default: true. */
  autoAdvance?: boolean;
  /** Seed of every policy that has none of its own. Default: 0. */
  seed?: number;
}

/** Virtual time for every policy of the process. It starts at 0. */
export interface TestClock {
  /** Milliseconds since the clock was made. */
  readonly now: number;
  /** The waits asked for (back-off, rate limit, injected latency), in milliseconds. */
  readonly sleeps: readonly number[];
  /** Moves on, from timer to timer, with everything at rest in between. */
  advance(by: DurationLike): Promise<void>;
  /** Back to real time. All state is forgotten, as when the clock was made. */
  restore(): void;
  [Symbol.dispose](): void;
}

let active: VirtualClock | undefined;

/** Puts virtual time in force, forgets all state and arms chaos, until `restore()`. */
export function clock(options: ClockOptions = {}): TestClock {
  if (active !== undefined) throw new ConfigError('a clock is active already; restore it first', 'testing.clock');
  active = new VirtualClock(options.autoAdvance ?? true, options.seed ?? 0);
  return active;
}

/** Forgets every state, name, loaded file (which is watched no longer) and letter in memory. */
export function reset(): void {
  forget(null);
}

/** Switches every policy off: what they guard is called directly. Gives the way back. */
export function disabled(): { restore(): void; [Symbol.dispose](): void } {
  const restore = disable();
  return { restore, [Symbol.dispose]: restore };
}

function forget(seed: number | null): void {
  watch(undefined);
  native.resetAll(seed);
  forgetHandles();
  forgetQueues();
  forgetStale();
}

class VirtualClock implements TestClock, driverClock.VirtualTime {
  readonly sleeps: number[] = [];
  private readonly timers: Racer[] = [];
  private time = 0;
  private readonly wasArmed = native.armed();

  constructor(
    private readonly autoAdvance: boolean,
    seed: number,
  ) {
    forget(seed);
    native.arm(true);
    native.clockVirtual(0);
    driverClock.useVirtual(this);
  }

  get now(): number {
    return this.time;
  }

  wait(ms: number, fire: () => void): Racer | undefined {
    this.sleeps.push(ms);
    if (!this.autoAdvance) return this.race(ms, fire);
    this.moveTo(this.time + ms);
    return undefined;
  }

  race(ms: number, fire: () => void): Racer {
    const racer = new Racer(this.time + ms, fire);
    insert(this.timers, racer);
    return racer;
  }

  async advance(by: DurationLike): Promise<void> {
    const target = this.time + toMs(by, 'advance');
    await this.settle();
    while (await this.step(target));
  }

  /** Moves to the next timer due by `target`, fires it and comes to rest; or to `target` itself, which gives false. */
  async step(target: number): Promise<boolean> {
    const next = this.next(target);
    this.moveTo(next?.at ?? target);
    if (next === undefined) return false;
    next.fire();
    await this.settle();
    return true;
  }

  /** Until nothing more happens by itself: promises have settled and letters are written. */
  async settle(): Promise<void> {
    do {
      await driverClock.turn();
    } while (underWay().size > 0);
  }

  private next(target: number): Racer | undefined {
    while (this.timers[0]?.done) this.timers.shift();
    return this.timers[0] !== undefined && this.timers[0].at <= target ? this.timers.shift() : undefined;
  }

  private moveTo(time: number): void {
    if (time <= this.time) return;
    native.clockAdvance(time - this.time);
    this.time = time;
  }

  restore(): void {
    if (active !== this) return;
    active = undefined;
    driverClock.useVirtual(undefined);
    native.clockReal();
    native.arm(this.wasArmed);
    forget(null);
  }

  [Symbol.dispose](): void {
    this.restore();
  }
}
