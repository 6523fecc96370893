/**
 * Ports: where this isolate counts the calls that need no decision, in words that the native module reads too. The native module has the
 * protocol; the layout is its table's.
 */

import * as clock from './clock.js';
import type { Core } from './core.js';
import { type Refusal, type SeawallError } from './errors.js';
import { emitRecords, isRejectionHeard } from './events.js';
import { type Handle, native } from './native.js';
import { errorOf } from './report.js';
import { PORT } from './table.js';
import { wake } from './tickets.js';

const { EVEN, GENERATION, CREDIT, BEGUN, PASSED, SLOTS, ELSEWHERE, IN_USE, WORDS } = PORT;
/** Ports of one page. Pages are never given up: the native module reads them until the isolate ends. */
const PAGE = 64;
const TAG = 0xff << 24;
const COUNT = 0xffffff;
/** A lane is counted twice before it wraps. */
const HALF = 0x7fffff;
/** What the gate shows while it is shut. */
export const SHUT = -1;

/** Reasons of timers. */
const ATTEMPT = 2;
const TOTAL = 3;

const TWO_32 = 2 ** 32;
const BREAKER = 1;
const BULKHEAD = 2;
const TOLD = 1;
const MACHINE = 2;

/**
 * Whether this machine keeps loads in order and stores in order by itself, so that plain ones do for the gate and the lane; the compiler keeps them in order in
 * any case. Elsewhere they are the atomic ones of the protocol, which cost a call each.
 */
const IS_ORDERED = process.arch === 'x64';

function load(words: Int32Array, at: number): number {
  return IS_ORDERED ? words[at]! : Atomics.load(words, at);
}

function store(words: Int32Array, at: number, value: number): void {
  if (IS_ORDERED) words[at] = value;
  else Atomics.store(words, at, value);
}

/** What is known of a call that was turned away. */
const NOTHING_TRIED = { attempts: [], delays: [], reason: undefined, key: undefined, letterId: undefined, injected: false } as const;

interface Place {
  readonly words: Int32Array;
  readonly base: number;
}

const free: Place[] = [];
const ports = new FinalizationRegistry<Place & { handle: Handle }>(({ words, base, handle }) => {
  native.portDrop(handle).forEach(wake);
  free.push({ words, base });
});

function place(): Place {
  if (free.length === 0) {
    const words = new Int32Array(new SharedArrayBuffer(PAGE * WORDS * 4));
    for (let base = (PAGE - 1) * WORDS; base >= 0; base -= WORDS) free.push({ words, base });
  }
  const found = free.pop()!;
  found.words.fill(0, found.base, found.base + WORDS);
  return found;
}

/** The port of one policy. Calls under way hold it, and with it its words. */
export class Port {
  /** Whether its words were given back; calls under way are the machine's. */
  isDetached = false;
  /** The limit that comes first, in milliseconds (-1 for none), and the reason of its timer. */
  readonly limitMs: number;
  readonly limitReason: number;
  private bucketEnd = 0;
  /** Calls until the next one whose duration is measured. */
  private untilMeasured: number;
  /** What was last refused for. */
  private opening: Refusal | undefined = undefined;

  private constructor(
    readonly handle: Handle,
    readonly words: Int32Array,
    readonly base: number,
    readonly hasBreaker: boolean,
    readonly hasBulkhead: boolean,
    /** Limits in milliseconds, -1 for none. */
    readonly attemptMs: number,
    readonly totalMs: number,
    readonly chain: number,
    readonly core: Core,
    /** Whether the user judges results. */
    readonly judgesResults: boolean,
  ) {
    // Of two that are due at once the call's was armed first.
    const isTotal = totalMs >= 0 && (attemptMs < 0 || totalMs <= attemptMs);
    this.limitMs = isTotal ? totalMs : attemptMs;
    this.limitReason = isTotal ? TOTAL : ATTEMPT;
    this.untilMeasured = native.portNextMeasured(handle);
    this.roll(clock.now());
  }

  /** Whether the call that begins now is measured, if it passes at once. */
  isMeasured(): boolean {
    this.untilMeasured -= 1;
    if (this.untilMeasured > 0) return false;
    this.untilMeasured = native.portNextMeasured(this.handle);
    return true;
  }

  /** Such a call passed after so many milliseconds. */
  measured(ms: number): void {
    native.portMeasured(this.handle, ms);
  }

  /** Attaches to the policy of `core`; nothing if each of its calls has to be decided. */
  static attach(core: Core): Port | undefined {
    const { words, base } = place();
    const [handle, bits = 0, attemptMs = -1, totalMs = -1, chain = 0] = native.portAttach(core.resolve(), new Uint32Array(words.buffer, base * 4, WORDS), clock.now());
    if (handle === undefined) {
      free.push({ words, base });
      return undefined;
    }
    const port = new Port(handle, words, base, (bits & BREAKER) !== 0, (bits & BULKHEAD) !== 0, attemptMs, totalMs, chain, core, core.judgesResults);
    ports.register(port, { handle, words, base });
    return port;
  }

