// The policy of a vector: its data in camel case, its callables made.

import * as seawall from 'seawall';

/** An error of the callee. `code` is its name, as vectors match and write it. */
export class CalleeError extends Error {
  constructor(name, { status, retry_after: retryAfter } = {}) {
    super(name);
    this.code = name;
    if (status !== undefined) this.status = status;
    if (retryAfter !== undefined) this.retryAfterMs = retryAfter === 'never' ? 'never' : milliseconds(retryAfter);
  }
}

/** An error of a fallback's step. */
export class FallbackError extends CalleeError {}

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** A duration of a vector, such as "1m30s". */
export function milliseconds(text) {
  return [...text.matchAll(/(\d+)(ms|[smh])/g)].reduce((total, [, number, unit]) => total + Number(number) * UNITS[unit], 0);
}

/** The policy, and the name of the queue that its letters go to. `behaves` is told of each behaviour of chaos. */
export function build(config, isStream, behaves) {
  const { name, key, mode, ...parts } = config;
  const queue = config.dead_letter?.queue ?? name ?? 'vectors';
  const made = Object.entries(parts).map(([strategy, options]) => MAKERS[strategy](options, queue, isStream, behaves));
  const options = { ...(key === true ? { key: (_, given) => given } : {}), ...(mode === undefined ? {} : { mode }) };
  const policy = name === undefined ? seawall.policy(options, ...made) : seawall.policy(name, options, ...made);
  return { policy, queue };
}

const MAKERS = {
  retry: (options) => seawall.retry(camel(options)),
  circuit_breaker: (options) => seawall.circuitBreaker(camel(options)),
  bulkhead: (options) => seawall.bulkhead(camel(options)),
  rate_limit: (options) => seawall.rateLimit(camel(options)),
  hedge: (options) => seawall.hedge(camel(options)),
  timeout: (options) => seawall.timeout(camel(options)),
  fallback: makeFallback,
  dead_letter: ({ queue: _, ...options }, queue) => seawall.deadLetter(queue, { store: 'memory:', ...camel(options) }),
  chaos: ({ fault, behavior, outcome, ...options }, _, isStream, behaves) => seawall.chaos({
    ...camel(options),
    ...(outcome === undefined ? {} : { outcome: outcome.map(({ value, weight = 1 }) => [() => (isStream ? [value] : value), weight]) }),
    ...(fault === undefined ? {} : { fault: () => new CalleeError(fault) }),
    ...(behavior === undefined ? {} : { behavior: () => behave(behavior, behaves) }),
  }),
};

/** The call's name is its correlation id: a behaviour takes no arguments. */
function behave(error, behaves) {
  const { correlationId, attempt } = seawall.current();
  behaves(correlationId, attempt);
  if (typeof error === 'string') throw new CalleeError(error);
}

/** A fallback of a stream, as a value that chaos made up, answers with a stream of its one value. Beside options there is room for one step, as their value. */
function makeFallback({ steps, ...rest }, _, isStream) {
  const options = camel(rest);
  if (steps === undefined) return seawall.fallback(isStream && 'value' in options ? { ...options, value: [options.value] } : options);
  const made = steps.map((step) => () => {
    if ('error' in step) throw new FallbackError(step.error);
    return isStream ? [step.value] : step.value;
  });
  if (Object.keys(options).length === 0) return seawall.fallback(...made);
  if (made.length > 1) throw new Error('a chain of several steps takes no options');
  return seawall.fallback({ ...options, value: made[0] });
}

function camel(options) {
  return Object.fromEntries(
    Object.entries(options).map(([name, value]) => {
      const option = name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());
      if (name === 'on_result') return [option, (result) => value.some((rejected) => JSON.stringify(rejected) === JSON.stringify(result))];
      if (name === 'stale_key') return [option, (payload) => value[payload] ?? payload];
      if ((name === 'retry_budget' || name === 'abort_when') && value !== null && typeof value === 'object') return [option, camel(value)];
      return [option, value];
    }),
  );
}
