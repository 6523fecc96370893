"""Limits of time in programs of asyncio and trio: on the fast path each call finds the library that runs it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import fast_path
import pytest
import seawall
import trio
from fast_path import quick

pytestmark = [
    fast_path.NEEDED,
    pytest.mark.skipif(sys.version_info < (3, 11), reason="before 3.11 an async call with a limit of time is the driver's"),
]

Sleep = Callable[[float], Awaitable[object]]


def limited() -> Callable[[Sleep, float], Awaitable[str]]:
    @seawall.policy(None, seawall.timeout(attempt="30ms", total="60s"))
    async def call(sleep: Sleep, seconds: float) -> str:
        await sleep(seconds)
        return "in time"

    return call


async def both_ends(call: Callable[[Sleep, float], Awaitable[str]], sleep: Sleep) -> None:
    assert await call(sleep, 0) == "in time"
    with pytest.raises(seawall.TimeoutExceededError) as late:
        await call(sleep, 60)
    assert late.value.code == "timeout.attempt"
    # The cut is over: what comes next is not cancelled.
    await sleep(0)


def test_one_function_is_called_in_runs_of_both() -> None:
    call = limited()
    served = []
    for _ in range(2):
        asyncio.run(both_ends(call, asyncio.sleep))
        served.append(quick(call))
        trio.run(both_ends, call, trio.sleep)
        served.append(quick(call))
    assert served == [1, 1, 2, 2], "in trio the driver has them"


def test_both_run_at_once_in_threads() -> None:
    call = limited()
    ended: list[str] = []

    async def many(sleep: Sleep, name: str) -> None:
        for _ in range(5):
            await both_ends(call, sleep)
        ended.append(name)

    threads = [
        threading.Thread(target=lambda: asyncio.run(many(asyncio.sleep, "asyncio"))),
        threading.Thread(target=lambda: trio.run(many, trio.sleep, "trio")),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(ended) == ["asyncio", "trio"] and quick(call) == 5


def test_a_trio_that_is_a_guest_of_asyncio() -> None:
    call = limited()

    async def guest() -> str:
        await both_ends(call, trio.sleep)
        return "guest"

    async def main() -> Any:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        trio.lowlevel.start_guest_run(
            guest,
            run_sync_soon_threadsafe=loop.call_soon_threadsafe,
            done_callback=done.set_result,
            # asyncio's loop has it already.
            host_uses_signal_set_wakeup_fd=True,
        )
        await both_ends(call, asyncio.sleep)
        return (await done).unwrap()

    assert asyncio.run(main()) == "guest"
    assert quick(call) == 1, "the host's"


def test_trio_may_come_late() -> None:
    program = """
import asyncio
import sys

import seawall

@seawall.timeout(attempt="30ms")
async def call(sleep, seconds):
    await sleep(seconds)
    return "in time"

async def both_ends(sleep):
    assert await call(sleep, 0) == "in time"
    try:
        await call(sleep, 60)
    except seawall.TimeoutExceededError:
        return
    raise AssertionError("not cut")

asyncio.run(both_ends(asyncio.sleep))
assert "trio" not in sys.modules
import trio
trio.run(both_ends, trio.sleep)
asyncio.run(both_ends(asyncio.sleep))
assert call.policy._written.plan(None).native.quick_calls() == 2
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
