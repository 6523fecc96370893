/** The dead-letter queue as users hold it. Every method gives a promise; nothing here blocks the event loop. */

import { encode, encodeError } from './encode.js';
import { ConfigError } from './errors.js';
import { type DeadLetter, type Filter, toFilter, toLetter } from './letter.js';
import { type Handle, native } from './native.js';
import { type Encrypt, openQueue, sourceOf, track } from './queues.js';
import { redrive, type RedriveJob, type RedriveOptions, type RedriveReport } from './redrive.js';
import { correlationId } from './context.js';

export interface QueueOptions {
  /** `sqlite:///directory` (four slashes: absolute), `postgresql://…`, `redis://…` or `memory:`. Default: `$SEAWALL_STORE`, else in the user's state directory. */
  store?: string;
  /**
   * The keys of its letters: `env:NAME`, `file:PATH`, or a function that gives their text, asked once. What is put here is encrypted too. Default:
   * letters are opened by the keys in `$SEAWALL_KEYS`.
   */
  encrypt?: Encrypt;
}

export interface PutOptions {
  error?: unknown;
  idempotencyKey?: string;
  correlationId?: string;
  key?: string;
  headers?: Record<string, string | string[]>;
}

/** Letters of one kind of failure. */
export interface Group {
  readonly group: string;
  readonly count: number;
  readonly first: string;
  readonly last: string;
  /** The newest letter's id. */
  readonly sample: string;
  readonly error: DeadLetter['error'];
}

export interface Stats {
  readonly ready: number;
  readonly leased: number;
  readonly parked: number;
  readonly archived: number;
  /** Of all records. */
  readonly bytes: number;
  /** When the oldest ready letter was written. */
  readonly oldest: string | null;
  /** Failed writes of this process. */
  readonly lost: number;
  /** Letters that this process removed because of a limit. */
  readonly dropped: number;
}

export class DeadLetterQueue<Payload = unknown> {
  // Its password is nobody's who prints a queue; nor is a key.
  readonly #store: string | undefined;
  readonly #encrypt: Encrypt | undefined;
  private source: Promise<string | undefined> | undefined;

  /** A queue; its store is opened when first used. */
  constructor(
    readonly name: string,
    options: QueueOptions = {},
  ) {
    if (typeof name !== 'string' || name === '') throw new ConfigError('expected the name of a queue', 'DeadLetterQueue');
    this.#store = options.store;
    this.#encrypt = options.encrypt;
  }

  /** Asked for once, and again if it failed. */
  private keys(): Promise<string | undefined> {
    this.source ??= sourceOf(this.#encrypt).catch((error: unknown) => {
      this.source = undefined;
      throw error;
    });
    return this.source;
  }

  /** Under way at once, so that `flush` waits for it. */
  private handle(): Promise<Handle> {
    if (this.#encrypt === undefined) return openQueue(this.name, this.#store);
    return track(this.keys().then((keys) => openQueue(this.name, this.#store, keys)));
  }

  private async ask<T>(work: (queue: Handle) => Promise<string>): Promise<T> {
    return JSON.parse(await track(work(await this.handle()))) as T;
  }

  /** Writes a letter and gives its id. Once it resolves, the letter survives the process. */
  async put(payload: Payload, options: PutOptions = {}): Promise<string> {
    const { value, whole } = encode(payload);
    const form: Record<string, unknown> = { payload: value, redrivable: whole, language: 'node' };
    if (options.error !== undefined) form['error'] = encodeError(options.error);
    if (options.idempotencyKey !== undefined) form['idempotency_key'] = options.idempotencyKey;
    if (options.key !== undefined) form['key'] = options.key;
    if (options.headers !== undefined) form['headers'] = options.headers;
    const id = options.correlationId ?? correlationId();
    if (id !== undefined) form['correlation_id'] = id;
    const handle = await this.handle();
    const keys = this.#encrypt === undefined ? undefined : await this.keys();
    if (keys !== undefined) form['encrypt'] = keys;
    return track(native.queuePut(handle, JSON.stringify(form)));
  }

  /** The letter of an id, or of one that it was merged into. */
  async get(id: string): Promise<DeadLetter<Payload> | undefined> {
    const found = await this.ask<object | null>((queue) => native.queueGet(queue, id));
    return found === null ? undefined : toLetter(found);
  }

  /** Letters, newest first; `cursor` is the last id seen. Archived ones only if the filter asks for them. */
  async peek(options: Filter & { limit?: number; cursor?: string } = {}): Promise<Array<DeadLetter<Payload>>> {
    const { limit = 50, cursor, ...filter } = options;
    const found = await this.ask<object[]>((queue) => native.queuePeek(queue, toFilter(filter), limit, cursor ?? null));
    return found.map((letter) => toLetter<Payload>(letter));
  }

  /** Groups of letters with the same cause, largest first. */
  async groups(filter: Filter = {}): Promise<Group[]> {
    return this.ask((queue) => native.queueGroups(queue, toFilter(filter)));
  }

  async stats(): Promise<Stats> {
    return this.ask((queue) => native.queueStats(queue));
  }

  /** Sets ready letters aside, so that bulk redrives pass them by. Gives how many. */
  async park(filter: Filter = {}): Promise<number> {
    return (await this.ask<{ parked: number }>((queue) => native.queuePark(queue, toFilter(filter)))).parked;
  }

  /** Removes letters for good; takes a filter or `all`. Gives how many. */
  async purge(options: Filter & { all?: boolean; dryRun?: boolean } = {}): Promise<number> {
    const { all = false, dryRun = false, ...filter } = options;
    return (await this.ask<{ purged: number }>((queue) => native.queuePurge(queue, toFilter(filter), all, dryRun))).purged;
  }

  /** Redrives on record, newest first. */
  async jobs(): Promise<RedriveJob[]> {
    return this.ask((queue) => native.queueJobs(queue));
  }

  /** Pauses a job after the deliveries under way; `redrive(…, { resume })` goes on with it. False if it has ended. */
  async pause(job: string): Promise<boolean> {
    return this.ask((queue) => native.queuePause(queue, job));
  }

  /** Cancels a job for good, after the deliveries under way. False if it has ended. */
  async cancel(job: string): Promise<boolean> {
    return this.ask((queue) => native.queueCancel(queue, job));
  }

  /** Hands letters to `handler`, at least once each, by lease. What it throws goes back into the letter. */
  async redrive(handler: (letter: DeadLetter<Payload>) => unknown, options: RedriveOptions = {}): Promise<RedriveReport> {
    if (typeof handler !== 'function') throw new ConfigError('expected a function that takes a letter', `${this.name}.redrive`);
    return redrive(this.name, await this.handle(), handler as (letter: DeadLetter) => unknown, options);
  }
}
