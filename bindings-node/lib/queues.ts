/** Native queues, opened once per name and store, and the work on them that is under way. */

import { fromNative } from './errors.js';
import { type Handle, native } from './native.js';

const opened = new Map<string, Promise<Handle>>();
const pending = new Set<Promise<unknown>>();

/** The handle of a queue. A store that could not be opened is tried again next time. */
export function openQueue(queue: string, store: string | undefined): Promise<Handle> {
  const name = `${store ?? ''}\n${queue}`;
  let handle = opened.get(name);
  if (handle === undefined) {
    handle = track(native.queueOpen(queue, store ?? null));
    opened.set(name, handle);
    handle.catch(() => opened.delete(name));
  }
  return handle;
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
