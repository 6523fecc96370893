/**
 * Results that were good and may be given again in place of an error. The values stay here, by the slots that the native side gives them; what is too old or too
 * much is decided there.
 */

import { textOf } from './by-value.js';
import * as clock from './clock.js';
import type { Core } from './core.js';
import type { Run } from './driver.js';
import { encode } from './encode.js';
import { emit } from './events.js';
import { native } from './native.js';
import { quietly } from './user-code.js';

type Values = Map<number, unknown>;

/** Who shares a name shares the slots, and so the values. */
let named = new Map<string, Values>();
let unnamed = new WeakMap<Core, Values>();
let complained = new WeakSet<Core>();

/** Forgets every value, for tests. */
export function forgetStale(): void {
  named = new Map();
  unnamed = new WeakMap();
  complained = new WeakSet();
}

function valuesOf(core: Core): Values {
  const { name } = core.definition;
  const found = name === undefined ? unnamed.get(core) : named.get(name);
  if (found !== undefined) return found;
  const made: Values = new Map();
  if (name === undefined) unnamed.set(core, made);
  else named.set(name, made);
  return made;
}

/** Keeps the result of a call that succeeded. */
export function keep(run: Run, value: unknown): void {
  const { core, isStream } = run.work;
  if (core.info.stale !== true || isStream) return;
  const key = keyOf(run);
  if (key === undefined) return complain(run);
  const [slot = -1, ...forget] = native.stalePut(core.resolve(), key, sizeOf(value), clock.now());
  const values = valuesOf(core);
  for (const old of forget) values.delete(old);
  if (slot >= 0) values.set(slot, value);
}

/** The last good result of the same call, if it is still fit to be given. */
export function stale(run: Run): { value: unknown } | undefined {
  const { core, isStream } = run.work;
  if (isStream) return undefined;
  const key = keyOf(run);
  const slot = key === undefined ? -1 : native.staleFind(core.resolve(), key, clock.now());
  const values = valuesOf(core);
  return slot >= 0 && values.has(slot) ? { value: values.get(slot) } : undefined;
}

const ids = new WeakMap<Function, number>();
let latest = 0;

function idOf(fn: Function): number {
  const id = ids.get(fn) ?? ++latest;
  ids.set(fn, id);
  return id;
}

/** What `staleKey` gives, else the function and all arguments; nothing where these have no value to go by. */
function keyOf(run: Run): string | undefined {
  const { core, fn, self, args } = run.work;
  const make = core.part('fallback')?.staleKey;
  if (make !== undefined) {
    const made = quietly(() => make.apply(self, [...args]));
    return made === undefined ? undefined : textOf(made);
  }
  const text = textOf([...args]);
  return text === undefined ? undefined : `${idOf(fn)}${text}`;
}

/** Said once for each policy object. */
function complain({ work: { core }, correlationId }: Run): void {
  const what = core.part('fallback')?.staleKey === undefined ? 'an argument goes' : 'stale_key gave nothing, or what goes';
  if (complained.has(core)) return;
  complained.add(core);
  emit({ event: 'fallback.stale_skipped', severity: 'warning', policy: core.shownName, correlation_id: correlationId, reason: `${what} by identity` });
}

/** The bytes of the value as JSON; binary data counts as it is. */
function sizeOf(value: unknown): number {
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return value.byteLength;
  return Buffer.byteLength(JSON.stringify(encode(value).value) ?? '');
}
