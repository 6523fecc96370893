// Both kinds of decorators, as tsc compiles them.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import * as seawall from 'seawall';
import { clock } from 'seawall/testing';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..', '..');
const require = createRequire(import.meta.url);
const tsc = join(dirname(require.resolve('typescript/package.json')), 'bin', 'tsc');

for (const [kind, flags] of [
  ['TC39', []],
  ['legacy', ['--experimentalDecorators']],
]) {
  test(`${kind} decorators guard methods and keep this`, async (t) => {
    // Below the checkout, so that the compiled file finds the package.
    mkdirSync(join(root, 'target'), { recursive: true });
    const out = mkdtempSync(join(root, 'target', 'decorators-'));
    const time = clock();
    t.after(() => {
      time.restore();
      rmSync(out, { recursive: true });
    });
    const options = ['--strict', '--target', 'es2022', '--module', 'node16', '--skipLibCheck', '--types', 'node', '--rootDir', join(here, 'decorators'), '--outDir', out];
    const built = spawnSync(process.execPath, [tsc, ...options, ...flags, join(here, 'decorators', 'till.ts')], { encoding: 'utf8', cwd: root });
    assert.equal(built.status, 0, built.stdout);
    const { Till } = require(join(out, 'till.js'));
    const till = new Till(7);
    assert.equal(await till.charge(3), '7: 3, attempt 2');
    assert.equal(await till.refund(3), -3);
    assert.equal(till.charge.name, 'charge');
    assert.equal(till.charge.length, 1);
    assert.ok(seawall.policyOf(till.charge));
    assert.equal(await Till.opened('me'), 'Till me');
    assert.deepEqual([await till.find(7), await till.find('a')], [7, 'a']);
    assert.equal(Object.keys(till).includes('charge'), false);
    assert.deepEqual(Object.getOwnPropertyDescriptor(Till.prototype, 'charge').enumerable, false);
  });
}

const ROUTE = Symbol('route');

test('a guarded function has the own properties and the metadata of what it guards', async (t) => {
  // The metadata of `Reflect` is an application's own choice: without it nothing is asked for.
  require('reflect-metadata');
  t.after(() => {
    for (const name of ['defineMetadata', 'decorate', 'metadata', 'hasMetadata', 'hasOwnMetadata', 'getMetadata', 'getOwnMetadata', 'getMetadataKeys', 'getOwnMetadataKeys', 'deleteMetadata']) delete Reflect[name];
  });
  class Controller {
    prices(id) {
      return `${id} of ${this.shop}`;
    }
  }
  const { prices } = Controller.prototype;
  prices.version = 2;
  Object.defineProperty(prices, ROUTE, { value: '/prices', enumerable: false, writable: false });
  Object.defineProperty(prices, 'uses', { get: () => 'a getter', enumerable: true });
  Reflect.defineMetadata('path', '/prices', prices);
  Reflect.defineMetadata(ROUTE, ['GET'], prices);
  const descriptor = seawall.retry()(Controller.prototype, 'prices', Object.getOwnPropertyDescriptor(Controller.prototype, 'prices'));
  for (const guarded of [descriptor.value, seawall.retry()(prices, { kind: 'method', name: 'prices' }), seawall.retry()(prices)]) {
    assert.equal(guarded.version, 2);
    assert.equal(guarded[ROUTE], '/prices');
    assert.equal(Object.getOwnPropertyDescriptor(guarded, ROUTE).enumerable, false);
    assert.equal(guarded.uses, 'a getter');
    assert.equal(guarded.name, 'prices');
    assert.equal(Reflect.getOwnMetadata('path', guarded), '/prices');
    assert.deepEqual(Reflect.getOwnMetadata(ROUTE, guarded), ['GET']);
    assert.equal(await guarded.call({ shop: 'mine' }, 7), '7 of mine');
  }
  // Marks that come later stay where they are put.
  Reflect.defineMetadata('later', 1, descriptor.value);
  assert.equal(Reflect.getOwnMetadata('later', prices), undefined);
  assert.deepEqual([descriptor.enumerable, descriptor.configurable, descriptor.writable], [false, true, true]);
});

test('a decorator on what is no method says so', () => {
  assert.throws(() => seawall.retry()(undefined, { kind: 'field', name: 'x' }), /decorates methods; x is a field/);
  assert.throws(() => seawall.retry()({}, 'x', undefined), /decorates methods; x is none/);
});
