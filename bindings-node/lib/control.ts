/**
 * Following the control file of the host: a timer that looks four times a second, by real time, from the first policy that has a name on. It is never part of a call, and
 * keeps no process alive. `SEAWALL_CONTROL=off` in the environment leaves it out.
 */

import * as clock from './clock.js';
import { emitRecords } from './events.js';
import { native } from './native.js';
import { wake } from './tickets.js';

const INTERVAL_MS = 250;
// The host's own, looked up once: somebody outside asks by real time, whatever timers are faked.
const { setInterval } = globalThis;

let isFollowing = false;

/** Begins to follow the file, unless this isolate does already, or is not to. */
export function follow(): void {
  if (isFollowing) return;
  isFollowing = true;
  if (native.controlIsOn()) setInterval(look, INTERVAL_MS).unref();
}

function look(): void {
  const { events, tickets } = native.controlLook(clock.now());
  tickets.forEach(wake);
  emitRecords(events);
}
