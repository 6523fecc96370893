/** The callee's side of a stream: one iterator for each attempt, asked for an item only when somebody waits for one. */

import { type Scope, within } from './context.js';
import { ConfigError } from './errors.js';

/** What a stream can be asked: the next item, or what it makes of an error. */
export type Ask = readonly ['next' | 'throw', ...unknown[]];
type Iterator = AsyncIterator<unknown> | globalThis.Iterator<unknown>;

export class Source {
  private pending: Promise<unknown> | undefined;
  private first: IteratorResult<unknown, unknown> | undefined;
  private ending: Promise<void> | undefined;

  private constructor(
    private readonly scope: Scope,
    private readonly iterator: Iterator,
  ) {}

  /** The stream that `value` is. */
  static of(value: unknown, scope: Scope, path: string): Source {
    return new Source(scope, within(scope, () => iteratorOf(value, path)));
  }

  /** Fetches the first item ahead, so that a stream which cannot even begin has failed. */
  async begin(): Promise<this> {
    this.first = await this.pull(['next']);
    return this;
  }

  /** Asks for an item, in the scope of its attempt. Without a `throw` of its own a stream answers an error by passing it on. */
  async pull([how, ...given]: Ask): Promise<IteratorResult<unknown, unknown>> {
    const { iterator, first } = this;
    this.first = undefined;
    if (first !== undefined && how === 'next') return first;
    const pending = within(this.scope, async () => {
      if (how === 'next') return iterator.next(...(given as [unknown]));
      if (iterator.throw !== undefined) return iterator.throw(...given);
      await iterator.return?.();
      throw given[0];
    });
    this.pending = pending;
    try {
      return await pending;
    } finally {
      this.pending = undefined;
    }
  }

  /** Tells it to clean up, once. Over when it has, and when what it worked on has ended; fails as its clean-up does. */
  close(): Promise<void> {
    return (this.ending ??= this.end());
  }

  private async end(): Promise<void> {
    const { pending } = this;
    const closed = within(this.scope, async () => this.iterator.return?.());
    await Promise.allSettled([pending, closed]);
    await closed;
  }
}

/** Iterators of generators, readable streams, lists; text and bytes are values, not streams of letters and numbers. */
function iteratorOf(value: unknown, path: string): Iterator {
  if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value)) {
    const stream = value as Partial<AsyncIterable<unknown> & Iterable<unknown>>;
    const iterator = stream[Symbol.asyncIterator]?.() ?? stream[Symbol.iterator]?.();
    if (iterator !== undefined) return iterator;
  }
  throw new ConfigError(`expected an async iterable, not ${value === null ? 'null' : ArrayBuffer.isView(value) ? 'bytes' : typeof value}`, path);
}
