// Plays one vector: what happens is seen through the public API alone.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import * as seawall from 'seawall';
import { clock } from 'seawall/testing';

import { build, CalleeError, FallbackError, milliseconds } from './config.mjs';
import { Consumer, END, items, Parked } from './streams.mjs';

/** The transcript of a vector. */
export async function play(vector) {
  const time = clock({ seed: vector.seed ?? 0 });
  try {
    const player = new Player(vector, time);
    for (const step of vector.steps) await player.step(step);
    return player.lines;
  } finally {
    time.restore();
  }
}

const FRESH = 'closed total=0 failures=0 consecutive=0 rejected=0';

class Player {
  lines = [];
  #calls = new Map();
  #here = [];
  #flushed = 0;
  #breakers = new Map();
  #letters = new Set();

  constructor(vector, time) {
    this.time = time;
    this.config = vector.config;
    this.isStream = vector.stream === true;
    this.cancelled = new Set(vector.steps.map(({ cancel }) => cancel));
    const { policy, queue } = build(vector.config, this.isStream, (name, attempt) => this.#line(name, `behavior ${attempt}`));
    this.policy = policy;
    this.queue = 'dead_letter' in vector.config ? new seawall.DeadLetterQueue(queue, { store: 'memory:' }) : undefined;
  }

  async step(step) {
    if ('start' in step) this.#start(step);
    else if ('end' in step) this.#end(step);
    else if ('item' in step) this.#item(step);
    else if ('ask' in step) this.#call(step.ask).consumer.ask();
    else if ('stop' in step) this.#call(step.stop).consumer.stop();
    else if ('cancel' in step) this.#call(step.cancel).abort.abort(new Error('the caller gave up'));
    else if ('advance' in step) await this.#advance(milliseconds(step.advance));
    else if ('reload' in step) this.#reload(step.reload);
    else this.#admin(step);
    await this.time.settle();
    this.#rest();
    if ('circuit_breaker' in this.config) this.#reportBreakers();
    if (this.queue !== undefined) await this.#reportLetters();
  }

  #start({ start: name, key }) {
    const before = this.#calls.get(name);
    if (before !== undefined && !before.isOver) throw new Error(`call ${name} is started twice`);
    if (!this.#breakers.has(key)) this.#breakers.set(key, FRESH);
    const abort = new AbortController();
    const call = { place: before?.place ?? this.#calls.size, isOver: false, abort, attempts: new Map(), latest: 0 };
    this.#calls.set(name, call);
    // A call that nobody cancels is made as most are: without a signal.
    const policy = this.cancelled.has(name) ? this.policy.using({ signal: abort.signal }) : this.policy;
    const args = [name, ...(key === undefined ? [] : [key])];
    const write = (text) => this.#line(name, text);
    let result;
    const begin = () => {
      if (this.isStream) {
        call.consumer = new Consumer(policy.stream((...given) => items(this.#enter(...given)))(...args), write);
        result = call.consumer.done;
      } else result = policy(this.#callee)(...args).then((value) => write(`returns ${canonical(value)}`));
    };
    // A behaviour of chaos takes no arguments, and knows whose it is by the correlation id.
    if (this.config.chaos?.behavior === undefined) begin();
    else seawall.correlate(name, begin);
    const over = () => (call.isOver = true);
    result.catch((error) => write(error === abort.signal.reason ? 'cancelled' : this.#raises(error))).then(over);
  }

  /** One function for all calls: what a result is kept under by default has the function in it. */
  #callee = (...given) => this.#enter(...given).next();

  #enter(name) {
    const call = this.#call(name);
    const { attempt } = seawall.current();
    call.latest = attempt;
    const parked = new Parked();
    call.attempts.set(attempt, parked);
    this.#line(name, `attempt ${attempt}`);
    return parked;
  }

  #attempt(name, number) {
    const { attempts, latest } = this.#call(name);
    return attempts.get(number ?? latest);
  }

  #end({ end: name, attempt, value, error, programming, ...details }) {
    const open = this.#attempt(name, attempt);
    // A call that was refused has no attempt to end; its missing line shows it.
    if (open === undefined) return;
    if (programming) open.reject(new ReferenceError('programming'));
    else if (error !== undefined) open.reject(new CalleeError(error, details));
    else open.resolve(this.isStream ? END : (value ?? null));
  }

  #item({ item: name, attempt, hold = false }) {
    const open = this.#attempt(name, attempt);
    if (open === undefined) return;
    this.#call(name).consumer.holds = hold;
    open.resolve(0);
  }

  /** From timer to timer: the lines of each are sorted by themselves. */
  async #advance(by) {
    const target = this.time.now + by;
    while (await this.time.step(target)) this.#rest();
  }

  #reload(parts) {
    const folder = mkdtempSync(join(tmpdir(), 'seawall-'));
    try {
      const path = join(folder, 'vector.json');
      writeFileSync(path, JSON.stringify({ policy: { [this.config.name]: parts } }));
      seawall.load(path);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  #admin({ admin: verb, key, reason = 'none', expires_in: expiresIn, mode }) {
    if (verb === 'mode') return this.policy.setMode(mode, { reason, ...(expiresIn === undefined ? {} : { expiresIn }) });
    if (!this.#breakers.has(key)) this.#breakers.set(key, FRESH);
    const { breaker } = key === undefined ? this.policy : this.policy.using({ key });
    if (verb === 'reset') breaker.reset();
    else if (verb === 'isolate' || verb === 'disable') breaker[verb]({ reason, ...(expiresIn === undefined ? {} : { expiresIn }) });
    else throw new Error(`unknown admin verb ${verb}`);
  }

  #call(name) {
    const call = this.#calls.get(name);
    if (call === undefined) throw new Error(`there is no call ${name}`);
    return call;
  }

  /** Waits asked for since the last line. */
  #waits() {
    const waits = this.time.sleeps.slice(this.#flushed).map((ms) => `wait ${ms}`);
    this.#flushed = this.time.sleeps.length;
    return waits;
  }

  #line(name, text) {
    this.#here.push({ place: this.#call(name).place, lines: [...this.#waits(), `@${this.time.now} ${name} ${text}`] });
  }

  /** Calls in the order of their start: who of them ran first within a step is nobody's business. */
  #rest() {
    this.#here.sort((a, b) => a.place - b.place);
    this.lines.push(...this.#here.flatMap(({ lines }) => lines), ...this.#waits());
    this.#here = [];
  }

  #raises(error) {
    const parts = [`raises ${nameOf(error)}`];
    if (error instanceof seawall.SeawallError) {
      if (error.retryAfterMs !== undefined) parts.push(`retry_after=${error.retryAfterMs}`);
      // A failed fallback's own error is attached there too; it caused nothing.
      if (error.cause !== undefined && !(error.cause instanceof FallbackError)) parts.push(`cause=${nameOf(error.cause)}`);
    }
    const known = seawall.failure(error);
    if ('retry' in this.config && known !== undefined && known.attempts.length > 0) {
      if (known.reason !== undefined) parts.push(`reason=${known.reason}`);
      parts.push(`attempts=${known.attempts.length}`);
      if (known.delays.length > 0) parts.push(`delays=[${known.delays.join(',')}]`);
    }
    return parts.join(' ');
  }

  #reportBreakers() {
    const keys = this.config.key === true ? [...this.#breakers.keys()].sort() : [undefined];
    for (const key of keys) {
      const { breaker } = key === undefined ? this.policy : this.policy.using({ key });
      const { state } = breaker;
      const { total, failures, slow, consecutiveFailures, rejected } = breaker.counts;
      const last = slow > 0 ? ` slow=${slow}` : '';
      const line = `${state} total=${total} failures=${failures} consecutive=${consecutiveFailures} rejected=${rejected}${last}`;
      if (line === (this.#breakers.get(key) ?? FRESH)) continue;
      this.#breakers.set(key, line);
      this.lines.push(`breaker${key === undefined ? '' : `[${key}]`} ${line}`);
    }
  }

  async #reportLetters() {
    const letters = await this.queue.peek({ limit: 1000 });
    for (const letter of letters.reverse()) {
      if (this.#letters.has(letter.id)) continue;
      this.#letters.add(letter.id);
      const name = letter.error.code ?? (letter.error.type === 'ReferenceError' ? 'programming' : letter.error.type);
      this.lines.push(`letter ${name} attempts=${letter.attemptCount} state=${letter.state}`);
    }
  }
}

function nameOf(error) {
  return error instanceof ReferenceError ? 'programming' : error.code;
}

/** Compact JSON with sorted keys. */
function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const keys = Object.keys(value).sort();
  return `{${keys.map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(',')}}`;
}
