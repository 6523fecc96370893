// A probe is one way in which resilience libraries are known to fail, told in a sentence, and the proof that this one does not.
//
// `probes.test.mjs` runs each in a process of its own: it has to end by itself, with nothing unhandled and no warning. Alone: `PROBE='the sentence' node half-open.mjs`.

const sentences = [];

/** Declares a probe. It runs if the process was started for it. */
export function probe(sentence, run) {
  sentences.push(sentence);
  if (process.env.PROBE !== sentence) return;
  const warnings = new Set();
  process.on('warning', (warning) => warnings.add(String(warning)));
  let outcome = 'did not come to an end';
  run().then(
    () => (outcome = 'passed'),
    (error) => (outcome = error),
  );
  // Not in the end of `run`, for what it started may fail later; the exit is what shows that nothing holds the process.
  process.on('exit', () => {
    if (warnings.size > 0 && outcome === 'passed') outcome = [...warnings].join('\n');
    if (outcome !== 'passed') process.exitCode = 1;
    console.log(outcome);
  });
}

// For the runner: what there is.
if (process.env.PROBE === undefined) process.on('exit', () => console.log(JSON.stringify(sentences)));

/** A promise with its two ends. */
export function promised() {
  let resolve;
  let reject;
  const promise = new Promise((...ends) => ([resolve, reject] = ends));
  return { promise, resolve, reject };
}

/** The error that a promise is rejected with. */
export function errorOf(promise) {
  return promise.then(
    (value) => {
      throw new Error(`it gave ${value}, and no error`);
    },
    (error) => error,
  );
}

/** Lets everything settle that needs no timer. */
export async function settle() {
  for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

export const never = () => new Promise(() => undefined);
export const fails = () => Promise.reject(new Error('boom'));
