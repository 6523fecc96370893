"""Forks in the midst of calls: nothing hangs in the child, nothing of the parent's is held there, and no open file is shared."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import seawall
from forks import run

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def test_what_other_threads_hold_is_free_in_the_child() -> None:
    run("""
guard = seawall.policy("p", seawall.bulkhead(max_concurrent=1, max_queue=1))
entered, release = threading.Event(), threading.Event()
holder = threading.Thread(target=guard.call, args=(lambda: (entered.set(), release.wait(30)),))
holder.start()
entered.wait(30)
waiter = threading.Thread(target=guard.call, args=(lambda: None,))
waiter.start()
while guard.snapshot()["limits"]["queued"] == 0:
    time.sleep(0.001)

@guard
def work():
    return "done"

def child():
    assert work() == "done" and guard.call(lambda: "again") == "again"

assert forked(child) == 0
# And not free in the parent.
try:
    work()
    sys.exit("the parent's slot is gone")
except seawall.BulkheadFullError:
    pass
release.set()
holder.join(30)
waiter.join(30)
""")


def test_half_open_permits_of_other_threads_are_free_in_the_child() -> None:
    run("""
guard = seawall.circuit_breaker(
    consecutive_failures=1, break_duration="1ms", break_jitter=0, half_open_max_calls=1, half_open_successes=1, half_open_lease="1h"
)

trip(guard)
time.sleep(0.01)
entered, release = threading.Event(), threading.Event()
trial = threading.Thread(target=guard.call, args=(lambda: (entered.set(), release.wait(30)),))
trial.start()
entered.wait(30)

def child():
    assert guard.breaker.state == "half_open"
    assert guard.call(lambda: "trial") == "trial" and guard.breaker.state == "closed"

try:
    guard.call(int)
    sys.exit("the slot is not held")
except seawall.CircuitOpenError:
    pass
assert forked(child) == 0
assert guard.breaker.state == "half_open"
release.set()
trial.join(30)
assert guard.breaker.state == "closed"
""")


def test_an_open_circuit_and_one_held_by_hand_stay_so_in_the_child() -> None:
    run("""
guard = seawall.circuit_breaker(consecutive_failures=1, break_duration="1h", max_break_duration="1h")
held = seawall.circuit_breaker()
held.breaker.isolate(reason="maintenance")

trip(guard)

def child():
    assert (guard.breaker.state, held.breaker.state) == ("open", "isolated")

assert forked(child) == 0
""")


@pytest.mark.parametrize("thread", ["", "seawall.timeout(attempt='30s', thread=True), "])
def test_a_call_that_forks_ends_on_both_sides_and_its_slot_is_given_back(thread: str) -> None:
    out = run(f"""
guard = seawall.policy("p", seawall.retry(max_attempts=2, base_delay="1ms"), {thread}seawall.bulkhead(max_concurrent=1))
parent = os.getpid()
attempts = []

@guard
def forks():
    attempts.append(1)
    if len(attempts) > 1:
        return "second"
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        raise ConnectionError
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    return "parent"

answer = forks()
assert guard.call(lambda: "free") == "free"
print(answer, flush=True)
if os.getpid() != parent:
    os._exit(0)
""")
    # The waiting thread of a call with `thread` is no part of the child, where the attempt ends by itself.
    assert out.split() == (["parent"] if thread else ["second", "parent"])


def test_forks_while_threads_are_inside_calls_of_every_kind(tmp_path: Path) -> None:
    run(
        """
store = "sqlite:///" + sys.argv[1]
letters = seawall.policy("letters", seawall.dead_letter("orders", store=store), seawall.retry(max_attempts=2, base_delay="1ms"))
queued = seawall.policy("queued", seawall.bulkhead(max_concurrent=1, max_queue=50, max_wait="5s"))
threaded = seawall.policy("threaded", seawall.timeout(attempt="10s", thread=True))
stale = seawall.policy("stale", seawall.fallback(stale_if_error=True, max_age="1h"), seawall.circuit_breaker())
over = threading.Event()

@letters
def fails(n):
    raise ConnectionError(n)

@queued
def in_turn():
    time.sleep(0.0005)

@threaded
def away():
    return 1

@stale
def kept(n):
    return n

def calls():
    n = 0
    while not over.is_set():
        n += 1
        for work in (lambda: fails(n), in_turn, away, lambda: kept(n % 7), lambda: seawall.retry()(lambda: n)()):
            try:
                work()
            except (ConnectionError, seawall.RejectedError):
                pass

threads = [threading.Thread(target=calls, daemon=True) for _ in range(6)]
for thread in threads:
    thread.start()

