/** Events: to hooks, to `diagnostics_channel`, and as JSON lines. */

import { channel } from 'node:diagnostics_channel';

import { ConfigError } from './errors.js';
import { native } from './native.js';
import type { EventName } from './table.js';

/** One event, with the names that log lines and the other languages use: `event`, `severity`, `policy`, `key`, `correlation_id`, and its own fields. */
export interface SeawallEvent {
  readonly event: EventName;
  readonly severity: 'debug' | 'info' | 'warning' | 'error';
  readonly policy: string;
  readonly correlation_id?: string;
  readonly key?: string;
  readonly [field: string]: unknown;
}

/** Called for every event, on the calling thread. Must not be async; what it throws is reported once. */
export type Hook = (event: SeawallEvent) => void;

const hooks = new Set<{ hook: Hook }>();
const reported = new WeakSet<Hook>();
let delivering = false;

/** Subscribes to events. Gives the way to unsubscribe. An async function is refused: nobody would await it. */
export function onEvent(hook: Hook): () => void {
  if (typeof hook !== 'function' || hook.constructor.name === 'AsyncFunction') {
    throw new ConfigError('expected a plain function, not an async one; it runs within the call that it hears of', 'onEvent');
  }
  const entry = { hook };
  hooks.add(entry);
  return () => void hooks.delete(entry);
}

/** The event as one JSON line, the same keys in the same order in every language. */
export function eventLine(event: SeawallEvent): string {
  return native.eventLine(JSON.stringify(event));
}

/** Gives native records to hooks and channels, in order. */
export function emitRecords(records: readonly string[]): void {
  for (const record of records) emit(JSON.parse(record) as SeawallEvent);
}

/** Gives one event to hooks and channels. Events that hooks raise reach neither, or they would never end. */
export function emit(event: SeawallEvent): void {
  if (delivering) return;
  const topic = channel(`seawall:${event.event.slice(0, event.event.indexOf('.'))}`);
  if (hooks.size === 0 && !topic.hasSubscribers) return;
  delivering = true;
  try {
    for (const { hook } of [...hooks]) tell(hook, event);
    topic.publish(event);
  } finally {
    delivering = false;
  }
}

const aboutCalls = channel('seawall:call');

/** Whether anybody would hear of a call's rejection. */
export function isRejectionHeard(): boolean {
  return hooks.size > 0 || aboutCalls.hasSubscribers;
}

/** Tells one hook; what it throws stays here. */
function tell(hook: Hook, event: SeawallEvent): void {
  try {
    const result: unknown = hook(event);
    if (result instanceof Promise) {
      result.catch(() => undefined);
      report(hook, 'returned a promise; nobody awaits it');
    }
  } catch (error) {
    report(hook, `threw ${String(error)}`);
  }
}

function report(hook: Hook, what: string): void {
  if (reported.has(hook)) return;
  reported.add(hook);
  process.emitWarning(`an event hook ${what}; reported once`, 'SeawallWarning');
}
