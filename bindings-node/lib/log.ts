/**
 * Events as log lines, for pino, winston and whatever else: `logTo((level, event) => log[level](event, event.event))`.
 *
 * Of one event of one policy so many lines a second are written; the next line says in `dropped` how many there were besides.
 */

import * as clock from './clock.js';
import { ConfigError } from './errors.js';
import { onEvent, type SeawallEvent } from './events.js';

/** The levels that pino, winston and the console have. */
export type Level = 'debug' | 'info' | 'warn' | 'error';

/** Writes one line. Runs within the call that it tells of, so it must not wait. */
export type Writer = (level: Level, event: SeawallEvent) => void;

const LEVELS: Readonly<Record<SeawallEvent['severity'], Level>> = { debug: 'debug', info: 'info', warning: 'warn', error: 'error' };
const SECOND_MS = 1_000;
/** Kinds of lines that are told apart. Events and policies are few, unless names are made at run time. */
const MOST = 1_000;
/** Each of these is the only trace of a letter. */
const ALWAYS: ReadonlySet<string> = new Set(['dlq.lost']);

/** Writes every event from now on; `perSecond` lines of one event of one policy a second (default: 10; Infinity: all). Gives the way to stop. */
export function logTo(write: Writer, options: { perSecond?: number } = {}): () => void {
  const { perSecond = 10 } = options;
  if (typeof perSecond !== 'number' || !(perSecond >= 1)) throw new ConfigError('expected a number from 1 on', 'logTo.perSecond');
  const storms = new Storms(perSecond);
  return onEvent((event) => {
    const dropped = storms.passBy(event);
    if (dropped !== undefined) write(LEVELS[event.severity], dropped === 0 ? event : { ...event, dropped });
  });
}

/** What was logged lately. */
class Storms {
  /** By event and policy: when its second began, lines in it, and those left out since the last line. */
  private readonly lately = new Map<string, { began: number; lines: number; dropped: number }>();

  constructor(private readonly perSecond: number) {}

  /** How many like it were left out since the last line, if this one is to be logged. */
  passBy(event: SeawallEvent): number | undefined {
    if (ALWAYS.has(event.event)) return 0;
    if (this.lately.size >= MOST) this.lately.clear();
    const kind = `${event.event} ${event.policy}`;
    const now = clock.now();
    let found = this.lately.get(kind);
    if (found === undefined) this.lately.set(kind, (found = { began: now, lines: 0, dropped: 0 }));
    const since = now - found.began;
    // A clock that was set back, as tests do, begins a new second.
    if (since < 0 || since >= SECOND_MS) [found.began, found.lines] = [now, 0];
    if (found.lines >= this.perSecond) {
      found.dropped += 1;
      return undefined;
    }
    found.lines += 1;
    const { dropped } = found;
    found.dropped = 0;
    return dropped;
  }
}
