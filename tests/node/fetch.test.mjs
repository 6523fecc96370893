// `guardFetch` against a real server.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';

import { circuitBreaker, correlate, failure, hedge, policy, retry, timeout } from 'seawall';
import { guardFetch } from 'seawall/fetch';

/** A server that answers by the script, its last entry for ever; `seen` are the requests. */
async function serve(t, ...script) {
  const seen = [];
  const server = createServer((request, response) => {
    const answer = script[Math.min(seen.length, script.length - 1)];
    seen.push({ method: request.method, headers: request.headers });
    if (answer === 'hang') return;
    const [status, headers = {}] = [answer].flat();
    request.resume().on('end', () => response.writeHead(status, headers).end(`answer ${seen.length}`));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { seen, url: `http://127.0.0.1:${server.address().port}/price` };
}

const quick = { maxAttempts: 3, baseDelay: '1ms', retryBudget: null };

test('a response that says "not now" is tried again, with the headers of each attempt', async (t) => {
  for (const status of [408, 425, 429, 500, 503]) {
    const { seen, url } = await serve(t, status, 200);
    const response = await correlate('order-7', () => guardFetch(policy(retry(quick), timeout({ total: '30s' })))(url));
    assert.equal(response.status, 200);
    assert.equal(await response.text(), 'answer 2');
    assert.deepEqual(seen.map(({ headers }) => headers['x-seawall-attempt']), ['1', '2']);
    assert.deepEqual(seen.map(({ headers }) => headers['x-correlation-id']), ['order-7', 'order-7']);
    assert.ok(seen.every(({ headers }) => Number(headers['x-seawall-deadline-ms']) > 0));
  }
});

test('other statuses are answers', async (t) => {
  const { seen, url } = await serve(t, 404);
  assert.equal((await guardFetch(retry(quick))(url)).status, 404);
  assert.equal(seen.length, 1);
});

test('the last response is returned, readable, and the earlier bodies are cancelled', async (t) => {
  const { url } = await serve(t, 503);
  const cancelled = [];
  const spying = async (input, init) => {
    const response = await fetch(input, init);
    const place = cancelled.push(false) - 1;
    const { cancel } = response.body;
    response.body.cancel = (...reason) => {
      cancelled[place] = true;
      return cancel.apply(response.body, reason);
    };
    return response;
  };
  const response = await guardFetch(retry(quick), spying)(url);
  assert.equal(response.status, 503);
  assert.equal(await response.text(), 'answer 3');
  assert.deepEqual(cancelled, [true, true, false]);
  assert.equal(failure(response).reason, 'attempts_exhausted');
});

test('a Retry-After that is too long ends the call', async (t) => {
  const { seen, url } = await serve(t, [503, { 'retry-after': '3600' }]);
  const response = await guardFetch(retry(quick))(url);
  assert.equal(response.status, 503);
  assert.equal(failure(response).reason, 'retry_after_too_long');
  assert.equal(seen.length, 1);
});

test('a POST is sent once, whatever fails; with an idempotency key it is tried again', async (t) => {
  const plain = await serve(t, 503);
  assert.equal((await guardFetch(retry(quick))(plain.url, { method: 'POST', body: 'x' })).status, 503);
  assert.equal(plain.seen.length, 1);

  const cut = await serve(t, 'hang');
  const late = guardFetch(policy(retry(quick), timeout({ attempt: '20ms' })))(cut.url, { method: 'POST', body: 'x' });
  await assert.rejects(late, { code: 'timeout.attempt' });
  assert.equal(cut.seen.length, 1);

  const hedged = await serve(t, 'hang');
  const twice = guardFetch(policy(hedge({ delay: '5ms' }), timeout({ total: '50ms' })))(hedged.url, { method: 'POST', body: 'x' });
  await assert.rejects(twice, { code: 'timeout.total' });
  assert.equal(hedged.seen.length, 1);

  const refused = guardFetch(retry(quick));
  const error = await refused('http://127.0.0.1:1/', { method: 'POST' }).catch((caught) => caught);
  assert.equal(failure(error).attempts.length, 1);

  const keyed = await serve(t, 503, 200);
  const response = await guardFetch(retry(quick))(keyed.url, { method: 'POST', body: 'x', headers: { 'Idempotency-Key': 'k-1' } });
  assert.equal(response.status, 200);
  assert.deepEqual(keyed.seen.map(({ headers }) => headers['idempotency-key']), ['k-1', 'k-1']);
});

test('a body that is a stream is not replayed', async (t) => {
  const { seen, url } = await serve(t, 503);
  const body = new Blob(['x']).stream();
  assert.equal((await guardFetch(retry(quick))(url, { method: 'PUT', body, duplex: 'half' })).status, 503);
  const request = new Request(url, { method: 'PUT', body: 'x' });
  assert.equal((await guardFetch(retry(quick))(request)).status, 503);
  assert.equal(seen.length, 2);
});

test('the caller\'s signal ends the call with its own reason', async (t) => {
  const { url } = await serve(t, 'hang');
  const reason = new Error('the user left');
  const controller = new AbortController();
  const promise = guardFetch(retry(quick))(url, { signal: controller.signal });
  setTimeout(() => controller.abort(reason), 5);
  await assert.rejects(promise, (error) => error === reason);
});

test('a keyed policy keeps hosts apart, and an unkeyed one needs no key', async (t) => {
  const bad = await serve(t, 500);
  const good = await serve(t, 200);
  const keyed = policy({ key: (host) => host }, circuitBreaker({ consecutiveFailures: 1 }));
  const guarded = guardFetch(keyed);
  assert.equal((await guarded(bad.url)).status, 500);
  await assert.rejects(guarded(bad.url), { code: 'circuit.open', key: new URL(bad.url).host });
  assert.equal((await guarded(good.url)).status, 200);
});
