/** A letter and a filter, between JSON and what users hold. */

import type { DurationLike } from './table.js';

export type LetterState = 'ready' | 'leased' | 'parked' | 'archived';

/** A failed call on record. Times are RFC 3339. */
export interface DeadLetter<Payload = unknown> {
  readonly id: string;
  readonly queue: string;
  readonly payload: Payload;
  /** Arguments of a captured call; null for a letter that was put. */
  readonly args: readonly unknown[] | null;
  readonly kwargs: Readonly<Record<string, unknown>> | null;
  readonly error: {
    readonly type: string;
    readonly message: string;
    readonly code: string | null;
    readonly stack: string | null;
    readonly causes: ReadonlyArray<{ readonly type: string; readonly message: string; readonly code: string | null }>;
  } | null;
  /** The first three and the last seven. */
  readonly attempts: ReadonlyArray<{
    readonly number: number;
    readonly time: string | null;
    readonly outcome: string | null;
    readonly message: string | null;
    readonly [extra: string]: unknown;
  }>;
  readonly attemptCount: number;
  readonly correlationId: string | null;
  readonly idempotencyKey: string | null;
  readonly key: string | null;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly policy: string | null;
  readonly state: LetterState;
  readonly times: { readonly firstFailure: string; readonly lastFailure: string; readonly deadLettered: string; readonly expires: string | null };
  readonly origin: {
    readonly service: string | null;
    readonly operation: string | null;
    readonly language: string | null;
    readonly version: string;
    readonly host: string;
    readonly pid: number;
  };
  /** Deliveries begun, this one included. */
  readonly redrives: number;
  readonly redrivable: boolean;
  /** Letters with the same cause are one group. */
  readonly group: string;
  /** JSON pointers to what was blanked. */
  readonly redacted: readonly string[];
  /** The id of the key that it is encrypted under. */
  readonly encrypted: string | null;
  /** Why it cannot be opened: then there is neither payload nor what the error said. */
  readonly locked: string | null;
  readonly contentType: string;
  readonly payloadBase64?: string;
}

/** Which letters. Everything given must match. */
export interface Filter {
  id?: string;
  group?: string;
  /** The error's type or code. */
  error?: string;
  policy?: string;
  key?: string;
  correlationId?: string;
  state?: LetterState;
  /** An age, or an instant. */
  olderThan?: DurationLike | Date;
  newerThan?: DurationLike | Date;
}

/** The first level of keys in camel case. */
export function camelKeys(record: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase()), value]));
}

/** A letter as users hold it. The payload is theirs: nothing in it is renamed. */
export function toLetter<Payload>(json: object): DeadLetter<Payload> {
  const letter = camelKeys(json);
  letter['attempts'] = (letter['attempts'] as object[]).map(camelKeys);
  letter['times'] = camelKeys(letter['times'] as object);
  return letter as unknown as DeadLetter<Payload>;
}

/** A filter as JSON. Unknown names stay, to be refused natively. */
export function toFilter(filter: Filter): string {
  const entries = Object.entries(filter).filter(([, value]) => value !== undefined);
  return JSON.stringify(
    Object.fromEntries(
      entries.map(([name, value]) => {
        const text = value instanceof Date ? value.toISOString() : typeof value === 'number' ? `${value}ms` : value;
        return [name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), text];
      }),
    ),
  );
}
