"""A connection to a server is never shared with a child of a fork."""

from __future__ import annotations

from pathlib import Path

import pytest
from forks import run
from servers import running, serve


@pytest.mark.parametrize("kind", list(serve.KINDS))
def test_a_child_has_connections_of_its_own(kind: str, tmp_path: Path) -> None:
    with running.a_server(kind, tmp_path) as server:
        out = run(
            """
store = sys.argv[1]
queue = seawall.DeadLetterQueue("orders", store=store)
queue.put({"n": "before"})

def sockets():
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            path = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue
        if path.startswith("socket:"):
            found.append(path)
    return found

open_before = sockets()
assert open_before
over = threading.Event()

def work():
    n = 0
    while not over.is_set():
        queue.put({"n": n})
        n += 1
    done.append(n)

done = []
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads:
    thread.start()

def child():
    inherited = set(sockets())
    for n in range(5):
        queue.put({"n": n})
    # Those are the child's own.
    assert set(sockets()) - inherited or not inherited
    assert inherited == set(), inherited
    assert queue.stats().ready > 5

codes = [forked(child) for _ in range(8)]
over.set()
for thread in threads:
    thread.join(30)
assert codes == [0] * 8, codes
ready = queue.stats().ready
assert ready == 1 + sum(done) + 8 * 5, (ready, done)
print("good")
""",
            server.url,
        )
    assert out.split() == ["good"]
