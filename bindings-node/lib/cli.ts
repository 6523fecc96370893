#!/usr/bin/env node
/** The command `seawall`. What it says is the native module's; a redrive's handler is JavaScript's. */

import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { resolveAll } from './core.js';
import { StoreError } from './errors.js';
import type { DeadLetter } from './letter.js';
import { DeadLetterQueue } from './letters.js';
import { native } from './native.js';
import type { RedriveOptions } from './redrive.js';

interface Request {
  readonly queue: string;
  readonly store: string;
  readonly keys: string | null;
  readonly handler: string;
  readonly concurrency: number;
  readonly options: { readonly limit: number | null; readonly rate: string | null; readonly stop_after_failures: number; readonly filter: Record<string, string>; readonly job: boolean; readonly resume: string | null };
}

type Handler = (letter: DeadLetter) => unknown;

async function handlerOf(place: string): Promise<Handler> {
  const [file, name = 'default'] = place.split('#');
  if (file === undefined || file === '') throw new Error(`--to ${place}: 'file.mjs#function' would be right`);
  const found = (await import(pathToFileURL(resolve(file)).href)) as Record<string, unknown>;
  // What a CommonJS file exports is below `default`.
  const handler = found[name] ?? (found['default'] as Record<string, unknown> | undefined)?.[name];
  if (typeof handler !== 'function') throw new Error(`--to ${place}: ${file} exports no function '${name}'`);
  return handler as Handler;
}

/** The handler, with a progress bar. */
function counted(request: string, handler: Handler): Handler {
  let ok = 0;
  let failed = 0;
  return async (letter) => {
    try {
      await handler(letter);
      ok += 1;
    } catch (error) {
      failed += 1;
      throw error;
    } finally {
      native.cliProgress(request, ok, failed);
    }
  };
}

async function redrive(text: string): Promise<number> {
  const { queue, store, keys, handler, concurrency, options } = JSON.parse(text) as Request;
  const deliver = counted(text, await handlerOf(handler));
  const { correlation_id: correlationId, older_than: olderThan, newer_than: newerThan, ...filter } = options.filter;
  const times = { ...(correlationId && { correlationId }), ...(olderThan && { olderThan }), ...(newerThan && { newerThan }) };
  const { limit, job, resume } = options;
  const given = { ...filter, ...times, limit, job, ...(resume && { resume }), ...(options.rate && { rate: options.rate }), concurrency };
  const report = await new DeadLetterQueue(queue, { store, ...(keys === null ? {} : { encrypt: keys }) }).redrive(deliver, { ...given, stopAfterFailures: options.stop_after_failures } as RedriveOptions);
  return native.cliReport(text, JSON.stringify(report));
}

/** Imports what `explain --import` names, so that the policies are there which it defines. */
async function importCode(words: readonly string[]): Promise<void> {
  if (words[0] !== 'explain') return;
  for (const [place, word] of words.entries()) {
    if (word !== '--import' && !word.startsWith('--import=')) continue;
    const file = word === '--import' ? (words[place + 1] ?? '') : word.slice('--import='.length);
    await import(pathToFileURL(resolve(file)).href);
    resolveAll();
  }
}

async function main(): Promise<number> {
  const words = process.argv.slice(2);
  try {
    await importCode(words);
  } catch (error) {
    process.stderr.write(`seawall: ${error instanceof Error ? error.message : String(error)}\n`);
    return 2;
  }
  const said = native.cli(words);
  if (!said.startsWith('{')) return Number(said);
  try {
    return await redrive(said);
  } catch (error) {
    process.stderr.write(`seawall: ${error instanceof Error ? error.message : String(error)}\n`);
    // A store that fails is a finding; all else is a command that is wrong.
    return error instanceof StoreError ? 1 : 2;
  }
}

void main().then((code) => {
  process.exitCode = code;
});
