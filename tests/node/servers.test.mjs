// The server adapters, on node:http servers that call them as the frameworks do.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';

import { circuitBreaker, correlate, correlationId, current, deadline } from 'seawall';
import { processor, withCorrelation } from 'seawall/bullmq';
import { errorHandler, middleware } from 'seawall/express';
import fastifyPlugin, { plugin } from 'seawall/fastify';

/** Express in small: the middleware, the route, the handler of its errors. */
async function serve(t, options, route) {
  const [enter, failed] = [middleware(options), errorHandler()];
  const server = createServer((request, response) => {
    const last = () => response.writeHead(500).end('other');
    enter(request, response, async () => {
      try {
        response.end(JSON.stringify(await route()));
      } catch (error) {
        failed(error, request, response, last);
      }
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}/`;
}

const sent = { 'x-correlation-id': 'order-7', 'x-seawall-deadline-ms': '60000', 'x-seawall-attempt': '2' };
const look = async () => {
  await new Promise(setImmediate);
  return [correlationId(), deadline(0) > 0, current().attempt];
};

test('express: a request runs in the context of its headers', async (t) => {
  const untrusted = await fetch(await serve(t, undefined, look), { headers: sent });
  assert.equal(untrusted.headers.get('x-correlation-id'), 'order-7');
  assert.deepEqual(await untrusted.json(), ['order-7', false, 0]);
  const trusted = await fetch(await serve(t, { trust: true }, look), { headers: sent });
  assert.deepEqual(await trusted.json(), ['order-7', true, 2]);
  const bare = await fetch(await serve(t, undefined, look));
  assert.match(bare.headers.get('x-correlation-id'), /^[0-9a-f-]{36}$/);
});

test('express: a rejection is answered with its status, another error passed on', async (t) => {
  const breaker = circuitBreaker({ breakDuration: '10s', breakJitter: 0 });
  breaker.breaker.isolate({ reason: 'maintenance', expiresIn: '1h' });
  const response = await fetch(await serve(t, undefined, () => breaker.run(() => 'never')));
  assert.equal(response.status, 503);
  assert.ok(Number(response.headers.get('retry-after')) > 3500);
  assert.equal((await response.json()).error, 'circuit.isolated');
  const other = await fetch(await serve(t, undefined, () => Promise.reject(new Error('boom'))));
  assert.deepEqual([other.status, await other.text()], [500, 'other']);
});

/** Fastify in small: the hooks, the route after the body was read in a context of its own, the handler of errors. */
async function serveFastify(t, options, route) {
  const hooks = {};
  let failed;
  plugin({ addHook: (name, hook) => (hooks[name] = hook), setErrorHandler: (handler) => (failed = handler) }, options, () => undefined);
  const server = createServer((request, response) => {
    const reply = {
      code: (status) => (response.statusCode = status),
      header: (name, value) => response.setHeader(name, value),
      send: (body) => response.end(JSON.stringify(body)),
    };
    const handle = async () => {
      try {
        reply.send(await route());
      } catch (error) {
        try {
          await failed(error, request, reply);
        } catch (other) {
          response.writeHead(500).end(other.message);
        }
      }
    };
    const body = new Promise((resolve) => request.resume().on('end', resolve));
    const read = body.then(() => () => hooks.preValidation(request, reply, handle));
    hooks.onRequest(request, reply, () => undefined);
    read.then((go) => go());
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}/`;
}

test('fastify: a request runs in the context of its headers, after its body too, and a rejection is answered', async (t) => {
  assert.equal(fastifyPlugin, plugin);
  assert.equal(plugin[Symbol.for('skip-override')], true);
  const trusted = await fetch(await serveFastify(t, { trust: true }, look), { method: 'POST', body: 'x', headers: sent });
  assert.equal(trusted.headers.get('x-correlation-id'), 'order-7');
  assert.deepEqual(await trusted.json(), ['order-7', true, 2]);
  const breaker = circuitBreaker();
  breaker.breaker.isolate({ reason: 'maintenance', expiresIn: '1h' });
  const response = await fetch(await serveFastify(t, {}, () => breaker.run(() => 'never')));
  assert.equal(response.status, 503);
  assert.ok(Number(response.headers.get('retry-after')) > 3500);
  const other = await fetch(await serveFastify(t, {}, () => Promise.reject(new Error('boom'))));
  assert.deepEqual([other.status, await other.text()], [500, 'boom']);
});

test('bullmq: the job\'s id is the idempotency key, and its data carry the correlation id', async () => {
  const data = correlate('order-7', () => withCorrelation({ order: 1 }));
  assert.deepEqual(data, { order: 1, correlationId: 'order-7' });
  assert.deepEqual(withCorrelation({ order: 1 }), { order: 1 });
  const work = processor(circuitBreaker(), async (job, token) => [job.data.order, token, correlationId(), current().idempotencyKey]);
  assert.deepEqual(await work({ id: '42', data }, 'token'), [1, 'token', 'order-7', '42']);
  const [, , minted, key] = await work({ data: { order: 2 } }, 'token');
  assert.match(minted, /^[0-9a-f-]{36}$/);
  assert.equal(key, undefined);
});
