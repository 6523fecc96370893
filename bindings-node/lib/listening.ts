/**
 * Callers' signals. Many calls may share one, which the host takes for a leak from the eleventh listener on: a signal has one listener of ours, while any call listens.
 */

/** Those who listen to one signal. */
class Audience {
  private readonly all = new Set<() => void>();

  constructor(private readonly signal: AbortSignal) {
    signal.addEventListener('abort', this.tell, { once: true });
  }

  private readonly tell = (): void => {
    audiences.delete(this.signal);
    for (const listener of this.all) listener();
  };

  join(listener: () => void): void {
    this.all.add(listener);
  }

  leave(listener: () => void): void {
    this.all.delete(listener);
    if (this.all.size > 0 || audiences.get(this.signal) !== this) return;
    audiences.delete(this.signal);
    this.signal.removeEventListener('abort', this.tell);
  }
}

const audiences = new WeakMap<AbortSignal, Audience>();

/** Calls `listener`, which must not throw, when `signal` aborts. Gives the way to take that back. */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  let audience = audiences.get(signal);
  if (audience === undefined) audiences.set(signal, (audience = new Audience(signal)));
  const joined = audience;
  joined.join(listener);
  return () => joined.leave(listener);
}
