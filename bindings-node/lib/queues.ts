/** Native queues, opened once per name and store, and the work on them that is under way. */

import { fromNative, guardNative } from './errors.js';
import { type Handle, native } from './native.js';

const opened = new Map<string, Promise<Handle>>();
const pending = new Set<Promise<unknown>>();

/** The handle of a queue, read by the keys of a source. A store that could not be opened is tried again next time. */
export function openQueue(queue: string, store: string | undefined, keys?: string): Promise<Handle> {
  const name = `${store ?? ''}\n${keys ?? ''}\n${queue}`;
  let handle = opened.get(name);
  if (handle === undefined) {
    handle = track(native.queueOpen(queue, store ?? null, keys ?? null));
    opened.set(name, handle);
    handle.catch(() => opened.delete(name));
  }
  return handle;
}

/** Where keys are: `env:NAME`, `file:PATH`, or a function that gives their text. */
export type Encrypt = string | (() => string | Promise<string>);

/** The source of keys, those of a function kept natively. */
export async function sourceOf(encrypt: Encrypt | undefined): Promise<string | undefined> {
  if (typeof encrypt !== 'function') return encrypt;
  const text = await encrypt();
  return guardNative(() => native.keysHold(text));
}

/** Opens every queue anew; for tests. */
export function forgetQueues(): void {
  opened.clear();
}

/** Keeps account of native work, and gives its errors their public classes. */
export function track<T>(work: Promise<T>): Promise<T> {
  const tracked = work.catch((error: unknown) => {
    throw fromNative(error);
  });
  pending.add(tracked);
  const done = (): void => void pending.delete(tracked);
  tracked.then(done, done);
  return tracked;
}

/** Native work that has not ended. */
export function underWay(): ReadonlySet<Promise<unknown>> {
  return pending;
}
