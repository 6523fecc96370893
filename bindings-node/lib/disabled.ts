/** Whether policies are switched off, for tests of what they guard. */

let depth = 0;

/** True while `disabled()` of `seawall/testing` is in force. */
export function isDisabled(): boolean {
  return depth > 0;
}

/** Switches policies off until the function it gives is called. */
export function disable(): () => void {
  depth += 1;
  let active = true;
  return () => {
    if (active) depth -= 1;
    active = false;
  };
}
