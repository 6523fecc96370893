// What every Node process of the demo shares with the run that started it: settings in, one line with the port out, orders on stdin.

import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

/** The settings that the run gave, as JSON. */
export const settings = JSON.parse(process.argv[2]);

/** Tells the run something, as one JSON line. */
export function tell(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

/** Hears the run's JSON lines. When the run is gone, however it ended, so is this process. */
export function hear(onMessage) {
  createInterface({ input: process.stdin })
    .on('line', (line) => onMessage(JSON.parse(line)))
    .on('close', () => process.exit(0));
}

/**
 * Serves POST requests with JSON bodies and tells the run its port. `answer(request, body, inFlight)` gives
 * `{ status, body, headers }`; `inFlight` counts the requests without an answer when this one came, itself included.
 */
export function serve(answer, port = 0) {
  let open = 0;
  const server = createServer(async (request, response) => {
    const inFlight = (open += 1);
    response.on('close', () => (open -= 1));
    let reply;
    try {
      reply = await answer(request, await bodyOf(request), inFlight);
    } catch (error) {
      // The caller went away before it had sent everything: nothing was done, and nobody waits for an answer.
      if (error.code === 'ECONNRESET' && request.destroyed) return;
      console.error(error);
      reply = { status: 500, body: { error: String(error) } };
    }
    response.writeHead(reply.status, { 'content-type': 'application/json', ...reply.headers });
    response.end(JSON.stringify(reply.body));
  });
  server.on('error', (error) => {
    console.error(error);
    process.exit(1);
  });
  server.listen(port, '127.0.0.1', () => tell({ port: server.address().port }));
}

async function bodyOf(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks).toString('utf8'));
}
