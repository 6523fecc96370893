// The examples in bindings-node/examples, each as the process that its users would start.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect, createServer as createSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = join(root, 'bindings-node', 'examples');
const PATIENCE_MS = 60_000;

before(() => {
  const tsc = join(folder, 'node_modules', 'typescript', 'bin', 'tsc');
  assert.ok(existsSync(tsc), `${tsc} is missing; \`make test\` installs it, or \`npm ci\` in bindings-node/examples`);
  const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', folder, '--pretty', 'false'], { encoding: 'utf8' });
  assert.equal(status, 0, stdout);
});

/** Waits until something is true that other processes bring about, and gives it. */
async function until(what, condition) {
  for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await wait(20)) {
    const found = await condition();
    if (found) return found;
  }
  throw new Error(`still not so: ${what}`);
}

/** A bank: it turns away what comes first for an order, or everything while it is shut. */
async function openBank(t) {
  const bank = { isOpen: true, seen: [], receipts: new Map() };
  const server = createServer((request, response) => {
    const order = request.url.split('/').at(-1);
    const isFirst = !bank.seen.some((one) => one.order === order);
    bank.seen.push({ order, ...request.headers });
    if (!bank.isOpen || isFirst) return response.writeHead(503).end();
    const key = request.headers['idempotency-key'] ?? order;
    if (!bank.receipts.has(key)) bank.receipts.set(key, `${order}/${bank.receipts.size + 1}`);
    response.end(request.method === 'GET' ? '450' : JSON.stringify({ receipt: bank.receipts.get(key) }));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  bank.url = `http://127.0.0.1:${server.address().port}`;
  bank.came = (order, header) => bank.seen.filter((one) => one.order === order).map((one) => one[header]);
  return bank;
}

/** Starts a program; what it prints is in `output`, and it does not outlive the test. */
function start(t, program, args, env = {}) {
  const child = spawn(program, args, { cwd: folder, env: { ...process.env, NODE_TEST_CONTEXT: undefined, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  child.output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (child.output += chunk));
  t.after(() => child.kill('SIGKILL'));
  return child;
}

/** Starts an example that listens; gives its process and its URL. */
async function serve(t, name, env) {
  const child = start(t, process.execPath, [join('dist', `${name}.js`)], { PORT: '0', ...env });
  const url = await until(`${name} listens`, () => {
    assert.equal(child.exitCode, null, child.output);
    return /https?:\/\/[^\s"]+/.exec(child.output.split('istening at ')[1] ?? '')?.[0];
  });
  return { child, url: url.replace('[::1]', '127.0.0.1') };
}

async function terminate(child) {
  if (child.exitCode === null) {
    child.kill('SIGTERM');
    await once(child, 'exit');
  }
  assert.ok(child.exitCode === 0 || child.signalCode === 'SIGTERM', `${child.exitCode}\n${child.output}`);
}

/** A folder of the test's own, and the store in it. */
function storeIn(t) {
  const path = mkdtempSync(join(tmpdir(), 'seawall-examples-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return { path, store: `sqlite:///${path}` };
}

function letters(store) {
  const cli = join(root, 'bindings-node', 'dist', 'cli.js');
  const { stdout, stderr } = spawnSync(process.execPath, [cli, 'dlq', 'ls', 'orders', '--json'], { encoding: 'utf8', env: { ...process.env, SEAWALL_STORE: store } });
  return `${stdout}${stderr}`;
}

test('service: an order is charged by a second attempt, and one that cannot be is on record', async (t) => {
  const bank = await openBank(t);
  const { store } = storeIn(t);
  const { child, url } = await serve(t, 'service', { BANK_URL: bank.url, SEAWALL_STORE: store });
  const order = async (name, id) => {
    const response = await fetch(`${url}/orders/${name}`, { method: 'POST', headers: { 'x-correlation-id': id } });
    assert.equal(response.headers.get('x-correlation-id'), id);
    return (await response.json()).receipt;
  };
  assert.equal(await order('a-7', 'web-1'), 'a-7/1');
  assert.deepEqual(bank.came('a-7', 'x-seawall-attempt'), ['1', '2']);
  assert.deepEqual(bank.came('a-7', 'x-correlation-id'), ['web-1', 'web-1']);
  bank.isOpen = false;
  assert.equal(await order('b-1', 'web-2'), null);
  assert.match(letters(store), /web-2/);
  await until('the service has told of it', () => /"correlationId":"web-2".*"to be charged later"/.test(child.output));
  assert.equal((await (await fetch(`${url}/health`)).json()).bank, 'closed');
  await terminate(child);
});

test('till: a decorated controller answers, and says 503 with a Retry-After when its policy turns it away', async (t) => {
  const list = await openBank(t);
  const { child, url } = await serve(t, 'till', { PRICES_URL: list.url });
  const price = async () => {
    const response = await fetch(`${url}/prices/tea`);
    return { status: response.status, after: response.headers.get('retry-after'), ...(await response.json()) };
  };
  const { product, cents, served } = await price();
  assert.deepEqual([product, cents, served], ['tea', 450, 1]);
  assert.equal((await price()).served, 2);
  list.isOpen = false;
  assert.deepEqual([(await price()).status, (await price()).status, (await price()).status], [500, 500, 500]);
  const turnedAway = await price();
  assert.deepEqual([turnedAway.status, turnedAway.error], [503, 'circuit.open']);
  assert.ok(Number(turnedAway.after) > 0);
  await terminate(child);
});

/** The URL of a Redis of the test's own; or the reason why there is none, for which the test is skipped, or fails where SEAWALL_REQUIRE_SERVERS=1. */
async function redis(t, path) {
  const python = join(root, '.venv', 'bin', 'python');
  const found = spawnSync(existsSync(python) ? python : 'python3', [join(root, 'tests', 'servers', 'find.py'), 'redis'], { encoding: 'utf8', timeout: 300_000 });
  const program = (found.stdout ?? '').trim();
  if (found.status !== 0) {
    const reason = `no redis server: ${(found.stderr ?? String(found.error)).trim()}`;
    assert.notEqual(process.env.SEAWALL_REQUIRE_SERVERS, '1', reason);
    return { reason };
  }
  if (program.includes('://')) return { url: program };
  const port = await new Promise((resolve) => {
    const socket = createSocket().listen(0, '127.0.0.1', () => {
      const { port } = socket.address();
      socket.close(() => resolve(port));
    });
  });
  const server = start(t, program, ['--port', String(port), '--bind', '127.0.0.1', '--dir', path, '--save', '', '--appendonly', 'no']);
  await until('redis answers', () => {
    assert.equal(server.exitCode, null, server.output);
    return new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'));
      socket.once('data', () => (socket.destroy(), resolve(true)));
      socket.once('error', () => resolve(false));
    });
  });
  return { url: `redis://127.0.0.1:${port}` };
}

test('worker: a job is charged, one that failed leaves a letter, and is charged when that is sent again', async (t) => {
  const { path, store } = storeIn(t);
  const { url, reason } = await redis(t, path);
  if (url === undefined) return t.skip(reason);
  const bank = await openBank(t);
  const env = { BANK_URL: bank.url, REDIS_URL: url, SEAWALL_STORE: store };
  const run = async (...args) => {
    const child = start(t, process.execPath, [join('dist', 'worker.js'), ...args], env);
    await once(child, 'exit');
    assert.equal(child.exitCode, 0, child.output);
    return child.output;
  };
  const worker = start(t, process.execPath, [join('dist', 'worker.js')], env);
  const charged = (key) => until(`${key} is charged`, () => {
    assert.equal(worker.exitCode, null, worker.output);
    return bank.receipts.get(key);
  });

  await run('add', 'a-7', '450');
  assert.equal(await charged('charge-a-7'), 'a-7/1');
  assert.deepEqual(bank.came('a-7', 'x-seawall-attempt'), ['1', '2']);
  assert.deepEqual(bank.came('a-7', 'x-correlation-id'), ['order-a-7', 'order-a-7']);
  assert.deepEqual(bank.came('a-7', 'idempotency-key'), ['charge-a-7', 'charge-a-7']);

  bank.isOpen = false;
  await run('add', 'b-1', '100');
  await until('the job has failed', () => /charge-b-1 failed/.test(worker.output));
  assert.match(letters(store), /order-b-1/);
  bank.isOpen = true;
  assert.match(await run('redrive'), /1 sent again/);
  assert.equal(await charged('charge-b-1'), 'b-1/2');
  await terminate(worker);
});