  /** The generation of a closed circuit (0 without a breaker), or `SHUT`. */
  get generation(): number {
    // A plain read: whoever counts looks again.
    return this.words[this.base + GENERATION]!;
  }

  /** Counts what belongs to the bucket that is over. */
  private roll(now: number): void {
    this.bucketEnd = native.portRoll(this.handle, now);
  }

  /** Counts a call that begins now. Gives its place among all calls of the policy. */
  begin(now: number): number {
    const { words, base } = this;
    if (now >= this.bucketEnd) this.roll(now);
    const begun = words[base + BEGUN]!;
    // A plain store, as that of `PASSED`: a count stands for itself.
    words[base + BEGUN] = begun + 1;
    return (begun + words[base + ELSEWHERE]!) >>> 0;
  }

  /** The error for a call that an open circuit turns away; nothing if the driver has to judge. */
  refuse(outer: string | undefined): SeawallError | undefined {
    if (!this.hasBreaker || isRejectionHeard()) return undefined;
    const now = clock.now();
    const refused = native.portRefuse(this.handle, now);
    if (refused < 0) return undefined;
    const generation = Math.floor(refused / TWO_32);
    if (this.opening?.generation !== generation) this.opening = this.lookAtOpening(generation, now);
    const { opening } = this;
    const policy = this.core.shownName;
    const retryAfterMs = refused - generation * TWO_32 - 1;
    const code = opening!.state === 'isolated' ? 'circuit.isolated' : 'circuit.open';
    const more = { refusal: () => opening, failure: () => ({ ...NOTHING_TRIED, policy, correlationId: error.correlationId! }) };
    const error: SeawallError = errorOf(code, policy, null, retryAfterMs, outer ?? native.mintId, more);
    return error;
  }

  private lookAtOpening(generation: number, now: number): Refusal {
    const [isolated, total = 0, failures = 0] = native.portOpening(this.handle, now);
    return { state: isolated === 1 ? 'isolated' : 'open', generation, counts: { total, failures } };
  }

  /** Takes a slot, if one is free at once. */
  enter(): boolean {
    const at = this.base + SLOTS;
    const unused = this.words[at]!;
    // A slot that this isolate has left, unless it is wanted elsewhere; then the word is negative.
    const isIn = (unused > 0 && Atomics.compareExchange(this.words, at, unused, unused - 1) === unused) || native.portEnter(this.handle) === 1;
    if (isIn) this.words[this.base + IN_USE]! += 1;
    return isIn;
  }

  /** The machine takes a call over, and with it its slot. Gives the call's handle. */
  resume(generation: number, before: number, started: number, correlationId: string): Handle {
    // As in `leave`.
    if (this.hasBulkhead) this.words[this.base + IN_USE]! -= 1;
    return native.portResume(this.handle, generation, this.hasBulkhead, before, started, correlationId);
  }

  /** Leaves a slot: it stays here for the next call, unless somebody waits for one. */
  leave(): void {
    const at = this.base + SLOTS;
    const unused = this.words[at]!;
    // A terminated isolate stops where a function of JavaScript begins or a loop turns: not before the slot is where it is to be.
    this.words[this.base + IN_USE]! -= 1;
    if (!this.isDetached && unused >= 0 && Atomics.compareExchange(this.words, at, unused, unused + 1) === unused) return;
    const ticket = native.portLeave(this.handle);
    if (ticket >= 0) wake(ticket);
  }

  /** Counts a success of a call that began in `generation`. False if the machine has to. */
  succeed(generation: number): boolean {
    const { words, base } = this;
    if (this.isDetached) return false;
    if (this.hasBreaker && !this.count(generation) && !this.ask(generation)) return false;
    words[base + PASSED]! += 1;
    return true;
  }

  private rollIfOver(): void {
    const now = clock.coarse();
    if (now >= this.bucketEnd) this.roll(now);
  }

  private count(generation: number): boolean {
    const { words, base } = this;
    if (this.bucketEnd !== Infinity) this.rollIfOver();
    // In this order: the generation was shown no earlier than its credit was given.
    if (load(words, base + CREDIT) === 0 || load(words, base + GENERATION) !== generation) return false;
    const at = base + EVEN + (generation & 1);
    const lane = words[at]!;
    const tag = generation << 24;
    const counted = (lane & TAG) === tag ? (lane + 1) & COUNT : 1;
    store(words, at, tag | counted);
    if ((counted & HALF) === 0) this.rollLane();
    return true;
  }

  private rollLane(): void {
    this.roll(clock.coarse());
  }

  private ask(generation: number): boolean {
    const answer = native.portSucceeded(this.handle, generation, clock.now());
    if (answer === TOLD) emitRecords(native.takeEvents());
    return answer !== MACHINE;
  }

  get isCurrent(): boolean {
    return native.portIsCurrent(this.handle);
  }

  /** Gives the words back. */
  detach(): void {
    this.isDetached = true;
    native.portDetach(this.handle).forEach(wake);
  }
}
