// The packages as they are published: what is in them, how they are found, and what is said where none fits. Nothing is published here.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const root = fileURLToPath(new URL('../..', import.meta.url));
const { TARGETS, packageOf } = require(join(root, 'bindings-node/dist/targets.js'));
const { loadBinary } = require(join(root, 'bindings-node/dist/binary.js'));
const own = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const work = mkdtempSync(join(tmpdir(), 'seawall-packages-'));
const out = join(work, 'out');
const LICENCES = ['LICENSE-APACHE', 'LICENSE-MIT'];
const { glibcVersionRuntime } = process.report.getReport().header;
const host = { os: process.platform, cpu: process.arch, libc: process.platform === 'linux' ? (glibcVersionRuntime === undefined ? 'musl' : 'glibc') : undefined };
const hostTarget = TARGETS.find(({ os, cpu, libc }) => os === host.os && cpu === host.cpu && libc === host.libc);

function run(command, args, options = {}) {
  const env = { ...process.env, NODE_TEST_CONTEXT: undefined, NODE_OPTIONS: undefined };
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: root, env, encoding: 'utf8', timeout: 120_000, ...options });
  return { status, stdout, stderr };
}

const generate = (...more) => run(process.execPath, [join(root, 'bindings-node/scripts/packages.mjs'), ...more]);
const folderOf = (name) => join(out, name.replace('@seawall/', ''));
const manifestOf = (name) => JSON.parse(readFileSync(join(folderOf(name), 'package.json'), 'utf8'));

/** The files that npm would put into the package of a folder. */
function packed(folder) {
  const { status, stdout, stderr } = run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: folder });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout)[0].files.map(({ path }) => path).sort();
}

before(() => {
  const { status, stderr } = generate('--out', out);
  assert.equal(status, 0, stderr);
});
after(() => rmSync(work, { recursive: true, force: true }));

