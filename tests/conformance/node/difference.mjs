// A unified-style difference of two lists of lines.

const CONTEXT = 3;

/** Nothing if they are equal, else the lines around the first and the last difference: `-` as expected, `+` as played. */
export function difference(expected, played) {
  let head = 0;
  while (head < expected.length && head < played.length && expected[head] === played[head]) head += 1;
  if (head === expected.length && head === played.length) return undefined;
  let tail = 0;
  const most = Math.min(expected.length, played.length) - head;
  while (tail < most && expected[expected.length - 1 - tail] === played[played.length - 1 - tail]) tail += 1;
  const from = Math.max(0, head - CONTEXT);
  const after = expected.slice(expected.length - tail).slice(0, CONTEXT);
  return [
    `  @@ line ${head + 1} @@`,
    ...expected.slice(from, head).map((line) => `   ${line}`),
    ...expected.slice(head, expected.length - tail).map((line) => `  -${line}`),
    ...played.slice(head, played.length - tail).map((line) => `  +${line}`),
    ...after.map((line) => `   ${line}`),
  ].join('\n');
}
