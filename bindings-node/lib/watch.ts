/** Watching the policy file: a timer that looks about twice a second, until the next load or until everything is forgotten. */

import * as clock from './clock.js';
import { noteLoad } from './core.js';
import { emitRecords } from './events.js';
import { type Handle, type Loaded, native } from './native.js';
import { wake } from './tickets.js';

const INTERVAL_MS = 500;
// The host's own, looked up once: files change by real time, whatever timers are faked.
const { setInterval, clearInterval } = globalThis;

let stop = (): void => undefined;

/** Makes a watch of the file as it is now. It does nothing before it is given to `watch`. */
export function prepare(path: string, env: string | null): Handle {
  return native.watchNew(path, env);
}

/** Watches this file instead of the one before, or none. Keeps no process alive. */
export function watch(handle: Handle | undefined): void {
  stop();
  if (handle === undefined) return;
  const timer = setInterval(() => settle(native.watchLook(handle, clock.now())), INTERVAL_MS);
  timer.unref();
  stop = () => {
    stop = () => undefined;
    clearInterval(timer);
    native.watchDrop(handle);
  };
}

/** What is to be done after a load: calls that were given a slot go on, and hooks hear of it. */
export function settle({ events, tickets }: Loaded): void {
  if (events.length === 0) return;
  noteLoad();
  tickets.forEach(wake);
  emitRecords(events);
}
