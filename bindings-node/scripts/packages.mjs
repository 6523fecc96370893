// Writes the packages that are published, and publishes nothing:
//
//     node bindings-node/scripts/packages.mjs --out FOLDER [--binaries FOLDER]
//
// FOLDER/seawall has the JavaScript and depends on one package per platform of lib/targets.ts, of which npm installs the one that fits. Binaries lie
// under `--binaries` as TRIPLE/seawall.node (default: what was built in this checkout, for this platform alone). A package that has
// none is written too, marked private, which npm refuses to publish; so is then the main one, which would lead to it.

import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const require = createRequire(import.meta.url);
const root = fileURLToPath(new URL('../..', import.meta.url));
const { TARGETS, packageOf } = require('../dist/targets.js');
const NATIVE = 'bindings-node/native';
const LICENCES = ['LICENSE-MIT', 'LICENSE-APACHE'];

const { values } = parseArgs({ options: { out: { type: 'string' }, binaries: { type: 'string' } } });
if (values.out === undefined) throw new Error('--out FOLDER is missing');
const out = resolve(values.out);
const own = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

const ownLibc = process.platform !== 'linux' ? undefined : process.report.getReport().header.glibcVersionRuntime === undefined ? 'musl' : 'glibc';

/** Where the binary of a target lies, if there is one. */
function binaryOf(target) {
  const { os, cpu, libc, triple } = target;
  const isHere = os === process.platform && cpu === process.arch && libc === ownLibc;
  const path = values.binaries === undefined ? join(root, NATIVE, 'seawall.node') : join(values.binaries, triple, 'seawall.node');
  return (values.binaries !== undefined || isHere) && existsSync(path) ? path : undefined;
}

function write(name, manifest, files) {
  const folder = join(out, name.replace('@seawall/', ''));
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  for (const file of [...LICENCES, ...files]) cpSync(join(root, file), join(folder, file), { recursive: true });
  return folder;
}

function writePlatform(target, binary) {
  const { triple, os, cpu, libc } = target;
  const name = packageOf(target);
  const { version, license, engines } = own;
  const manifest = {
    name,
    version,
    description: `The binary of seawall for ${triple}. It is installed with seawall.`,
    license,
    ...(binary === undefined && { private: true }),
    os: [os],
    cpu: [cpu],
    ...(libc !== undefined && { libc: [libc] }),
    type: 'commonjs',
    main: 'seawall.node',
    files: ['seawall.node', ...LICENCES],
    engines,
  };
  const folder = write(name, manifest, []);
  writeFileSync(join(folder, 'README.md'), `# ${name}\n\n${manifest.description}\n`);
  if (binary !== undefined) copyFileSync(binary, join(folder, 'seawall.node'));
  return name;
}

function writeMain(names, isWhole) {
  const { scripts: _, devDependencies: __, files, ...manifest } = own;
  const shipped = files.filter((file) => file !== NATIVE);
  const optionalDependencies = Object.fromEntries(names.map((name) => [name, own.version]));
  write(own.name, { ...manifest, ...(!isWhole && { private: true }), files: shipped, optionalDependencies }, [...shipped.filter((file) => !LICENCES.includes(file)), 'README.md']);
}

const binaries = TARGETS.map(binaryOf);
const names = TARGETS.map((target, place) => writePlatform(target, binaries[place]));
writeMain(names, !binaries.includes(undefined));
names.forEach((name, place) => console.log(`${name}: ${binaries[place] === undefined ? 'no binary, hence private' : 'whole'}`));
console.log(`${own.name}: ${binaries.includes(undefined) ? 'private until all are whole' : 'whole'}`);
