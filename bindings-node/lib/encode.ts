/** Arguments and errors as JSON for a letter. What cannot be encoded makes the letter not redrivable; nothing here throws. */

import { errorType } from './classify.js';

/** A value as JSON, and whether it can be read back as it was. */
export interface Encoded {
  readonly value: unknown;
  readonly whole: boolean;
}

const MAX_DEPTH = 64;
const REPR_LENGTH = 200;

/** Encodes a value. `toJSON` is respected; a `bigint` becomes its digits; own fields stand for an object of a class. */
export function encode(value: unknown): Encoded {
  const state = { whole: true, path: new Set<object>() };
  return { value: walk(value, state), whole: state.whole };
}

interface State {
  whole: boolean;
  path: Set<object>;
}

function walk(value: unknown, state: State): unknown {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value;
    case 'number':
      return Number.isFinite(value) ? value : lost(value, state);
    case 'bigint':
      return value.toString();
    case 'undefined':
      return null;
    case 'object':
      return value === null ? null : walkObject(value, state);
    default:
      return lost(value, state);
  }
}

function walkObject(value: object, state: State): unknown {
  if (state.path.has(value) || state.path.size >= MAX_DEPTH) return lost(value, state);
  state.path.add(value);
  try {
    const toJSON = (value as { toJSON?: unknown }).toJSON;
    if (typeof toJSON === 'function') return walk(toJSON.call(value, ''), state);
    if (Array.isArray(value)) return value.map((item) => walk(item, state));
    if (isOpaque(value)) return lost(value, state);
    const fields = Object.entries(value).filter(([, field]) => field !== undefined);
    return Object.fromEntries(fields.map(([name, field]) => [name, walk(field, state)]));
  } catch {
    return lost(value, state);
  } finally {
    state.path.delete(value);
  }
}

/** Objects whose content is not in their fields. */
function isOpaque(value: object): boolean {
  const tag = Object.prototype.toString.call(value);
  return value instanceof EventTarget || (tag !== '[object Object]' && tag !== '[object Error]');
}

function lost(value: unknown, state: State): string {
  state.whole = false;
  try {
    return `<${typeof value === 'object' ? (value?.constructor?.name ?? 'object') : `${typeof value} ${String(value)}`}>`.slice(0, REPR_LENGTH);
  } catch {
    return '<unreadable>';
  }
}

/** An error as a plain record: type, message, code, stack, frames, causes. */
export function encodeError(error: unknown): Record<string, unknown> {
  const record = describe(error);
  const stack = error instanceof Error && typeof error.stack === 'string' ? error.stack : undefined;
  if (stack !== undefined) {
    record['stack'] = stack;
    record['frames'] = frames(stack);
  }
  const causes: unknown[] = [];
  let cause = error instanceof Error ? error.cause : undefined;
  while (cause !== undefined && cause !== null && causes.length < 5) {
    causes.push(describe(cause));
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  if (causes.length > 0) record['causes'] = causes;
  return record;
}

function describe(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: error === null ? 'null' : typeof error, message: lostless(error) };
  const record: Record<string, unknown> = { type: errorType(error), message: String(error.message) };
  const code = (error as { code?: unknown }).code;
  if (typeof code === 'string') record['code'] = code;
  return record;
}

function lostless(error: unknown): string {
  try {
    return typeof error === 'object' ? JSON.stringify(error) : String(error);
  } catch {
    return '<unreadable>';
  }
}

/** Frames innermost first. Node's own and installed modules are not the application's. */
function frames(stack: string): Array<Record<string, unknown>> {
  const found: Array<Record<string, unknown>> = [];
  for (const line of stack.split('\n')) {
    const match = /^\s+at (?:async )?(?:(.*?) \()?(.*?):\d+(?::\d+)?\)?$/.exec(line);
    if (match === null) continue;
    const module = match[2]!.replace(/^file:\/\//, '');
    const foreign = module.startsWith('node:') || module.includes('/node_modules/') || module.startsWith(__dirname);
    found.push({ module, function: match[1] ?? '<anonymous>', in_app: !foreign });
  }
  return found;
}
