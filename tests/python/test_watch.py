"""A policy file that is watched. Real files and real time: nothing sleeps, everything waits for an event, at most `PATIENCE` seconds."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import seawall

PATIENCE = 20.0
RELOADED = ["config.loaded", "config.reloaded"]


class Told:
    """The events about files, in order, from whatever thread."""

    def __init__(self) -> None:
        self._events: queue.Queue[seawall.Event] = queue.Queue()

    def hear(self, event: seawall.Event) -> None:
        if event["event"].startswith("config."):
            self._events.put(event)

    def next(self, count: int = 1) -> list[seawall.Event]:
        return [self._events.get(timeout=PATIENCE) for _ in range(count)]

    def names(self, count: int) -> list[str]:
        return [event["event"] for event in self.next(count)]

    @property
    def is_quiet(self) -> bool:
        return self._events.empty()


@pytest.fixture
def told() -> Iterator[Told]:
    made = Told()
    unsubscribe = seawall.on_event(made.hear)
    yield made
    unsubscribe()


def attempts(count: int) -> str:
    return f'[policy.pay]\nretry = {{ max_attempts = {count}, base_delay = "0ms" }}\n'


def calls_made() -> int:
    calls: list[int] = []

    def down() -> None:
        calls.append(1)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        seawall.policy("pay").call(down)
    return len(calls)


def watched(path: Path, told: Told, text: str = attempts(1)) -> None:
    path.write_text(text)
    seawall.load(path, watch=True)
    assert told.names(1) == ["config.loaded"]
    assert calls_made() == 1


def test_a_change_is_taken(tmp_path: Path, told: Told) -> None:
    path = tmp_path / "seawall.toml"
    watched(path, told)
    path.write_text(attempts(3))
    events = told.next(2)
    assert [event["event"] for event in events] == RELOADED
    assert (events[1]["policy"], events[1]["changed"], events[1]["path"]) == ("pay", ["retry.max_attempts"], str(path))
    assert calls_made() == 3


def test_a_file_renamed_over_it_is_taken(tmp_path: Path, told: Told) -> None:
    path, other = tmp_path / "seawall.toml", tmp_path / "seawall.toml~"
    watched(path, told)
    other.write_text(attempts(2))
    other.replace(path)
    assert told.names(2) == RELOADED
    assert calls_made() == 2


@pytest.mark.skipif(os.name != "posix", reason="links as Kubernetes makes them")
def test_a_link_that_moves_to_another_folder_is_followed(tmp_path: Path, told: Told) -> None:
    for name, count in (("one", 1), ("two", 4)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "seawall.toml").write_text(attempts(count))
    path, data, moved = tmp_path / "seawall.toml", tmp_path / "data", tmp_path / "data.new"
    data.symlink_to("one")
    path.symlink_to("data/seawall.toml")
    seawall.load(path, watch=True)
    assert (told.names(1), calls_made()) == (["config.loaded"], 1)
    moved.symlink_to("two")
    moved.replace(data)
    assert told.names(2) == RELOADED
    assert calls_made() == 4


def test_a_bad_file_is_refused_with_its_place_and_a_good_one_taken_after_it(tmp_path: Path, told: Told) -> None:
    path = tmp_path / "seawall.toml"
    watched(path, told)
    path.write_text("[policy.pay]\nretry = { max_atempts = 3 }\n")
    (event,) = told.next()
    assert (event["event"], event["path"]) == ("config.refused", str(path))
    assert "policy.pay.retry.max_atempts" in event["reason"] and "max_attempts" in event["reason"]
    assert calls_made() == 1
    path.write_text(attempts(2))
    assert told.names(2) == RELOADED, "and the bad one was told of once"
    assert calls_made() == 2


def test_a_file_that_would_change_what_a_policy_is_is_refused(tmp_path: Path, told: Told) -> None:
    path = tmp_path / "seawall.toml"
    watched(path, told)
    path.write_text(attempts(2) + "bulkhead = {}\n")
    (event,) = told.next()
    assert (event["event"], event["policy"]) == ("config.refused", "pay")
    assert calls_made() == 1


def test_a_file_that_is_gone_keeps_what_is_in_force_until_it_returns(tmp_path: Path, told: Told) -> None:
    path = tmp_path / "seawall.toml"
    watched(path, told)
    path.unlink()
    assert calls_made() == 1
    path.write_text(attempts(2))
    assert told.names(2) == RELOADED
    assert calls_made() == 2


def test_the_last_load_says_what_is_watched(tmp_path: Path, told: Told) -> None:
    first, second = tmp_path / "first.toml", tmp_path / "second.toml"
    watched(first, told)
    second.write_text(attempts(1))
    with pytest.raises(seawall.ConfigError, match="nowhere"):
        seawall.load(tmp_path / "nowhere.toml", watch=True)
    first.write_text(attempts(2))
    assert told.names(2) == RELOADED, "a load that failed changes nothing"
    seawall.load(second, watch=True)
    assert told.names(2) == RELOADED
    first.write_text(attempts(5))
    second.write_text(attempts(3))
    assert [event["path"] for event in told.next(2)] == [str(second)] * 2
    assert calls_made() == 3


def watchers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "seawall-watch"]


def wait_for_no_watcher() -> None:
    for thread in threading.enumerate():
        if thread.name == "seawall-watch":
            thread.join(PATIENCE)
    assert watchers() == []


def test_a_load_without_watch_and_a_reset_end_it(tmp_path: Path, told: Told) -> None:
    path = tmp_path / "seawall.toml"
    wait_for_no_watcher()
    watched(path, told)
    assert len(watchers()) == 1
    seawall.load(path)
    wait_for_no_watcher()
    seawall.load(path, watch=True)
    assert len(watchers()) == 1
    seawall.testing.reset()
    wait_for_no_watcher()


def test_it_looks_by_real_time_under_virtual_time_too(tmp_path: Path, told: Told) -> None:
    with seawall.testing.clock() as clock:
        path = tmp_path / "seawall.toml"
        watched(path, told)
        path.write_text(attempts(2))
        assert told.names(2) == RELOADED
        assert clock.now == 0
        assert calls_made() == 2


def test_a_call_that_waits_is_given_the_slot_that_a_change_made(tmp_path: Path, told: Told) -> None:
    text = "[policy.pay]\nbulkhead = {{ max_concurrent = {}, max_queue = 1 }}\n"
    path = tmp_path / "seawall.toml"
    path.write_text(text.format(1))
    seawall.load(path, watch=True)
    guard = seawall.policy("pay")
    inside, waits, leave = threading.Event(), threading.Event(), threading.Event()
    unsubscribe = seawall.on_event(lambda event: waits.set() if event["event"] == "bulkhead.queued" else None)

    def hold() -> None:
        inside.set()
        assert leave.wait(PATIENCE)

    holder = threading.Thread(target=guard.call, args=(hold,))
    holder.start()
    try:
        assert inside.wait(PATIENCE)
        got: queue.Queue[int] = queue.Queue()
        waiter = threading.Thread(target=lambda: got.put(guard.call(int)))
        waiter.start()
        assert waits.wait(PATIENCE)
        path.write_text(text.format(2))
        assert got.get(timeout=PATIENCE) == 0
        waiter.join(PATIENCE)
    finally:
        leave.set()
        holder.join(PATIENCE)
        unsubscribe()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_watches_on(tmp_path: Path) -> None:
    path = tmp_path / "seawall.toml"
    path.write_text(attempts(1))
    script = f"""
import os, queue, seawall
told = queue.Queue()
seawall.on_event(lambda event: told.put(event["event"]))
seawall.load({str(path)!r}, watch=True)
assert told.get(timeout=20) == "config.loaded"
seawall.policy("pay").call(int)
child = os.fork()
if child == 0:
    try:
        print("ready", flush=True)
        print(*[told.get(timeout=20) for _ in range(2)], flush=True)
    finally:
        os._exit(0)
os.waitpid(child, 0)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        path.write_text(attempts(2))
        assert process.stdout.readline().split() == RELOADED
        assert process.wait(PATIENCE) == 0


def test_it_keeps_no_process_alive(tmp_path: Path) -> None:
    path = tmp_path / "seawall.toml"
    path.write_text(attempts(1))
    script = f"import seawall; seawall.load({str(path)!r}, watch=True)"
    assert subprocess.run([sys.executable, "-c", script], timeout=PATIENCE).returncode == 0


def test_watch_is_true_or_false(tmp_path: Path) -> None:
    path = tmp_path / "seawall.toml"
    path.write_text(attempts(1))
    with pytest.raises(seawall.ConfigError, match=r"load\.watch"):
        seawall.load(path, watch="yes")  # type: ignore[arg-type]