def child():
    try:
        fails("child")
    except ConnectionError as error:
        # Written, by a log of the child's own.
        assert seawall.failure(error).letter_id is not None
    in_turn()
    assert away() == 1 and kept(3) == 3 and seawall.retry()(lambda: 5)() == 5
    assert seawall.DeadLetterQueue("orders", store=store).stats().ready > 0
    seawall.DeadLetterQueue("others", store=store).put({"from": "child"})

codes = [forked(child) for _ in range(15)]
from_thread = []
thread = threading.Thread(target=lambda: from_thread.extend(forked(child) for _ in range(15)))
thread.start()
thread.join(100)
over.set()
for thread in threads:
    thread.join(10)
assert codes + from_thread == [0] * 30, (codes, from_thread)
assert seawall.DeadLetterQueue("others", store=store).stats().ready == 30
""",
        str(tmp_path / "letters"),
    )


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="open files are looked up in /proc")
def test_a_child_inherits_no_open_file_of_a_store(tmp_path: Path) -> None:
    out = run(
        """
store = "sqlite:///" + sys.argv[1]
queue = seawall.DeadLetterQueue("orders", store=store)

def ours():
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            path = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue
        if sys.argv[1] in path:
            found.append(os.path.basename(path))
    return found

queue.put({"n": 1})
assert queue.stats().ready == 1 and ours() != []

def child():
    assert ours() == [], ours()
    queue.put({"n": 2})
    assert any(name.endswith(".seg") for name in ours())
    assert queue.stats().ready == 2

assert forked(child) == 0
queue.put({"n": 3})
print(queue.stats().ready)
""",
        str(tmp_path / "letters"),
    )
    assert out.split() == ["3"]


def test_parent_and_child_draw_different_waits() -> None:
    out = run("""
guard = seawall.policy("p", seawall.retry(max_attempts=6, base_delay="4ms", max_delay="30ms"))

def waits():
    found = []
    sleep = time.sleep
    time.sleep = found.append
    try:
        guard.call(fails)
    except ConnectionError:
        pass
    finally:
        time.sleep = sleep
    return found

def fails():
    raise ConnectionError

def child():
    print(waits(), flush=True)

print(waits(), flush=True)
for _ in range(3):
    assert forked(child) == 0
print(waits(), flush=True)
""")
    assert len(set(out.splitlines())) == 5


def test_a_watched_file_is_watched_in_the_child_too(tmp_path: Path) -> None:
    path = tmp_path / "seawall.toml"
    path.write_text('[policy.p]\nretry = { max_attempts = 2 }\n')
    run(
        """
seawall.load(sys.argv[1], watch=True)
guard = seawall.policy("p")
guard.call(int)

def child():
    told = threading.Event()
    seawall.on_event(lambda event: told.set() if event["event"] == "config.loaded" else None)
    with open(sys.argv[1], "w") as file:
        file.write('[policy.p]\\nretry = { max_attempts = 3 }\\n')
    assert told.wait(15)
    attempts = []
    try:
        guard.call(lambda: attempts.append(1) or [].index(1))
    except ValueError:
        pass
    assert len(attempts) == 3

assert forked(child) == 0
""",
        str(path),
    )


PROCESSES = """
import multiprocessing, os, sys
from concurrent.futures import ProcessPoolExecutor
import seawall

guard = seawall.policy("work", seawall.retry(max_attempts=2, base_delay="1ms"), seawall.circuit_breaker(), seawall.bulkhead(max_concurrent=2))

@guard
def double(n):
    return 2 * n

@seawall.dead_letter("orders", store="sqlite:///letters")
def fails(n):
    raise ConnectionError(n)

def record(n):
    try:
        fails(n)
    except ConnectionError as error:
        return seawall.failure(error).letter_id

if __name__ == "__main__":
    # The store is open in the parent before there are children.
    assert record(0)
    context = multiprocessing.get_context(sys.argv[1])
    with context.Pool(2) as pool:
        assert pool.map(double, range(20)) == [2 * n for n in range(20)]
        assert len(set(pool.map(record, range(10)))) == 10
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        assert list(executor.map(double, range(20))) == [2 * n for n in range(20)]
    print(seawall.DeadLetterQueue("orders", store="sqlite:///letters").stats().ready)
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_decorated_functions_in_pools_of_processes(method: str, tmp_path: Path) -> None:
    (tmp_path / "processes.py").write_text(PROCESSES)
    # A file, which children that are not forked can import.
    command = [sys.executable, "processes.py", method]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr, done.stdout.split()) == (0, "", ["11"])


def test_a_fork_leaves_policies_of_this_process_as_they_were() -> None:
    guard = seawall.policy("kept", seawall.circuit_breaker(), seawall.bulkhead(max_concurrent=1))

    def forks() -> str:
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        with pytest.raises(seawall.BulkheadFullError):
            guard.call(int)
        return "kept"

    assert guard.call(forks) == "kept" and guard.breaker.counts.total == 1
