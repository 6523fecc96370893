"""The fixtures that pytest gets from the installed package."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import seawall


class BankDown(Exception):
    pass


bank = seawall.policy("plugin bank", seawall.retry(max_attempts=2))


@bank
def balance() -> int:
    return 7


def test_the_package_announces_the_plugin() -> None:
    (found,) = [point for point in metadata.entry_points(group="pytest11") if point.name == "seawall"]
    assert found.value == "seawall.pytest_plugin"


def test_the_clock_moves_with_the_waits_of_policies(seawall_clock: Any) -> None:
    attempts = []

    @seawall.retry(max_attempts=3, base_delay="1s", jitter="none")
    def fail() -> None:
        attempts.append(seawall_clock.now)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        fail()
    assert attempts == [0, 1, 3]


# In this order: the fault, then a test that must not feel it any more.
def test_chaos_fails_a_named_policy(seawall_chaos: Any) -> None:
    seawall_chaos("plugin bank", fault=BankDown)
    with pytest.raises(BankDown) as caught:
        balance()
    found = seawall.failure(caught.value)
    assert found is not None and found.injected


def test_chaos_is_gone_with_the_test_that_started_it(seawall_clock: Any) -> None:
    assert balance() == 7


def test_chaos_delays_a_policy(seawall_chaos: Any, seawall_clock: Any) -> None:
    seawall_chaos(bank, latency="3s")
    assert balance() == 7
    assert seawall_clock.sleeps == [3]


def test_chaos_refuses_what_it_cannot_do(seawall_chaos: Any) -> None:
    with pytest.raises(seawall.ConfigError, match="no policy"):
        seawall_chaos("nobody", fault=BankDown)
    assert balance() == 7
    with pytest.raises(seawall.ConfigError, match="before the first call"):
        seawall_chaos("plugin bank", fault=BankDown)


def test_queues_are_emptied_after_each_test(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pytest, seawall\n"
        f"STORES = ['memory:', 'sqlite:///{tmp_path / 'letters'}']\n"
        "@pytest.mark.parametrize('store', STORES * 2)\n"
        "def test_one(seawall_dlq, seawall_clock, store):\n"
        "    queue = seawall_dlq('orders', store=store)\n"
        "    assert queue.peek() == []\n"
        "    queue.put({'n': 1}, error=ValueError('no'))\n"
        "    assert len(queue.peek()) == 1\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert "4 passed" in done.stdout, done.stdout + done.stderr


def test_import_seawall_loads_no_adapter_and_no_framework() -> None:
    names = ["httpx", "requests", "pytest", "uvicorn"]
    names += [f"seawall.{name}" for name in ("httpx", "requests", "asgi", "wsgi", "pytest_plugin", "_experiment", "_http")]
    code = f"import sys, seawall; print([name for name in {names} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
