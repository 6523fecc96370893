/**
 * Finds the binary for this platform.
 *
 * | there is | loaded is |
 * |---|---|
 * | `native/seawall.node`, as in a checkout | that |
 * | a package of this platform, which npm has chosen by os, cpu and libc | its binary |
 * | neither, or one that does not load | nothing: an error says what is here and what would be right |
 */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Libc, packageOf, type Target, TARGETS } from './targets.js';

/** The platform that this process runs on. */
export interface Host {
  readonly os: string;
  readonly cpu: string;
  /** Undefined but on Linux. */
  readonly libc: Libc | undefined;
}

/** The host's report knows the C library, but takes milliseconds to make: it is asked only where there is a choice, and for the text of an error. */
const here: Host = {
  os: process.platform,
  cpu: process.arch,
  get libc() {
    return process.platform === 'linux' ? libcOf() : undefined;
  },
};

function libcOf(): Libc {
  const report = process.report as (NodeJS.ProcessReport & { excludeNetwork?: boolean }) | undefined;
  // Otherwise it looks names of hosts up.
  if (report !== undefined) report.excludeNetwork = true;
  const { header } = (report?.getReport() ?? {}) as { header?: { glibcVersionRuntime?: string } };
  if (header?.glibcVersionRuntime !== undefined) return 'glibc';
  return existsSync(`/lib/ld-musl-${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}.so.1`) ? 'musl' : 'glibc';
}

/** There is no binary that works here. */
class BinaryError extends Error {
  readonly code = 'ERR_SEAWALL_BINARY';

  constructor(message: string, cause?: unknown) {
    super(`seawall: ${message}`, cause === undefined ? undefined : { cause });
  }
}

const BUILT = join(__dirname, '..', 'native', 'seawall.node');

/** Loads the binary for `host`. `find` gives a module's path, and throws where there is none. */
export function loadBinary(host: Host = here, built = BUILT, find: (name: string) => string = require.resolve): unknown {
  if (existsSync(built)) return loadBuilt(host, built);
  const fitting = TARGETS.filter(({ os, cpu }) => os === host.os && cpu === host.cpu);
  const installed = fitting.filter((target) => isThere(find, packageOf(target)));
  // Most often there is one, and it is right: npm has looked at the C library.
  const chosen = installed.length > 1 ? installed.find(({ libc }) => libc === host.libc) : installed[0];
  if (chosen === undefined) throw new BinaryError(missing(host, fitting));
  return loadPackage(host, chosen, find);
}

function isThere(find: (name: string) => string, name: string): boolean {
  try {
    find(name);
    return true;
  } catch {
    return false;
  }
}

function loadBuilt(host: Host, path: string): unknown {
  try {
    return require(path) as unknown;
  } catch (error) {
    throw new BinaryError(`${path} does not load on ${nameOf(host)}; it was built elsewhere: build it here with \`npm run build\`. ${textOf(error)}`, error);
  }
}

function loadPackage(host: Host, target: Target, find: (name: string) => string): unknown {
  const name = packageOf(target);
  const path = find(name);
  const { version } = require(join(path, '..', 'package.json')) as { version: string };
  if (version !== ownVersion()) {
    throw new BinaryError(`this is version ${ownVersion()}, and ${name} is ${version}; both have to be of one version: install again, with a lock file that says so`);
  }
  try {
    return require(path) as unknown;
  } catch (error) {
    const { libc } = host;
    const right = target.libc === libc ? '' : ` It is for ${target.libc}; ${packageOf({ ...target, libc: libc! })} would be right: remove node_modules and install on this platform.`;
    throw new BinaryError(`${name} does not load on ${nameOf(host)}.${right} ${textOf(error)}`, error);
  }
}

function ownVersion(): string {
  return (require('../../package.json') as { version: string }).version;
}

function missing(host: Host, fitting: readonly Target[]): string {
  const right = fitting.find(({ libc }) => libc === host.libc);
  if (right === undefined) {
    const known = TARGETS.map(({ os, cpu, libc }) => nameOf({ os, cpu, libc })).join(', ');
    return `there is no binary for ${nameOf(host)}; there are some for ${known}. On other platforms it has to be built from its sources, with Rust: \`npm run build\` in a checkout`;
  }
  const name = `${packageOf(right)}@${ownVersion()}`;
  return (
    `there is no binary for ${nameOf(host)} here: ${name} is not installed. It is an optional dependency, chosen by platform: npm leaves it out with ` +
    `--omit=optional, and where node_modules or the lock file come from another platform. Remove them and install again, or \`npm install ${name}\``
  );
}

function nameOf({ os, cpu, libc }: Host): string {
  return libc === undefined ? `${os} ${cpu}` : `${os} ${cpu} with ${libc}`;
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
