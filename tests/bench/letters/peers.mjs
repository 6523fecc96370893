// Appends of 1 KiB in Node, by Seawall or a peer, each durable: `peers.mjs NAME DIRECTORY PRODUCERS MS`. Tells in JSON. The peers block the event
// loop for each write, so more producers than one gain them nothing.
import { mkdirSync } from 'node:fs';

const [name, directory, producers, ms] = process.argv.slice(2);
const TEXT = 'x'.repeat(992);
mkdirSync(directory, { recursive: true });

async function database() {
  const { default: Database } = await import('better-sqlite3');
  const db = new Database(`${directory}/queue.db`);
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  return db;
}

const KINDS = {
  seawall: async () => {
    const { DeadLetterQueue } = await import('seawall');
    const queue = new DeadLetterQueue('bench', { store: `sqlite:///${directory}/letters` });
    return (n) => queue.put({ n, text: TEXT });
  },
  plainjob: async () => {
    const { better, defineQueue } = await import('plainjob');
    const db = await database();
    const queue = defineQueue({ connection: better(db) });
    db.pragma('synchronous = FULL');
    return (n) => queue.add('letter', { n, text: TEXT });
  },
  liteque: async () => {
    const { buildDBClient, SqliteQueue } = await import('liteque');
    const db = buildDBClient(`${directory}/queue.db`, { runMigrations: true });
    (db.$client ?? db.session?.client)?.pragma('synchronous = FULL');
    const queue = new SqliteQueue('letters', db, { defaultJobArgs: { numRetries: 0 }, keepFailedJobs: true });
    return (n) => queue.enqueue({ n, text: TEXT });
  },
  'better-sqlite3 by hand': async () => {
    const db = await database();
    db.exec('CREATE TABLE IF NOT EXISTS letters (id INTEGER PRIMARY KEY, state TEXT, body TEXT)');
    const insert = db.prepare("INSERT INTO letters (state, body) VALUES ('ready', ?)");
    return (n) => insert.run(JSON.stringify({ n, text: TEXT }));
  },
};

const put = await KINDS[name]();
await put(0);
const took = [];
const began = performance.now();
const end = began + Number(ms);
const work = async () => {
  for (let at = performance.now(); at < end; ) {
    await put(took.length);
    const now = performance.now();
    took.push(now - at);
    at = now;
  }
};
await Promise.all(Array.from({ length: Number(producers) }, work));
const seconds = (performance.now() - began) / 1000;
took.sort((a, b) => a - b);
console.log(JSON.stringify({ count: took.length, per_s: took.length / seconds, p99_ms: took[Math.floor(took.length * 0.99)], max_ms: took.at(-1) }));
process.exit(0);
