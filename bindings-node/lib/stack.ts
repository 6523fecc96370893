/**
 * Stacks of errors that took a detour: an error of a later attempt is made when a timer fires, and does not know who called. The frames of whoever awaits the call are
 * added to it when the call has failed.
 */

/** Errors may pass through several policies, and one object may be thrown again and again; it grows no more than so often. */
const MOST = 4;
const grown = new WeakMap<Error, number>();
/** Ours alone: what is between the callee and its caller is no news. */
const HERE = __dirname;
const OF_NODE = '(node:';

/** Adds the frames of those who await the call. To be called while the call's own async function runs, which `above` is. */
export function addCallers(error: unknown, above: Function): void {
  if (!(error instanceof Error)) return;
  const times = grown.get(error) ?? 0;
  if (times === MOST) return;
  const trace: { stack?: unknown } = {};
  Error.captureStackTrace(trace, above);
  if (typeof trace.stack !== 'string') return;
  try {
    const { stack } = error;
    const callers = trace.stack.split('\n').slice(1).filter((line) => isCaller(line) && !stack!.includes(line));
    if (callers.length === 0) return;
    grown.set(error, times + 1);
    error.stack = [stack, ...callers].join('\n');
  } catch {
    // A frozen error, or one whose stack is something else.
  }
}

function isCaller(line: string): boolean {
  return !line.includes(HERE) && !line.includes(OF_NODE);
}
