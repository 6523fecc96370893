/** Durations in the few places that are not part of a policy; those of a policy are read natively. */

import { ConfigError } from './errors.js';
import type { DurationLike } from './table.js';

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Whole milliseconds of `"250ms"`, `"1m30s"` or a number of milliseconds. */
export function toMs(value: DurationLike, path: string): number {
  const ms = typeof value === 'number' ? value : parse(value, path);
  if (!Number.isFinite(ms) || ms < 0 || !Number.isInteger(ms)) {
    throw new ConfigError(`${JSON.stringify(value)} is no whole number of milliseconds; write a duration such as "250ms" or "2s"`, path);
  }
  return ms;
}

function parse(text: unknown, path: string): number {
  if (typeof text !== 'string' || !/^(\d+(\.\d+)?(ms|[smhd]))+$/.test(text)) {
    throw new ConfigError(`${JSON.stringify(text)} is not a duration; write one such as "250ms", "2s" or "1m30s"`, path);
  }
  let total = 0;
  for (const [, number, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhd])/g)) total += Number(number) * UNITS[unit!]!;
  // Binary fractions leave noise: 0.1 s is 100 ms.
  return Math.abs(total - Math.round(total)) < 1e-6 ? Math.round(total) : total;
}
