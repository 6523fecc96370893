/** One strategy as it was written: its data in the words of the native module, and what only code can give. */

import { compile, type Matcher, type RetryAfter } from './classify.js';
import { encode } from './encode.js';
import { ConfigError } from './errors.js';
import { native } from './native.js';
import { guardNative } from './errors.js';
import { OPTIONS } from './table.js';

type AnyFunction = (...args: any[]) => any;

/** A matcher, compiled. */
export type Matches = (error: unknown) => boolean;

export interface Part {
  readonly strategy: string;
  readonly name: string | undefined;
  readonly key: AnyFunction | undefined;
  /** Snake case, callables as `true`. */
  readonly data: Record<string, unknown>;
  readonly on: Matches | undefined;
  readonly ignore: Matches | undefined;
  readonly onResult: Matches | undefined;
  readonly retryAfter: RetryAfter | undefined;
  readonly capture: AnyFunction | undefined;
  readonly idempotencyKey: AnyFunction | undefined;
  readonly redact: AnyFunction | undefined;
  readonly onLost: AnyFunction | undefined;
  readonly encrypt: AnyFunction | undefined;
  readonly only: AnyFunction | undefined;
  readonly staleKey: AnyFunction | undefined;
  readonly behavior: AnyFunction | undefined;
  /** Values and functions of a fallback. */
  readonly steps: readonly unknown[];
  /** The value of a fallback, where options gave it. */
  readonly value: unknown;
  readonly faults: readonly unknown[];
  readonly outcomes: readonly unknown[];
}

const FUNCTIONS = ['key', 'onResult', 'retryAfter', 'capture', 'idempotencyKey', 'redact', 'onLost', 'only', 'staleKey', 'behavior'] as const;

const NONE: readonly unknown[] = [];

/** Reads the options of one strategy. Unknown ones are named with the nearest; values are checked natively. */
export function compilePart(strategy: string, options: Record<string, unknown>, steps: readonly unknown[] = NONE): Part {
  const data: Record<string, unknown> = {};
  const code: Record<string, AnyFunction | undefined> = {};
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined && name !== 'value') continue;
    const snake = known(strategy, name);
    if (name === 'name') continue;
    const path = `${strategy}.${snake}`;
    if ((FUNCTIONS as readonly string[]).includes(name) || (name === 'encrypt' && typeof value === 'function')) {
      if (typeof value !== 'function') throw new ConfigError(`expected a function, not ${show(value)}`, path);
      code[name] = value as AnyFunction;
      if (name !== 'key') data[snake] = true;
    } else if (name === 'on' || name === 'ignore') {
      code[name] = compile(value as Matcher, path);
      data[snake] = true;
    } else {
      data[snake] = toData(name, value);
    }
  }
  const faults = readFaults(strategy, options['fault'], data);
  const outcomes = readOutcomes(strategy, options, data);
  if (steps.length > 0) data['steps'] = steps.length;
  const part = { strategy, name: readName(strategy, options['name']), data, ...code, steps, value: options['value'], faults, outcomes };
  guardNative(() => native.check(specOf(null, [part as unknown as Part], false)));
  return part as unknown as Part;
}

/** The JSON text of a policy. */
export function specOf(
  name: string | null,
  parts: readonly Part[],
  keyed: boolean,
  inherits: { on: boolean; ignore: boolean } = { on: false, ignore: false },
  mode?: string,
): string {
  const written: Record<string, unknown> = {};
  for (const { strategy, data } of parts) {
    const judges = HEIRS.includes(strategy);
    written[strategy] = { ...(judges && inherits.on ? { on: true } : {}), ...(judges && inherits.ignore ? { ignore: true } : {}), ...data };
  }
  return JSON.stringify({ name, dialect: 'node', keyed, parts: written, ...(mode === undefined ? {} : { mode }) });
}

/** The strategies that judge errors, in the order of their bits. */
export const JUDGES: readonly string[] = ['retry', 'circuit_breaker', 'fallback', 'dead_letter'];

/** Those that inherit the policy's own `on` and `ignore`: they ask what a failure of the callee is. */
export const HEIRS: readonly string[] = ['retry', 'circuit_breaker'];

/** The option in snake case, if the strategy has it. */
function known(strategy: string, name: string): string {
  const names = [...Object.keys(OPTIONS[strategy] ?? {}), ...Object.keys(OPTIONS['*'] ?? {})].filter((option) => !INTERNAL.has(option));
  const snake = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  if (/^[a-z][a-zA-Z]*$/.test(name) && names.includes(snake)) return snake;
  const near = nearest(snake, names);
  const hint = near === undefined ? `known are ${names.map(camel).join(', ')}` : `did you mean "${camel(near)}"?`;
  throw new ConfigError(`there is no option "${name}"; ${hint}`, strategy);
}

/** Written otherwise here (`steps`), or of the other language (`thread`). */
const INTERNAL = new Set(['steps', 'thread']);

/** Fields within an option. */
const FIELDS = new Map([['perSecond', 'per_second'], ['failureRatio', 'failure_ratio'], ['minimumThroughput', 'minimum_throughput']]);

/** Data in the words of the native module. */
function toData(name: string, value: unknown): unknown {
  if (value instanceof Date) return value.toISOString();
  if (name === 'value') return encode(value).value;
  if ((name === 'retryBudget' || name === 'abortWhen') && typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([field, given]) => [FIELDS.get(field) ?? field, given]));
  }
  return value;
}

function readName(strategy: string, name: unknown): string | undefined {
  if (name === undefined || (typeof name === 'string' && name !== '')) return name as string | undefined;
  throw new ConfigError('expected text that is not empty', `${strategy}.name`);
}

/** One fault, a list of faults, or a list of pairs of fault and weight. */
function readFaults(strategy: string, fault: unknown, data: Record<string, unknown>): readonly unknown[] {
  if (strategy !== 'chaos' || fault === undefined) return NONE;
  const list: unknown[] = Array.isArray(fault) ? fault : [fault];
  const pairs = list.map((one) => (Array.isArray(one) ? one : [one, 1]) as [unknown, unknown]);
  for (const [one] of pairs) {
    if (typeof one === 'function' || typeof one === 'string') continue;
    throw new ConfigError(`expected an error class, a function that makes an error, or a name, not ${show(one)}`, 'chaos.fault');
  }
  data['fault'] = { faults: pairs.map(([, weight]) => weight) };
  return pairs.map(([one]) => one);
}

/** One result, a list of results, or a list of pairs of result and weight: it is one if all that it holds are pairs, for a result may be a list too. */
function readOutcomes(strategy: string, options: Record<string, unknown>, data: Record<string, unknown>): readonly unknown[] {
  const { outcome } = options;
  if (strategy !== 'chaos' || outcome === undefined) return NONE;
  const isWeighted = Array.isArray(outcome) && outcome.every((one) => Array.isArray(one) && one.length === 2 && typeof one[1] === 'number');
  const pairs = isWeighted ? (outcome as Array<[unknown, unknown]>) : [outcome].flat().map((one): [unknown, unknown] => [one, 1]);
  data['outcome'] = { faults: pairs.map(([, weight]) => weight) };
  return pairs.map(([one]) => one);
}

function show(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value) : value === null ? 'null' : typeof value;
}

function camel(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** The nearest of `names`, if near enough to be a slip. */
export function nearest(name: string, names: readonly string[]): string | undefined {
  const scored = names.map((other) => [distance(name, other), other] as const).filter(([edits, other]) => edits <= Math.max(1, Math.floor(other.length / 3)));
  return scored.sort(([a], [b]) => a - b)[0]?.[1];
}

/** Edits between two words. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, place) => place);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}
