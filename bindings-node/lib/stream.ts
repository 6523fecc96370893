/**
 * A guarded stream, as the consumer holds it: an iterator that begins its call when it is first asked for an item.
 *
 * The call is driven beside the consumer, so that limits, cancellation and late ends are dealt with while nobody asks. What the consumer is told goes over one
 * desk: an item, or how the call is over.
 */

import { FullScope, scope } from './context.js';
import { isDisabled } from './disabled.js';
import { Run, type Work } from './driver.js';
import { type Ask, Source } from './source.js';
import type { Widen } from './strategies.js';

/** A function that gives a stream. */
export type StreamFunction = (this: any, ...args: any[]) => AsyncIterable<any> | PromiseLike<AsyncIterable<any>>;
type ItemOf<S> = S extends AsyncIterable<infer T> | Iterable<infer T> ? Awaited<T> : never;
type ItemOfFallback<S> = S extends object ? Widen<ItemOf<S>> : never;
/** The same function, guarded; a fallback may answer with items of its own. */
export type GuardedStreamFunction<F extends StreamFunction, R> = (
  this: ThisParameterType<F>,
  ...args: Parameters<F>
) => AsyncIterableIterator<ItemOf<Awaited<ReturnType<F>>> | ItemOfFallback<R>>;

type Result = IteratorResult<unknown, unknown>;
const END: Result = { done: true, value: undefined };

/** An item of an attempt, or the end: a value, the rest of a fallback's stream, or an error. */
type Told = { readonly item: unknown; readonly attempt: number } | { readonly over: () => unknown };

/** Where the call leaves what the consumer waits for. */
class Desk {
  private told: Told | undefined;
  private waiter: ((told: Told) => void) | undefined;

  put(told: Told): void {
    const { waiter } = this;
    this.waiter = undefined;
    if (waiter !== undefined) waiter(told);
    else if (this.told === undefined || 'over' in told) this.told = told;
  }

  async take(): Promise<Told> {
    const { told } = this;
    this.told = undefined;
    return told ?? new Promise((resolve) => (this.waiter = resolve));
  }
}

/** Drives the call to its end. Never fails: how the call is over is for the consumer to hear, if it still asks. */
async function drive(run: Run, desk: Desk): Promise<void> {
  try {
    let finish = run.begin();
    while (finish === undefined) finish = run.take(await run.next());
    const value = run.outcome(finish);
    desk.put({ over: () => value });
  } catch (error) {
    desk.put({
      over: () => {
        throw error;
      },
    });
  } finally {
    run.close();
  }
}

export class GuardedStream implements AsyncIterableIterator<unknown> {
  private run: Run | undefined;
  private driven: Promise<void> | undefined;
  private readonly desk = new Desk();
  /** What goes on without the call: the stream of a fallback, or of the callee itself while policies are switched off. */
  private rest: Source | undefined;
  /** The attempt that gave the last item. */
  private attempt = 0;
  /** Whether the consumer waits for an item. */
  private isAsking = false;
  private isOver = false;
  private turn: Promise<unknown> = Promise.resolve();

  constructor(private readonly work: Work) {}

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(...given: unknown[]): Promise<Result> {
    return this.inTurn(() => this.advance(['next', ...given]));
  }

  throw(error?: unknown): Promise<Result> {
    return this.inTurn(() => this.advance(['throw', error]));
  }

  /** Stops at once, even while an item is under way. */
  async return(value?: unknown): Promise<Result> {
    if (!this.isOver) {
      this.isOver = true;
      if (this.rest !== undefined) await this.rest.close();
      else if (this.run !== undefined) await this.stop(this.run);
    }
    return { done: true, value };
  }

  /** Asks are answered one after the other, as a generator does. */
  private inTurn(act: () => Promise<Result>): Promise<Result> {
    const answer = this.turn.then(act, act);
    this.turn = answer.catch(() => undefined);
    return answer;
  }

  private async advance(ask: Ask): Promise<Result> {
    const [how, given] = ask;
    if (this.isOver || (this.run === undefined && how === 'throw')) {
      this.isOver = true;
      if (how === 'throw') throw given;
      return END;
    }
    if (this.rest === undefined && this.run === undefined && isDisabled()) this.rest = await this.bare();
    if (this.rest !== undefined) return this.more(this.rest, ask);
    if (this.run === undefined) this.begin();
    else this.run.attempts.ask(this.attempt, ask);
    this.isAsking = true;
    const told = await this.desk.take();
    this.isAsking = false;
    return this.told(told, ask);
  }

  private begin(): void {
    try {
      const run = new Run(this.work);
      run.deliver = (attempt, item) => this.desk.put({ attempt, item });
      this.run = run;
      this.driven = drive(run, this.desk);
    } catch (error) {
      this.isOver = true;
      throw error;
    }
  }

  private told(told: Told, [how, given]: Ask): Result | Promise<Result> {
    if ('item' in told) {
      this.attempt = told.attempt;
      return this.isOver ? END : { done: false, value: told.item };
    }
    if (this.isOver) return END;
    this.isOver = true;
    if (how === 'throw' && this.run?.isStopped === true) throw given;
    const value = told.over();
    if (!(value instanceof Source)) return { done: true, value };
    this.isOver = false;
    this.rest = value;
    return this.more(value, ['next']);
  }

  private async more(rest: Source, ask: Ask): Promise<Result> {
    try {
      const result = await rest.pull(ask);
      if (result.done === true) this.isOver = true;
      return result;
    } catch (error) {
      this.isOver = true;
      throw error;
    }
  }

  /** Before the first item that is a caller giving up; later the call is a success, and a callee that is not at work is given the time to clean up. */
  private async stop(run: Run): Promise<void> {
    if (this.attempt === 0) return run.giveUp(new DOMException('the consumer stopped', 'AbortError'));
    run.stop(this.attempt);
    await this.driven;
    run.attempts.cut(this.attempt);
    if (!this.isAsking) await run.attempts.get(this.attempt)?.source?.close();
  }

  /** The callee's own stream, while policies are switched off. */
  private async bare(): Promise<Source> {
    const { fn, self, args } = this.work;
    return Source.of(await fn.apply(self, [...args]), new FullScope({}, scope()), 'stream');
  }
}
