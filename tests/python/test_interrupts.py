"""Ctrl-C ends a wait of ours at once, whatever waits and under whichever loop: each in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs signals")

PRELUDE = """
import asyncio, faulthandler, signal, sys, threading
faulthandler.register(signal.SIGALRM, chain=True)
signal.alarm(40)
signal.signal(signal.SIGINT, signal.default_int_handler)
import seawall, trio
# An interrupt in the midst of an import may be lost, by no fault of ours.
from seawall import _loop_asyncio, _loop_trio, _tasks
import traceback

attempts = []

def fails():
    attempts.append(1)
    ready()
    raise ConnectionError

async def afails():
    fails()

def ready():
    # The wait begins within a moment of this; an interrupt that comes before it must end the call as well.
    print("ready", flush=True)

def once_ready(act):
    "Says that it is ready, and then waits: what comes is an interrupt in the wait, or just before."
    ready()
    return act()

back_off = seawall.retry(base_delay="1h", max_delay="1h", jitter="none")
queue = seawall.bulkhead(max_concurrent=1, max_queue=5)
limit = seawall.rate_limit(rate="1/h", burst=1, max_wait="2h")
walks = seawall.timeout(attempt="1h", thread=True)

def hold():
    entered = threading.Event()
    threading.Thread(target=queue.call, args=(lambda: (entered.set(), threading.Event().wait(3600)),), daemon=True).start()
    entered.wait(30)

async def nothing():
    pass

async def trio_limit():
    await limit.acall(nothing)
    await once_ready(lambda: limit.acall(nothing))
"""

WAITS = {
    "a back-off": "back_off.call(fails)",
    "a queue": "hold()\n    once_ready(lambda: queue.call(int))",
    "a turn of a rate limit": "limit.call(int)\n    once_ready(lambda: limit.call(int))",
    "a thread of its own": "walks.call(lambda: once_ready(lambda: threading.Event().wait(3600)))",
    "a back-off on asyncio": "asyncio.run(back_off.acall(afails))",
    "a back-off on trio": "trio.run(back_off.acall, afails)",
    "a queue on asyncio": "hold()\n    once_ready(lambda: asyncio.run(queue.acall(nothing)))",
    "a queue on trio": "hold()\n    once_ready(lambda: trio.run(queue.acall, nothing))",
    "a turn of a rate limit on trio": "trio.run(trio_limit)",
}


@pytest.mark.parametrize("wait", WAITS)
def test_an_interrupt_ends(wait: str) -> None:
    program = f"""{PRELUDE}
try:
    {WAITS[wait]}
except KeyboardInterrupt:
    # Neutral: no second attempt, and nothing in its place.
    print("interrupted", len(attempts), flush=True)
"""
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGINT)
        # The waits are of an hour: ending at all is ending at once.
        out, errors = child.communicate(timeout=30)
    finally:
        child.kill()
        child.wait()
    assert (out.split(), child.returncode) == (["interrupted", "1" if "back-off" in wait else "0"], 0), errors[-4000:]
