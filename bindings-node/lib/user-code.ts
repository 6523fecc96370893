/** What users give to a policy besides the function it guards, asked so that a mistake in it does not cost the call. */

import { textOf } from './by-value.js';
import type { Core } from './core.js';
import type { Work } from './driver.js';

/** The idempotency key that the dead letter's option finds. */
export function keyFrom(core: Core, work: Work): string | undefined {
  const make = core.part('dead_letter')?.idempotencyKey;
  const made = make === undefined ? undefined : quietly(() => make.apply(work.self, [...work.args]));
  return made === undefined || made === null ? undefined : String(made);
}

/** What an optional function of the user's gives; one that fails gives nothing, for the call matters more. */
export function quietly(ask: () => unknown): unknown {
  try {
    return ask();
  } catch (error) {
    process.emitWarning(`a function given to a policy threw ${String(error)} and was ignored`, 'SeawallWarning');
    return undefined;
  }
}

/** An error of the user's own: a class is constructed, a function called like the callee. */
export function makeFault(fault: unknown, self: unknown, args: readonly unknown[]): unknown {
  if (typeof fault !== 'function') return undefined;
  const isClass = fault.prototype instanceof Error || fault === Error || /^class\b/.test(Function.prototype.toString.call(fault));
  return isClass ? new (fault as new (message: string) => unknown)('injected by chaos') : fault.apply(self, [...args]);
}

/** The value of a fallback: the code's own object, unless a policy file says otherwise. */
export function valueInForce(core: Core): unknown {
  const part = core.part('fallback');
  const inForce = core.info.parts['fallback']?.['value'];
  // The value in force has crossed as JSON, which keeps no order of fields.
  const written: unknown = JSON.parse(JSON.stringify(part?.data['value'] ?? null));
  return part !== undefined && textOf(inForce) === textOf(written) ? part.value : inForce;
}

/** A failed fallback leaves the original error in charge; its own is attached where there is room. */
export function attach(error: unknown, failed: unknown): void {
  if (error instanceof Error && error.cause === undefined && Object.isExtensible(error) && failed !== error) {
    Object.defineProperty(error, 'cause', { value: failed, writable: true, configurable: true });
  }
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}
