// Builds the native module with cargo and puts it where the package looks for it.
// SEAWALL_PROFILE chooses the profile (default `ci`; packages are built with `release`).

import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const profile = process.env.SEAWALL_PROFILE ?? 'ci';
const LIBRARY = { darwin: 'libseawall_node.dylib', win32: 'seawall_node.dll' }[process.platform] ?? 'libseawall_node.so';

/** The target is named, so that cargo, maturin and this script share one folder and compile each dependency once. */
function hostTarget() {
  if (process.env.CARGO_BUILD_TARGET) return process.env.CARGO_BUILD_TARGET;
  const { stdout, error } = spawnSync('rustc', ['-vV'], { encoding: 'utf8' });
  if (error) throw new Error(`rustc did not start (${error.message}); install Rust from https://rustup.rs`);
  return /^host: (.*)$/m.exec(stdout)[1];
}

const target = hostTarget();
const build = spawnSync('cargo', ['build', '--profile', profile, '-p', 'seawall-node', '--target', target], { cwd: root, stdio: 'inherit' });
if (build.status !== 0) process.exit(build.status ?? 1);

const built = join(process.env.CARGO_TARGET_DIR ?? join(root, 'target'), target, profile, LIBRARY);
const folder = join(root, 'bindings-node', 'native');
mkdirSync(folder, { recursive: true });
// Renamed into place: a running process may have the old one mapped.
copyFileSync(built, join(folder, 'seawall.node.new'));
renameSync(join(folder, 'seawall.node.new'), join(folder, 'seawall.node'));
