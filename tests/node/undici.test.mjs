// The interceptor for undici, against a real server.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { Readable } from 'node:stream';
import { test } from 'node:test';

import { bulkhead, circuitBreaker, correlate, fallback, hedge, policy, retry, timeout } from 'seawall';
import { interceptor } from 'seawall/undici';
import { Agent, Client, interceptors, request } from 'undici';

/** A server that answers by the script, its last entry for ever: a status, [status, headers, body], or 'hang'; `seen` are the requests. */
async function serve(t, ...script) {
  const seen = [];
  const server = createServer((incoming, response) => {
    const answer = script[Math.min(seen.length, script.length - 1)];
    const note = { method: incoming.method, headers: incoming.headers, body: '', closed: false };
    const place = seen.push(note);
    response.on('close', () => (note.closed = true));
    incoming.on('data', (chunk) => (note.body += chunk));
    if (answer === 'hang') return void incoming.resume();
    const [status, headers = {}, body = `answer ${place}`] = [answer].flat();
    incoming.on('end', () => response.writeHead(status, headers).end(status === 204 ? undefined : body));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { seen, origin: `http://127.0.0.1:${server.address().port}`, url: `http://127.0.0.1:${server.address().port}/price?a=1` };
}

/** An agent under a policy. */
function agent(t, ...parts) {
  const bare = new Agent();
  t.after(() => bare.destroy());
  return bare.compose(interceptor(parts.length === 1 ? parts[0] : policy(...parts)));
}

const quick = { maxAttempts: 3, baseDelay: '1ms', retryBudget: null };

test('a response that says "not now" is tried again, with the headers of each attempt', async (t) => {
  for (const status of [408, 425, 429, 500, 503]) {
    const { seen, url } = await serve(t, status, 200);
    const dispatcher = agent(t, retry(quick), timeout({ total: '30s' }));
    const { statusCode, body } = await correlate('order-7', () => request(url, { dispatcher }));
    assert.equal(statusCode, 200);
    assert.equal(await body.text(), 'answer 2');
    assert.deepEqual(seen.map(({ headers }) => headers['x-seawall-attempt']), ['1', '2']);
    assert.deepEqual(seen.map(({ headers }) => headers['x-correlation-id']), ['order-7', 'order-7']);
    assert.ok(seen.every(({ headers }) => Number(headers['x-seawall-deadline-ms']) > 0));
  }
});

test('other statuses are answers, bodies of any size arrive whole, and none is no trouble', async (t) => {
  const large = 'x'.repeat(3_000_000);
  const { seen, url } = await serve(t, 404, [200, {}, large], 204, 200);
  const dispatcher = agent(t, retry(quick));
  const missing = await request(url, { dispatcher });
  assert.deepEqual([missing.statusCode, await missing.body.text()], [404, 'answer 1']);
  assert.equal(await (await request(url, { dispatcher })).body.text(), large);
  const empty = await request(url, { dispatcher });
  assert.deepEqual([empty.statusCode, await empty.body.text()], [204, '']);
  const head = await request(url, { dispatcher, method: 'HEAD' });
  assert.deepEqual([head.statusCode, await head.body.text()], [200, '']);
  assert.equal(seen.length, 4);
});

test('the last response is the caller\'s, whole; the earlier ones are closed', async (t) => {
  const { seen, url } = await serve(t, [503, {}, 'x'.repeat(500_000)]);
  const { statusCode, body } = await request(url, { dispatcher: agent(t, retry(quick)) });
  assert.equal(statusCode, 503);
  assert.equal((await body.text()).length, 500_000);
  assert.equal(seen.length, 3);
  while (!seen.every(({ closed }) => closed)) await new Promise(setImmediate);
});

test('a Retry-After that is too long ends the call', async (t) => {
  const { seen, url } = await serve(t, [503, { 'retry-after': '3600' }]);
  assert.equal((await request(url, { dispatcher: agent(t, retry(quick)) })).statusCode, 503);
  assert.equal(seen.length, 1);
});

test('a POST is sent once, whatever fails; with an idempotency key it is tried again', async (t) => {
  const plain = await serve(t, 503);
  assert.equal((await request(plain.url, { dispatcher: agent(t, retry(quick)), method: 'POST', body: 'x' })).statusCode, 503);
  assert.equal(plain.seen.length, 1);

  const cut = await serve(t, 'hang');
  const late = request(cut.url, { dispatcher: agent(t, retry(quick), timeout({ attempt: '20ms' })), method: 'POST', body: 'x' });
  await assert.rejects(late, { code: 'timeout.attempt' });
  assert.equal(cut.seen.length, 1);

  for (const headers of [{ 'Idempotency-Key': 'k-1' }, ['Idempotency-Key', 'k-1'], new Map([['Idempotency-Key', 'k-1']])]) {
    const keyed = await serve(t, 503, 200);
    const answer = await request(keyed.url, { dispatcher: agent(t, retry(quick)), method: 'POST', body: 'x', headers });
    assert.equal(answer.statusCode, 200);
    assert.deepEqual(keyed.seen.map(({ headers: sent, body }) => [sent['idempotency-key'], body]), [['k-1', 'x'], ['k-1', 'x']]);
  }
});

test('a body that is a stream is not replayed; bytes are', async (t) => {
  const { seen, url } = await serve(t, 503);
  const dispatcher = agent(t, retry(quick));
  assert.equal((await request(url, { dispatcher, method: 'PUT', body: Readable.from(['x']) })).statusCode, 503);
  assert.equal(seen.length, 1);
  await request(url, { dispatcher, method: 'PUT', body: Buffer.from('yz') });
  assert.deepEqual(seen.map(({ body }) => body), ['x', 'yz', 'yz', 'yz']);
});

test('a connection that is refused is tried again, and its error surfaces', async (t) => {
  let attempts = 0;
  const counting = (dispatch) => (options, handler) => {
    attempts += 1;
    return dispatch(options, handler);
  };
  const bare = new Agent();
  t.after(() => bare.destroy());
  const dispatcher = bare.compose(counting, interceptor(retry(quick)));
  await assert.rejects(request('http://127.0.0.1:1/', { dispatcher }), { code: 'ECONNREFUSED' });
  assert.equal(attempts, 3);
});

test('the caller\'s signal ends the call in an attempt, in a back-off and in a queue', async (t) => {
  const reason = new Error('the user left');
  const isReason = (error) => error === reason;
  /** Aborts a moment after the server has seen so many requests. */
  const aborting = async ({ url, seen }, dispatcher, requests = 1) => {
    const controller = new AbortController();
    const rejected = assert.rejects(request(url, { dispatcher, signal: controller.signal }), isReason);
    while (seen.length < requests) await new Promise((resolve) => setTimeout(resolve, 1));
    setTimeout(() => controller.abort(reason), 10);
    await rejected;
  };
  const hanging = await serve(t, 'hang');
  await aborting(hanging, agent(t, retry(quick)));
  const refusing = await serve(t, 503);
  await aborting(refusing, agent(t, retry({ ...quick, baseDelay: '1h', maxDelay: '1h', jitter: 'none' })));
  assert.equal(refusing.seen.length, 1);

  const narrow = policy(bulkhead({ maxConcurrent: 1, maxQueue: 1 }));
  let free;
  const holder = narrow.run(() => new Promise((resolve) => (free = resolve)));
  await aborting(hanging, agent(t, narrow));
  assert.equal(hanging.seen.length, 1);
  free();
  await holder;
  const late = AbortSignal.abort(reason);
  await assert.rejects(request(hanging.url, { dispatcher: agent(t, retry(quick)), signal: late }), isReason);
});

test('a body is the caller\'s: no limit of the attempt cuts it, and the caller can', async (t) => {
  const server = createServer((_, response) => response.writeHead(200).write('first'));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const controller = new AbortController();
  const { body } = await request(`http://127.0.0.1:${server.address().port}/`, {
    dispatcher: agent(t, timeout({ attempt: '2s', total: '2s' })),
    signal: controller.signal,
  });
  const chunks = body[Symbol.asyncIterator]();
  assert.equal(String((await chunks.next()).value), 'first');
  controller.abort(new Error('enough'));
  await assert.rejects(chunks.next(), { message: 'enough' });
});

test('of hedged requests the first answer wins, and the other is closed', async (t) => {
  const { seen, url } = await serve(t, 'hang', 200);
  const { body } = await request(url, { dispatcher: agent(t, hedge({ delay: '5ms' })) });
  assert.equal(await body.text(), 'answer 2');
  while (!seen[0].closed) await new Promise(setImmediate);
});

test('a keyed policy keeps hosts apart; a rejection reaches the caller', async (t) => {
  const bad = await serve(t, 500);
  const good = await serve(t, 200);
  const dispatcher = agent(t, policy({ key: (host) => host }, circuitBreaker({ consecutiveFailures: 1 })));
  assert.equal((await request(bad.url, { dispatcher })).statusCode, 500);
  await assert.rejects(request(bad.url, { dispatcher }), { code: 'circuit.open', key: new URL(bad.url).host });
  assert.equal((await request(good.url, { dispatcher })).statusCode, 200);
});

test('a client of one origin works, and so do other interceptors around', async (t) => {
  const single = await serve(t, 503, 200);
  const client = new Client(single.origin);
  t.after(() => client.destroy());
  const { body: first } = await client.compose(interceptor(retry(quick))).request({ path: '/', method: 'GET' });
  assert.equal(await first.text(), 'answer 2');

  const { seen, url } = await serve(t, 503, [302, { location: '/next' }], 503, 200);
  const { statusCode, body } = await request(url, { dispatcher: agent(t, retry(quick)).compose(interceptors.redirect({ maxRedirections: 1 })) });
  assert.deepEqual([statusCode, await body.text(), seen.length], [200, 'answer 4', 4]);
});

test('a fallback answers with a status; anything else it gives is a mistake that is told', async (t) => {
  const { url } = await serve(t, 503);
  const answer = { statusCode: 200, headers: { 'x-from': 'cache' }, body: 'yesterday' };
  const { statusCode, headers, body } = await request(url, { dispatcher: agent(t, retry(quick), fallback({ value: answer })) });
  assert.deepEqual([statusCode, headers['x-from'], await body.text()], [200, 'cache', 'yesterday']);
  await assert.rejects(request(url, { dispatcher: agent(t, fallback(7)) }), { code: 'config.invalid' });
});

test('the dispatcher serves fetch as well', async (t) => {
  const { url } = await serve(t, 503, 200);
  const response = await fetch(url, { dispatcher: agent(t, retry(quick)) });
  assert.deepEqual([response.status, await response.text()], [200, 'answer 2']);
});

test('what the caller\'s handler throws ends its own response', async (t) => {
  const { url } = await serve(t, 200);
  const dispatcher = agent(t, retry(quick));
  const { origin, pathname } = new URL(url);
  const error = await new Promise((resolve) => {
    const onResponseStart = () => {
      throw new Error('my own');
    };
    dispatcher.dispatch({ origin, path: pathname, method: 'GET' }, { onRequestStart() {}, onResponseStart, onResponseError: (_, caught) => resolve(caught) });
  });
  assert.equal(error.message, 'my own');
});