/** What a module of ours refers to by a relative path, in code and in types. */
function referred(file) {
  const text = readFileSync(join(root, file), 'utf8');
  const found = [...text.matchAll(/(?:from\s+|require\(|import\()['"](\.[^'"]+)['"]/g)].map(([, path]) => path);
  return found.map((path) => relative(root, join(root, dirname(file), path))).map((path) => (/\.d\.m?ts$/.test(file) ? path.replace(/\.(m?)js$/, '.d.$1ts') : path));
}

/** Everything that can be reached from the package's entries. */
function reachable() {
  const entries = JSON.stringify([own.exports, own.bin, own.main, own.types, own.typesVersions]).match(/(?:\.\/)?bindings-node[^"]+/g);
  const found = new Set();
  const pending = entries.map((path) => path.replace('./', ''));
  for (let file = pending.pop(); file !== undefined; file = pending.pop()) {
    if (found.has(file)) continue;
    found.add(file);
    if (/\.(js|mjs|ts|mts)$/.test(file)) pending.push(...referred(file));
  }
  return found;
}

test('the package holds what its entries lead to, and nothing else', () => {
  const needed = [...new Set([...reachable(), 'package.json', 'README.md', ...LICENCES])];
  assert.ok(needed.length > 80);
  // The types of a module that no types lead to are small, and are the compiler's to write.
  const unled = (files) => files.filter((file) => !file.endsWith('.d.ts') || needed.includes(file)).sort();
  assert.deepEqual(unled(packed(folderOf('seawall'))), needed.sort());
  assert.deepEqual(unled(packed(root)), [...needed, 'bindings-node/native/seawall.node'].sort());
});

test('each platform of the table has a package that npm chooses by os, cpu and libc', () => {
  assert.equal(new Set(TARGETS.map(packageOf)).size, TARGETS.length);
  assert.equal(new Set(TARGETS.map(({ triple }) => triple)).size, TARGETS.length);
  assert.deepEqual(readdirSync(out).sort(), ['seawall', ...TARGETS.map((target) => packageOf(target).replace('@seawall/', ''))].sort());
  for (const target of TARGETS) {
    const { name, version, os, cpu, libc, main, license, private: isPrivate } = manifestOf(packageOf(target));
    assert.equal(name, packageOf(target));
    assert.deepEqual([version, license, os, cpu, libc, main], [own.version, own.license, [target.os], [target.cpu], target.libc && [target.libc], 'seawall.node']);
    assert.equal(isPrivate, target === hostTarget ? undefined : true, 'a package without a binary cannot be published');
    assert.equal(existsSync(join(folderOf(name), 'seawall.node')), target === hostTarget);
  }
  assert.deepEqual(packed(folderOf(packageOf(hostTarget))), [...LICENCES, 'README.md', 'package.json', 'seawall.node'].sort());
});

test('the package depends on them in its own version, and is private while one has no binary', () => {
  const { optionalDependencies, devDependencies, scripts, exports, private: isPrivate } = manifestOf('seawall');
  assert.deepEqual(optionalDependencies, Object.fromEntries(TARGETS.map((target) => [packageOf(target), own.version])));
  assert.deepEqual([devDependencies, scripts, isPrivate], [undefined, undefined, true]);
  assert.deepEqual(exports, own.exports);
});

test('with a binary for each, all can be published', () => {
  const binaries = join(work, 'binaries');
  for (const { triple } of TARGETS) {
    mkdirSync(join(binaries, triple), { recursive: true });
    writeFileSync(join(binaries, triple, 'seawall.node'), triple);
  }
  const whole = join(work, 'whole');
  const { status, stdout } = generate('--out', whole, '--binaries', binaries);
  assert.equal(status, 0);
  assert.doesNotMatch(stdout, /private/);
  for (const folder of readdirSync(whole)) assert.equal(JSON.parse(readFileSync(join(whole, folder, 'package.json'), 'utf8')).private, undefined);
  for (const target of TARGETS) assert.equal(readFileSync(join(whole, packageOf(target).replace('@seawall/', ''), 'seawall.node'), 'utf8'), target.triple);
});

test('what is published comes from there: the checkout refuses', () => {
  const { status, stdout } = run('npm', ['run', 'prepublishOnly']);
  assert.notEqual(status, 0);
  assert.match(stdout, /packages\.mjs/);
});

test('publint finds nothing', async () => {
  const { publint } = await import('publint');
  for (const pkgDir of [root, folderOf('seawall'), folderOf(packageOf(hostTarget))]) {
    const { messages } = await publint({ pkgDir, level: 'suggestion', strict: true, pack: 'npm' });
    assert.deepEqual(messages, [], pkgDir);
  }
});

test('attw finds nothing, in any kind of resolution', () => {
  const attw = join(dirname(require.resolve('@arethetypeswrong/cli/package.json')), 'dist', 'index.js');
  const { status, stdout, stderr } = run(process.execPath, [attw, '--pack', folderOf('seawall'), '--no-color', '--no-emoji', '--format', 'ascii'], { env: { ...process.env, NODE_TEST_CONTEXT: undefined } });
  assert.equal(status, 0, stdout + stderr);
  assert.match(stdout, /No problems found/);
});

/** A project with the packages of the platforms that are named, as npm would lay them out. */
function project(name, targets) {
  const folder = join(work, name);
  const modules = join(folder, 'node_modules');
  cpSync(folderOf('seawall'), join(modules, 'seawall'), { recursive: true });
  // Else it would belong to the checkout, if it lies in one, and `seawall` would be that.
  writeFileSync(join(folder, 'package.json'), '{}');
  for (const target of targets) cpSync(folderOf(packageOf(target)), join(modules, packageOf(target)), { recursive: true });
  return folder;
}

/** Runs a program there, and gives what it prints, or the text of the error that ended it. */
function told(folder, program, type = 'commonjs') {
  const { status, stdout, stderr } = run(process.execPath, [`--input-type=${type}`, '-e', program], { cwd: folder });
  return status === 0 ? stdout.trim() : stderr;
}

test('import and require give one implementation, from the package of the platform', () => {
  const folder = project('both', [hostTarget]);
  const program = `
    import { createRequire } from 'node:module';
    import * as esm from 'seawall';
    import * as testing from 'seawall/testing';
    const cjs = createRequire(import.meta.url)('seawall');
    const names = Object.keys(cjs).filter((name) => name !== 'default');
    const error = await cjs.circuitBreaker({ consecutiveFailures: 1 }).run(() => { throw new Error('down') }).catch((e) => e);
    const same = names.every((name) => esm[name] === cjs[name]);
    const value = await esm.retry({ baseDelay: 1 }).run(({ attempt }) => { if (attempt < 2) throw new Error('again'); return attempt });
    const isHere = import.meta.resolve('seawall').includes('node_modules/seawall/');
    console.log(names.length > 25, same, value, typeof testing.clock, error.message, isHere);`;
  assert.equal(told(folder, program, 'module'), 'true true 2 function down true');
  assert.equal(told(folder, `console.log(typeof require('seawall').retry, typeof require('seawall/fetch').guardFetch)`), 'function function');
});

test('the command works from there', () => {
  const folder = project('command', [hostTarget]);
  const { stdout, status } = run(process.execPath, [join(folder, 'node_modules/seawall', own.bin.seawall), '--version'], { cwd: folder });
  assert.equal(status, 0);
  assert.ok(stdout.includes(own.version), stdout);
});

test('without a package it is said which one is missing, and why that may be', () => {
  const text = told(project('bare', []), `require('seawall')`);
  assert.ok(text.includes(`there is no binary for ${host.os} ${host.cpu}`), text);
  assert.ok(text.includes(`${packageOf(hostTarget)}@${own.version} is not installed`), text);
  assert.match(text, /--omit=optional/);
  assert.match(text, /ERR_SEAWALL_BINARY/);
});

test('a package of another version is refused by name', () => {
  const folder = project('older', [hostTarget]);
  const path = join(folder, 'node_modules', packageOf(hostTarget), 'package.json');
  writeFileSync(path, readFileSync(path, 'utf8').replace(own.version, '0.0.9'));
  const text = told(folder, `require('seawall')`);
  assert.ok(text.includes(`this is version ${own.version}, and ${packageOf(hostTarget)} is 0.0.9`), text);
});

test('a binary for another C library is said to be one', { skip: hostTarget.libc === undefined && 'this platform has one C library' }, () => {
  const other = TARGETS.find(({ os, cpu, libc }) => os === host.os && cpu === host.cpu && libc !== host.libc);
  const folder = project('libc', [other]);
  const binary = join(folder, 'node_modules', packageOf(other), 'seawall.node');
  writeFileSync(binary, 'no library at all');
  const text = told(folder, `require('seawall')`);
  assert.ok(text.includes(`${packageOf(other)} does not load on ${host.os} ${host.cpu} with ${host.libc}. It is for ${other.libc}; ${packageOf(hostTarget)} would be right`), text);
  // Beside the right one it is in nobody's way: some package managers install both.
  assert.equal(told(project('libcs', [hostTarget, other]), `console.log(typeof require('seawall').retry)`), 'function');
});

test('a platform that there is no package for is told which there are', () => {
  const nowhere = () => {
    throw new Error('not found');
  };
  for (const [os, cpu, libc] of [['win32', 'x64', undefined], ['linux', 'riscv64', 'glibc'], ['freebsd', 'arm64', undefined]]) {
    assert.throws(
      () => loadBinary({ os, cpu, libc }, '/nowhere', nowhere),
      ({ code, message }) => {
        assert.equal(code, 'ERR_SEAWALL_BINARY');
        assert.ok(message.startsWith(`seawall: there is no binary for ${os} ${cpu}${libc === undefined ? '' : ' with glibc'}; there are some for linux x64 with glibc, `), message);
        assert.match(message, /darwin arm64\. .*npm run build/);
        return true;
      },
    );
  }
});

test('a binary that was built elsewhere is said to be', () => {
  const path = join(work, 'elsewhere.node');
  writeFileSync(path, 'no library');
  assert.throws(() => loadBinary({ os: 'linux', cpu: 'x64', libc: 'musl' }, path), /elsewhere\.node does not load on linux x64 with musl; it was built elsewhere: build it here/);
});
