/**
 * Seawall: circuit breaker, retry, hedge, bulkhead, rate limit, timeout, fallback, dead letters and chaos, decided in one engine.
 *
 * Each strategy makes a policy of one; `policy(…)` fuses several. A policy wraps functions, decorates methods and runs blocks.
 */

export { bulkhead, chaos, circuitBreaker, deadLetter, fallback, hedge, rateLimit, retry, timeout } from './strategies.js';
export type {
  BulkheadOptions,
  ChaosOptions,
  CircuitBreakerOptions,
  CommonOptions,
  DeadLetterOptions,
  FallbackOptions,
  Fault,
  HedgeOptions,
  MatchOptions,
  RateLimitOptions,
  RetryOptions,
  TimeoutOptions,
} from './strategies.js';
export { policy, policyOf } from './policy.js';
export type { CallOptions, Guarded, Policy, PolicyOptions } from './policy.js';
export type { GuardedStreamFunction, StreamFunction } from './stream.js';
export type { Breaker, BreakerState, Mode, Override } from './core.js';
export { correlate, correlationId, current, deadline, headers, receive } from './context.js';
export type { Current, IncomingHeaders } from './context.js';
export {
  BulkheadFullError,
  CircuitOpenError,
  ConfigError,
  failure,
  InjectedFaultError,
  RateLimitedError,
  RejectedError,
  SeawallError,
  StoreError,
  TimeoutExceededError,
} from './errors.js';
export type { AttemptRecord, Failure } from './errors.js';
export { transient } from './classify.js';
export type { ErrorClass, Matcher, RetryAfter } from './classify.js';
export { eventLine, onEvent } from './events.js';
export type { Hook, SeawallEvent } from './events.js';
export { DeadLetterQueue } from './letters.js';
export type { Group, PutOptions, QueueOptions, Stats } from './letters.js';
export type { DeadLetter, Filter, LetterState } from './letter.js';
export type { RedriveOptions, RedriveJob, RedriveReport } from './redrive.js';
export type { Limits, Snapshot } from './snapshot.js';
export { lint } from './lint.js';
export type { Finding, WorstCase } from './lint.js';
export { flush, load, metrics, snapshot } from './process.js';
export type { LoadOptions } from './process.js';
export type { DurationLike, ErrorCode, EventName, Reason } from './table.js';
