/** What belongs to the whole process: the policy file, metrics, and what is still to be written. */

import { ConfigError, guardNative } from './errors.js';
import * as clock from './clock.js';
import { toMs } from './duration.js';
import { type Loaded, native } from './native.js';
import { underWay } from './queues.js';
import type { DurationLike } from './table.js';
import { prepare, settle, watch } from './watch.js';

/** How a policy file is loaded. */
export interface LoadOptions {
  /** The `[env.NAME]` tables that go over the rest. Default: `$SEAWALL_ENV`. */
  env?: string;
  /**
   * Looks at the file about twice a second from now on, and loads it again when it has changed. A bad file is refused by the event `config.refused`, which says
   * why, once; one that is gone changes nothing. It is watched until the next load, and keeps no process alive.
   */
  watch?: boolean;
}

/**
 * Loads a policy file. Default: `$SEAWALL_CONFIG`. Policies in use change too, all of them or none: thresholds and mode at the next judgement, retry and timeouts
 * for calls that begin. A bad file changes nothing and throws; one that would change what a policy is, such as its set of strategies, is refused by the event
 * `config.refused`.
 */
export function load(path = process.env['SEAWALL_CONFIG'], options: LoadOptions = {}): void {
  if (typeof path !== 'string' || path === '') throw new ConfigError('give the path of a policy file, or set SEAWALL_CONFIG', 'load');
  const { watch: isWatched = false } = options;
  if (typeof isWatched !== 'boolean') throw new ConfigError(`expected true or false, not ${typeof isWatched}`, 'load.watch');
  const env = options.env ?? process.env['SEAWALL_ENV'] ?? null;
  // Made before the file is loaded: a change in between is one that the watch is to see.
  const handle = isWatched ? prepare(path, env) : undefined;
  let loaded: Loaded;
  try {
    loaded = guardNative(() => native.load(path, env, clock.now()));
  } catch (error) {
    // The file before stays in force, and watched.
    if (handle !== undefined) native.watchDrop(handle);
    throw error;
  }
  watch(handle);
  settle(loaded);
}

/**
 * All metrics of this process as Prometheus text: what a `/metrics` answers, with the content type `text/plain; version=0.0.4`. With `openMetrics` as OpenMetrics
 * text, of the type `application/openmetrics-text; version=1.0.0; charset=utf-8`.
 */
export function metrics(options: { openMetrics?: boolean } = {}): string {
  return native.metrics(options.openMetrics === true);
}

/** The same by policy and metric. */
export function snapshot(): Record<string, Record<string, number>> {
  return JSON.parse(native.snapshot()) as Record<string, Record<string, number>>;
}

/** Waits until what is being written to dead-letter queues is written, at most `timeout` (default: 5 s). Tells whether it is. */
export async function flush(options: { timeout?: DurationLike } = {}): Promise<boolean> {
  const timeout = toMs(options.timeout ?? '5s', 'flush.timeout');
  const ends = process.hrtime.bigint() + BigInt(Math.ceil(timeout)) * 1_000_000n;
  let isOver = false;
  let stop = (): void => undefined;
  const over = new Promise<void>((resolve) => {
    stop = clock.hostTimer(timeout, () => {
      isOver = true;
      resolve();
    }, true);
  });
  while (underWay().size > 0 && !isOver) await Promise.race([over, Promise.allSettled([...underWay()])]);
  stop();
  if (underWay().size > 0) return false;
  // What nobody waits for lies in memory still.
  return (await native.lettersFlush(Math.max(Number((ends - process.hrtime.bigint()) / 1_000_000n), 0))) === 'true';
}
