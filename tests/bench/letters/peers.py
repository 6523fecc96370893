"""Appends of 1 KiB in Python, by Seawall or a peer, each durable: `peers.py NAME DIRECTORY PRODUCERS MS`. Tells in JSON."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable

PAYLOAD = "x" * 992
Put = Callable[[int], object]


def seawall(directory: str) -> Put:
    import seawall

    queue = seawall.DeadLetterQueue("bench", store=f"sqlite:///{directory}/letters")
    return lambda n: queue.put({"n": n, "text": PAYLOAD})


def persist_queue(directory: str) -> Put:
    import persistqueue

    queue = persistqueue.SQLiteAckQueue(directory, multithreading=True, auto_commit=True)
    queue._putter.execute("PRAGMA synchronous=FULL")
    return lambda n: queue.put({"n": n, "text": PAYLOAD})


def litequeue(directory: str) -> Put:
    import litequeue

    mine = threading.local()

    def put(n: int) -> None:
        if not hasattr(mine, "queue"):
            mine.queue = litequeue.LiteQueue(f"{directory}/queue.db")
            mine.queue.conn.execute("PRAGMA synchronous=FULL")
            mine.queue.conn.execute("PRAGMA busy_timeout=20000")
        mine.queue.put(json.dumps({"n": n, "text": PAYLOAD}))

    return put


def diskcache(directory: str) -> Put:
    import diskcache

    queue = diskcache.Deque.fromcache(diskcache.Cache(directory, sqlite_synchronous=2, eviction_policy="none"))
    return lambda n: queue.append({"n": n, "text": PAYLOAD})


def by_hand(directory: str) -> Put:
    mine = threading.local()

    def put(n: int) -> None:
        if not hasattr(mine, "db"):
            mine.db = sqlite3.connect(f"{directory}/queue.db", timeout=20, isolation_level=None)
            mine.db.execute("PRAGMA journal_mode=WAL")
            mine.db.execute("PRAGMA synchronous=FULL")
            mine.db.execute("CREATE TABLE IF NOT EXISTS letters (id INTEGER PRIMARY KEY, state TEXT, body TEXT)")
        mine.db.execute("INSERT INTO letters (state, body) VALUES ('ready', ?)", (json.dumps({"n": n, "text": PAYLOAD}),))

    return put


KINDS = {"seawall": seawall, "persist-queue": persist_queue, "litequeue": litequeue, "diskcache": diskcache, "sqlite3 by hand": by_hand}


def main(name: str, directory: str, producers: int, ms: int) -> None:
    os.makedirs(directory, exist_ok=True)
    put = KINDS[name](directory)
    put(0)
    took: list[list[float]] = [[] for _ in range(producers)]
    began = time.perf_counter()
    end = began + ms / 1000

    def work(mine: list[float]) -> None:
        at = time.perf_counter()
        while at < end:
            put(len(mine))
            now = time.perf_counter()
            mine.append(now - at)
            at = now

    threads = [threading.Thread(target=work, args=(mine,)) for mine in took]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    length, all_of = time.perf_counter() - began, sorted(one for mine in took for one in mine)
    told = {"count": len(all_of), "per_s": len(all_of) / length, "p99_ms": all_of[len(all_of) * 99 // 100] * 1e3, "max_ms": all_of[-1] * 1e3}
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
