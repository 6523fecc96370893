/** Timers that race work, in one list sorted by deadline, behind one timer of the host. */

/** One armed timer. */
export class Racer {
  done = false;

  constructor(
    readonly at: number,
    readonly fire: () => void,
    private readonly stop?: () => void,
  ) {}

  /** Calls it off. In a list it stays until its turn or a sweep, which is cheaper than a search. */
  cancel(): void {
    this.done = true;
    this.stop?.();
  }
}

const SWEEP_AT = 256;
/** What binary fractions of a millisecond may be off by; without it some timers come a whole millisecond late. */
const NOISE = 1e-6;

export class DeadlineList {
  private list: Racer[] = [];
  /** The length at which those called off are swept out: a fast stream arms and calls off a timer for each item. */
  private sweepAt = SWEEP_AT;
  private armedFor = Infinity;
  private disarm: (() => void) | undefined;

  constructor(
    private readonly now: () => number,
    private readonly hostTimer: (ms: number, fire: () => void) => () => void,
  ) {}

  /** Arms a timer that is due at `at`. */
  add(at: number, fire: () => void): Racer {
    const racer = new Racer(at, fire);
    insert(this.list, racer);
    if (this.list.length >= this.sweepAt) this.sweep();
    this.arm();
    return racer;
  }

  private sweep(): void {
    this.list = this.list.filter(({ done }) => !done);
    this.sweepAt = Math.max(SWEEP_AT, 2 * this.list.length);
  }

  /** Forgets every timer. */
  clear(): void {
    this.list = [];
    this.disarm?.();
    this.armedFor = Infinity;
  }

  private arm(): void {
    const first = this.first();
    if (first === undefined) {
      this.disarm?.();
      this.armedFor = Infinity;
    } else if (first.at < this.armedFor) {
      this.disarm?.();
      this.armedFor = first.at;
      this.disarm = this.hostTimer(Math.max(0, Math.ceil(first.at - this.now() - NOISE)), () => this.due(first.at));
    }
  }

  private first(): Racer | undefined {
    while (this.list[0]?.done) this.list.shift();
    return this.list[0];
  }

  /** Everything up to `at` is due, whatever the clock says: fake timers may come without a fake clock. */
  private due(at: number): void {
    const limit = Math.max(at, this.now());
    this.armedFor = Infinity;
    for (let first = this.first(); first !== undefined && first.at <= limit; first = this.first()) {
      this.list.shift();
      first.done = true;
      first.fire();
    }
    this.arm();
  }
}

/** Inserts by deadline, after those with the same one. */
export function insert(list: Racer[], racer: Racer): void {
  // Most often it is the last: one policy's limits are alike.
  if (list.length === 0 || list[list.length - 1]!.at <= racer.at) return void list.push(racer);
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle]!.at <= racer.at) low = middle + 1;
    else high = middle;
  }
  list.splice(low, 0, racer);
}
