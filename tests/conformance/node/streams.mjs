// What a vector holds in its hands: callees that park, and the consumers of streams.

/** The end of a stream, in place of an item. */
export const END = Symbol('end');

/** A callee that waits until the vector says what becomes of it. */
export class Parked {
  resolve;
  reject;

  next() {
    return new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
  }
}

/** A callee that gives a stream: it parks before each item. */
export async function* items(parked) {
  for (;;) {
    if ((await parked.next()) === END) return;
    yield 0;
  }
}

/** Asks for items one after the other; on one that it holds it works until the vector lets it go on. */
export class Consumer {
  holds = false;
  #resume;

  constructor(stream, write) {
    this.done = this.#consume(stream, write);
  }

  async #consume(stream, write) {
    for (let count = 1; !(await stream.next()).done; count += 1) {
      write(`item ${count}`);
      if (!this.holds) continue;
      this.holds = false;
      const goesOn = await new Promise((resolve) => (this.#resume = resolve));
      if (goesOn) continue;
      await stream.return();
      return write('stopped');
    }
    write('returns null');
  }

  ask() {
    this.#resume(true);
  }

  stop() {
    this.#resume(false);
  }
}
