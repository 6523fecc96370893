/** The native module: free functions over integer handles. Errors of ours cross as JSON text in the message. */

import { loadBinary } from './binary.js';

/** A handle of the native module. */
export type Handle = number;

/** What a load did: records of events, and tickets of this isolate's calls that it gave a slot. */
export interface Loaded {
  readonly events: string[];
  readonly tickets: number[];
}

export interface Native {
  /** To be called once, before anything else. */
  isolateBegin(): void;
  /** How many isolates of the process use the library. */
  isolateCount(): number;
  /** `ring` is called when others have woken calls of this isolate; it keeps no loop alive. */
  mailboxHang(ring: () => void): void;
  /** The tickets that they have woken. */
  mailboxTake(): number[];
  check(spec: string): void;
  resolve(spec: string): Handle;
  policyDrop(policy: Handle): void;
  /** Labels an unnamed policy; the first label stays. */
  policyLabel(policy: Handle, label: string): void;
  /** Gives the event's record. */
  load(path: string, env: string | null, now: number): Loaded;
  watchNew(path: string, env: string | null): Handle;
  watchLook(watch: Handle, now: number): Loaded;
  watchDrop(watch: Handle): void;
  controlIsOn(): boolean;
  controlLook(now: number): Loaded;
  policySetMode(policy: Handle, mode: string, reason: string, author: string | null, expiresInMs: number | null, now: number): string;
  policySnapshot(policy: Handle, key: string | null, now: number): string;
  policyWorstCase(policy: Handle): string;
  policyNoteInner(policy: Handle, inner: Handle): void;
  lint(spec: string | null): string;
  policyMode(policy: Handle, now: number): string;
  policyInfo(policy: Handle): string;
  breakerState(policy: Handle, key: string | null, now: number): string;
  breakerCounts(policy: Handle, key: string | null, now: number): number[];
  breakerIsolate(policy: Handle, key: string | null, reason: string, author: string | null, expiresInMs: number | null, now: number): string[];
  breakerDisable(policy: Handle, key: string | null, reason: string, author: string | null, expiresInMs: number | null, now: number): string[];
  breakerReset(policy: Handle, key: string | null): string[];
  metrics(open: boolean): string;
  metricFamilies(): string;
  announce(runtime: string): void;
  snapshot(): string;
  callNew(policy: Handle, key: string | null, correlationId: string, flags: number, deadlineMs: number, redrives: number): Handle;
  callWithin(call: Handle, chain: readonly number[]): number;
  callDrop(call: Handle): void;
  start(call: Handle, now: number): number[];
  ended(call: Handle, attempt: number, kind: number, bits: number, status: number, retryAfterMs: number, errorType: string, now: number): number[];
  timer(call: Handle, reason: number, attempt: number, now: number): number[];
  granted(call: Handle, now: number): number[];
  cancelled(call: Handle, now: number): number[];
  classified(call: Handle, bits: number, now: number): number[];
  letterEnded(call: Handle, ok: boolean, now: number): number[];
  letterWent(call: Handle, aside: boolean, dropped: number): void;
  fallbackEnded(call: Handle, ok: number, now: number): number[];
  callAsked(call: Handle, attempt: number, now: number): number[];
  callItem(call: Handle, attempt: number, now: number): number[];
  callStopped(call: Handle, attempt: number, now: number): number[];
  /** The slot to keep the value in, -1 for none, and then the slots to forget. */
  stalePut(policy: Handle, key: string, bytes: number, now: number): number[];
  /** The slot of a value that is fit to be given, or -1. */
  staleFind(policy: Handle, key: string, now: number): number;
  /** Nothing if each call has to be decided; else handle, bits of what is shared, limits of an attempt and of the call, number of the slots. */
  portAttach(policy: Handle, words: Uint32Array, now: number): number[];
  portRoll(port: Handle, now: number): number;
  portNextMeasured(port: Handle): number;
  portMeasured(port: Handle, ms: number): void;
  portIsCurrent(port: Handle): boolean;
  portSucceeded(port: Handle, generation: number, now: number): number;
  /** Generation and milliseconds plus one in one number, or -1 if the circuit refuses nobody. */
  portRefuse(port: Handle, now: number): number;
  portOpening(port: Handle, now: number): number[];
  portEnter(port: Handle): number;
  /** The ticket to be woken here, or -1. */
  portLeave(port: Handle): number;
  portResume(port: Handle, generation: number, slot: boolean, before: number, started: number, correlationId: string): Handle;
  /** Both give the tickets to be woken here. */
  portDetach(port: Handle): number[];
  portDrop(port: Handle): number[];
  takeEvents(): string[];
  callReport(call: Handle): string;
  /** The code to exit with, or a redrive that is left to do, as JSON. */
  cli(args: readonly string[]): string;
  cliReport(request: string, told: string): number;
  cliProgress(request: string, ok: number, failed: number): void;
  mintId(): string;
  cleanId(text: string): string | null;
  eventLine(record: string): string;
  armed(): boolean;
  arm(armed: boolean): void;
  resetAll(seed: number | null): void;
  /** Milliseconds on the clock of the process, never virtual. */
  clockNow(): number;
  clockVirtual(ms: number): void;
  clockAdvance(ms: number): void;
  clockReal(): void;
  queueOpen(queue: string, store: string | null, keys: string | null): Promise<Handle>;
  keysHold(text: string): string;
  queueDrop(queue: Handle): void;
  queuePut(queue: Handle, letter: string): Promise<string>;
  queueWrite(queue: Handle, letter: string): Promise<string>;
  queueWriteClosed(queue: string, store: string | null, letter: string): Promise<string>;
  lettersFlush(timeoutMs: number): Promise<string>;
  lettersEnd(timeoutMs: number): string[];
  queueGet(queue: Handle, id: string): Promise<string>;
  queueJobs(queue: Handle): Promise<string>;
  queuePause(queue: Handle, job: string): Promise<string>;
  queueCancel(queue: Handle, job: string): Promise<string>;
  queuePeek(queue: Handle, filter: string, limit: number, cursor: string | null): Promise<string>;
  queueGroups(queue: Handle, filter: string): Promise<string>;
  queueStats(queue: Handle): Promise<string>;
  queuePark(queue: Handle, filter: string): Promise<string>;
  queuePurge(queue: Handle, filter: string, all: boolean, dryRun: boolean): Promise<string>;
  queueArchive(queue: Handle, correlationId: string, operation: string): Promise<string>;
  redriveNew(queue: Handle, options: string, now: number): Promise<Handle>;
  redriveDrop(redrive: Handle): void;
  redriveLeave(redrive: Handle): Promise<string>;
  redriveNext(redrive: Handle, now: number): Promise<string>;
  redriveDelivered(redrive: Handle, token: number, ok: boolean, error: string | null, now: number): Promise<string>;
  redriveRenew(redrive: Handle, token: number): Promise<string>;
}

function load(): Native {
  const found = loadBinary() as Native;
  found.isolateBegin();
  found.announce(`Node.js ${process.versions.node}`);
  return found;
}

/** The native module, loaded once. */
export const native: Native = load();
