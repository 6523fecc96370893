/** Values as text that is equal exactly when they are: what a result was computed from, by value. */

const MAX_DEPTH = 64;

/**
 * The text of a value; nothing where something in it goes by identity: a function, a symbol, a cycle, or an object of a class without `toJSON`, whose state may
 * not be in its fields.
 */
export function textOf(value: unknown): string | undefined {
  try {
    return write(value, new Set());
  } catch {
    return undefined;
  }
}

/** Unlike JSON it tells `1n` from `"1"` and `undefined` from `null`, and does not mind the order of fields. */
function write(value: unknown, path: Set<object>): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value);
    case 'bigint':
      return `${value}n`;
    case 'number':
      return Object.is(value, -0) ? '-0' : String(value);
    case 'boolean':
    case 'undefined':
      return String(value);
    case 'object':
      return value === null ? 'null' : writeObject(value, path);
    default:
      throw new TypeError(`a ${typeof value} goes by identity`);
  }
}

function writeObject(value: object, path: Set<object>): string {
  if (path.has(value) || path.size >= MAX_DEPTH) throw new TypeError('a cycle, or too deep');
  path.add(value);
  try {
    const { toJSON } = value as { toJSON?: unknown };
    if (typeof toJSON === 'function') return `${value.constructor?.name}(${write(toJSON.call(value, ''), path)})`;
    if (Array.isArray(value)) return `[${value.map((item) => write(item, path)).join()}]`;
    if (!isPlain(value)) throw new TypeError('an object of a class goes by identity');
    const fields = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${fields.map(([name, field]) => `${JSON.stringify(name)}:${write(field, path)}`).join()}}`;
  } finally {
    path.delete(value);
  }
}

/** Of no class, in whatever realm it was made. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  const isRoot = prototype === null || Object.getPrototypeOf(prototype) === null;
  return isRoot && Object.getOwnPropertySymbols(value).length === 0;
}
