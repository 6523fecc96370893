// Vectors, format 1. An unknown key anywhere is an error.

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

const VECTOR_KEYS = ['title', 'config', 'seed', 'steps', 'transcript', 'cooperative', 'abandons', 'stream'];
const STEP_KEYS = {
  start: ['key'],
  end: ['attempt', 'value', 'error', 'status', 'retry_after', 'programming'],
  item: ['attempt', 'hold'],
  ask: [],
  stop: [],
  cancel: [],
  advance: [],
  admin: ['key', 'reason', 'expires_in', 'mode'],
  reload: [],
};

/** Every vector file under the paths, sorted. */
export function files(paths) {
  return paths.flatMap((path) => {
    if (!statSync(path).isDirectory()) return [path];
    const names = readdirSync(path).sort();
    return names.flatMap((name) => (name.endsWith('.json') || statSync(join(path, name)).isDirectory() ? files([join(path, name)]) : []));
  });
}

/** The vectors of one file. */
export function read(path) {
  const data = JSON.parse(readFileSync(path, 'utf8'));
  const vectors = Array.isArray(data) ? data : 'cases' in data ? cases(data, path) : [data];
  for (const vector of vectors) check(vector, `${path}: ${vector.title}`);
  return vectors;
}

function cases(data, path) {
  if (Object.keys(data).length !== 1) throw new Error(`${path}: beside cases nothing else may stand`);
  return data.cases;
}

/** Throws unless the vector is in format 1. */
export function check(vector, where) {
  refuse(vector, VECTOR_KEYS, where);
  vector.steps.forEach((step, place) => {
    const kinds = Object.keys(STEP_KEYS).filter((kind) => kind in step);
    if (kinds.length !== 1) throw new Error(`${where}: step ${place + 1} must name exactly one of ${Object.keys(STEP_KEYS).join(', ')}`);
    refuse(step, [kinds[0], ...STEP_KEYS[kinds[0]]], `${where}: step ${place + 1}`);
  });
}

function refuse(object, known, where) {
  for (const key of Object.keys(object)) if (!known.includes(key)) throw new Error(`${where}: unknown key ${key}`);
}
