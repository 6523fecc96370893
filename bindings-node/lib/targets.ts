/** The platforms that there are binaries for, one row each. What writes the packages and what loads a binary read this table and no other. */

/** The C library that a binary for Linux is linked to, by npm's names. */
export type Libc = 'glibc' | 'musl';

/** One platform, in the words of cargo and of npm. */
export interface Target {
  readonly triple: string;
  readonly os: NodeJS.Platform;
  readonly cpu: NodeJS.Architecture;
  readonly libc?: Libc;
}

// Windows has no row: dead letters make room in files by a call that it does not have.
export const TARGETS: readonly Target[] = [
  { triple: 'x86_64-unknown-linux-gnu', os: 'linux', cpu: 'x64', libc: 'glibc' },
  { triple: 'x86_64-unknown-linux-musl', os: 'linux', cpu: 'x64', libc: 'musl' },
  { triple: 'aarch64-unknown-linux-gnu', os: 'linux', cpu: 'arm64', libc: 'glibc' },
  { triple: 'aarch64-unknown-linux-musl', os: 'linux', cpu: 'arm64', libc: 'musl' },
  { triple: 'x86_64-apple-darwin', os: 'darwin', cpu: 'x64' },
  { triple: 'aarch64-apple-darwin', os: 'darwin', cpu: 'arm64' },
];

/** The name of the package that holds a target's binary. */
export function packageOf({ os, cpu, libc }: Target): string {
  return `@seawall/native-${libc === undefined ? `${os}-${cpu}` : `${os}-${cpu}-${libc}`}`;
}
