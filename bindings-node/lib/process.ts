/** What belongs to the whole process: the policy file, metrics, and what is still to be written. */

import { ConfigError, guardNative } from './errors.js';
import * as clock from './clock.js';
import { noteLoad } from './core.js';
import { toMs } from './duration.js';
import { emitRecords } from './events.js';
import { native } from './native.js';
import { underWay } from './queues.js';
import { wake } from './tickets.js';
import type { DurationLike } from './table.js';

/**
 * Loads a policy file. Default: `$SEAWALL_CONFIG`, and `$SEAWALL_ENV` for `env`. Policies in use change too, all of them or none: thresholds and mode at the
 * next judgement, retry and timeouts for calls that begin. A bad file changes nothing and throws; one that would change what a policy is, such as its set of
 * strategies, is refused by the event `config.refused`.
 */
export function load(path = process.env['SEAWALL_CONFIG'], options: { env?: string } = {}): void {
  if (typeof path !== 'string' || path === '') throw new ConfigError('give the path of a policy file, or set SEAWALL_CONFIG', 'load');
  const { events, tickets } = guardNative(() => native.load(path, options.env ?? process.env['SEAWALL_ENV'] ?? null, clock.now()));
  noteLoad();
  tickets.forEach(wake);
  emitRecords(events);
}

/** All metrics as Prometheus text. */
export function metrics(): string {
  return native.metrics();
}

/** The same by policy and metric. */
export function snapshot(): Record<string, Record<string, number>> {
  return JSON.parse(native.snapshot()) as Record<string, Record<string, number>>;
}

/** Waits until what is being written to dead-letter queues is written, at most `timeout` (default: 5 s). Tells whether it is. */
export async function flush(options: { timeout?: DurationLike } = {}): Promise<boolean> {
  let isOver = false;
  let stop = (): void => undefined;
  const over = new Promise<void>((resolve) => {
    stop = clock.hostTimer(toMs(options.timeout ?? '5s', 'flush.timeout'), () => {
      isOver = true;
      resolve();
    }, true);
  });
  while (underWay().size > 0 && !isOver) await Promise.race([over, Promise.allSettled([...underWay()])]);
  stop();
  return underWay().size === 0;
}
