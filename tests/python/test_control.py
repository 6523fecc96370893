"""Following the control file in one process: its thread, forks, and what a program that uses nothing of it sees."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import forks
import pytest

CONTROL = """
import json, pathlib, subprocess
state = os.environ["SEAWALL_DIR"]

def command(*words):
    subprocess.run([sys.executable, "-m", "seawall", *words], check=True, stdout=subprocess.DEVNULL)

def until(is_so):
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)

pay = seawall.policy("pay", seawall.circuit_breaker())
threads = lambda: [thread.name for thread in threading.enumerate() if thread.name.startswith("seawall")]
"""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEAWALL_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("SEAWALL_CONTROL", raising=False)
    return tmp_path / "state"


def test_it_is_followed_from_the_first_named_policy_on(state: Path) -> None:
    told = forks.run(
        CONTROL
        + """
print(threads())
seawall.circuit_breaker()(int)()
print(threads())
pay.call(int)
seawall.policy("other", seawall.retry()).call(int)
print(threads())
"""
    )
    assert told.splitlines() == ["[]", "[]", "['seawall-control']"]
    assert not state.exists(), "whoever looks makes nothing"


def test_it_may_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEAWALL_CONTROL", "off")
    assert forks.run(CONTROL + "pay.call(int)\nprint(threads())") == "[]\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_both_sides_of_a_fork_follow_it() -> None:
    told = forks.run(
        CONTROL
        + """
pay.call(int)
command("breaker", "isolate", "pay", "--for", "5m", "--reason", "before", "--no-wait")
until(lambda: pay.breaker.state == "isolated")

def child():
    assert pay.breaker.state == "isolated"
    assert threads() == ["seawall-control"], threads()
    command("breaker", "reset", "pay", "--reason", "by the child", "--no-wait")
    until(lambda: pay.breaker.state == "closed")

print(forked(child))
until(lambda: pay.breaker.state == "closed")
print(threads())
"""
    )
    assert told.splitlines() == ["0", "['seawall-control']"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_that_a_thread_forked_ends_by_its_return() -> None:
    told = forks.run(
        CONTROL
        + """
pay.call(int)
codes = []

def forks():
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        assert threads() == []
        seawall.policy("late", seawall.retry()).call(int)
        return
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

thread = threading.Thread(target=forks)
thread.start()
thread.join()
print(codes, threads())
"""
    )
    assert told == "[0] ['seawall-control']\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_counts_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEAWALL_CHAOS", "allow")
    told = forks.run(
        CONTROL
        + """
def strikes(count):
    for _ in range(count):
        try:
            pay.call(int)
        except seawall.InjectedFaultError:
            pass

pay = seawall.policy("pay", seawall.retry(max_attempts=1))
pay.call(int)
command("chaos", "on", "pay", "--error", "100%", "--max-share", "100%", "--for", "5m", "--no-abort", "--no-wait")
until(lambda: pay.snapshot()["chaos"])
strikes(3)

def child():
    strikes(4)
    command("chaos", "off", "pay", "--no-wait")
    until(lambda: not pay.snapshot()["chaos"])

print(forked(child))
until(lambda: not pay.snapshot()["chaos"])
receipts = [json.loads(path.read_text()) for path in pathlib.Path(state).rglob("receipts/*/*.json")]
print(sorted(receipt["counts"]["struck"] for receipt in receipts), {receipt["state"] for receipt in receipts})
"""
    )
    assert told.splitlines() == ["0", "[3, 4] {'ended'}"]


def test_the_process_ends_while_it_is_followed() -> None:
    program = "import seawall; seawall.policy('pay', seawall.retry()).call(int); print('done')"
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
