/**
 * Time as the driver reads it, waits, and timers that race work.
 *
 * Three sources: virtual time while `seawall/testing` is active; the steps of a fake clock while the global `Date` or `setTimeout` is not
 * the one seen at load; `performance.now()` otherwise. Globals are looked up at each use, so that fake timers work without us.
 *
 * All isolates of a process share their policies' state, with instants in it: each counts from where the clock of the process stands when it loads this, for
 * `performance.now()` begins anew in each.
 */

import { DeadlineList, Racer } from './deadlines.js';
import { native } from './native.js';

const RealDate = globalThis.Date;
const realSetTimeout = globalThis.setTimeout;
const realSetImmediate = globalThis.setImmediate;
const realNow = performance.now.bind(performance);

/** Virtual time, put in force by `seawall/testing`. */
export interface VirtualTime {
  readonly now: number;
  /** Asks for a wait of ours: undefined if the clock has moved on by it at once, else `fire` is called when it is over. */
  wait(ms: number, fire: () => void): Racer | undefined;
  /** Arms a timer that fires on `advance` only. */
  race(ms: number, fire: () => void): Racer;
}

let virtual: VirtualTime | undefined;

/** Puts virtual time in force, or takes it away. */
export function useVirtual(time: VirtualTime | undefined): void {
  virtual = time;
  coarseLeft = 0;
  racing.clear();
}

/** Whether the timers of the process are its own and not somebody's fakes. By bare names: as properties of an object they would cost a search each. */
function isReal(): boolean {
  return Date === RealDate && setTimeout === realSetTimeout;
}

/** Stands for the real clock among the sources; fakes are known by their `Date`, which may be the real one where they fake timers alone. */
const REAL = Symbol('real');
let source: unknown = REAL;
let reading = realNow();
let total = native.clockNow();

/** Milliseconds that only grow. A switch between real and fake time rebases and moves nothing. */
export function now(): number {
  if (virtual !== undefined) return virtual.now;
  const real = isReal();
  const nextSource = real ? REAL : globalThis.Date;
  const next = real ? realNow() : globalThis.Date.now();
  if (nextSource === source && next > reading) total += next - reading;
  source = nextSource;
  reading = next;
  return total;
}

const COARSE_MS = 1;
const COARSE_READS = 256;
let coarseReading = 0;
let coarseLeft = 0;
let isExpiring = false;

/**
 * As `now()`, and a millisecond or two late, as long as nothing blocks. Between two readings it costs a comparison: it is read again
 * when a timer of the host says so, and after so many calls, for a loop may starve timers.
 */
export function coarse(): number {
  if (coarseLeft > 0 && virtual === undefined && isReal()) {
    coarseLeft -= 1;
    return coarseReading;
  }
  return readCoarse();
}

function readCoarse(): number {
  const read = now();
  if (virtual !== undefined || !isReal()) return read;
  coarseReading = read;
  coarseLeft = COARSE_READS;
  if (!isExpiring) {
    isExpiring = true;
    realSetTimeout(() => {
      isExpiring = false;
      coarseLeft = 0;
    }, COARSE_MS).unref();
  }
  return read;
}

/** The wall clock, for records and HTTP dates only. */
export function wallNow(): number {
  return globalThis.Date.now();
}

/** One turn of the event loop, whatever timers are faked. */
export function turn(): Promise<void> {
  return new Promise((resolve) => void realSetImmediate(resolve));
}

/** A timer that can be called off. */
export type Cancel = () => void;

/** Arms the host's own timer. Node may fire a millisecond early, so real timers get one more. */
export function hostTimer(ms: number, fire: () => void, ref: boolean): Cancel {
  const clear = globalThis.clearTimeout;
  const timer = isReal() ? globalThis.setTimeout(fire, ms + 1) : globalThis.setTimeout(fireAt(now() + ms, fire), ms);
  // Fake timers of some libraries are numbers.
  if (!ref && typeof timer === 'object') timer.unref?.();
  return () => clear(timer);
}

/** A fake timer says what time it is: the fakes may come without a clock. */
function fireAt(due: number, fire: () => void): () => void {
  return () => {
    total = Math.max(now(), due);
    fire();
  };
}

/** Waits for exactly `ms`, once; `fire` is called afterwards, never before this returns. */
export function sleep(ms: number, fire: () => void): Cancel {
  if (virtual === undefined) return hostTimer(ms, fire, true);
  const racer = virtual.wait(ms, fire);
  if (racer !== undefined) return () => racer.cancel();
  let wanted = true;
  void Promise.resolve().then(() => {
    if (wanted) fire();
  });
  return () => {
    wanted = false;
  };
}

const racing = new DeadlineList(now, (ms, fire) => hostTimer(ms, fire, false));

/** Arms a timer that races work from `from`, which is now. All of them share one timer of the host, which does not keep the process alive. */
export function race(ms: number, fire: () => void, from = now()): Racer {
  if (virtual !== undefined) return virtual.race(ms, fire);
  return isReal() ? racing.add(from + ms, fire) : alone(ms, fire);
}

/** Fake timers are thrown away with all that was armed, so that nothing may depend on one of them being left: each racer has its own. */
function alone(ms: number, fire: () => void): Racer {
  const stop = hostTimer(ms, () => {
    racer.done = true;
    fire();
  }, false);
  const racer = new Racer(ms, fire, stop);
  return racer;
}
