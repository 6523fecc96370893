"""The process forks while a call is under way, and the child finds a lock that nobody will ever give back, or the parent's slots."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

PROGRAM = """
import os, sys, threading, warnings
import seawall

warnings.simplefilter("ignore")
guard = seawall.policy("p", seawall.retry(), seawall.circuit_breaker(), seawall.bulkhead(max_concurrent=8, max_queue=8))
entered, go = threading.Event(), threading.Event()

@guard
def call(waits):
    if waits:
        entered.set()
        go.wait(30)
    return os.getpid()

inside = threading.Thread(target=call, args=(True,))
inside.start()
assert entered.wait(30)
child = os.fork()
if child == 0:
    {child}
    os._exit(0 if call(False) == os.getpid() and guard.breaker.state == "closed" else 3)
_, status = os.waitpid(child, 0)
go.set()
inside.join(30)
assert call(False) == os.getpid()
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.parametrize(
    "child",
    [
        "pass",
        "assert [call(False) for _ in range(50)]",
        "import asyncio; asyncio.run(guard.acall(asyncio.sleep, 0))",
        "ends = []; t = threading.Thread(target=lambda: ends.append(call(False))); t.start(); t.join(30); assert ends == [os.getpid()]",
    ],
)
def test_the_child_can_call(child: str) -> None:
    subprocess.run([sys.executable, "-c", PROGRAM.format(child=child)], timeout=60, check=True)


def test_no_inherited_call_of_the_parent_is_waited_for() -> None:
    """All slots are taken at the fork: the child's own calls may be refused at once, and never hang."""
    program = PROGRAM.replace("max_concurrent=8, max_queue=8", "max_concurrent=1").format(
        child="""
    try:
        call(False)
    except seawall.BulkheadFullError:
        pass
    os._exit(0)"""
    )
    subprocess.run([sys.executable, "-c", program], timeout=60, check=True)


def test_an_import_under_way_in_another_thread_locks_up_no_child() -> None:
    program = """
import os, sys, threading
import seawall

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "email.utils":
            entered.set()
            go.wait(30)

entered, go = threading.Event(), threading.Event()
sys.meta_path.insert(0, Slow())

class Busy(ConnectionError):
    response = type("Response", (), {"headers": {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, "status_code": 503})()

@seawall.retry(max_attempts=2, base_delay="1ms")
def call():
    raise Busy

importing = threading.Thread(target=__import__, args=("email.utils",))
importing.start()
assert entered.wait(30)
threading.Timer(0.1, go.set).start()
child = os.fork()
if child == 0:
    try:
        call()
    except Busy:
        os._exit(0)
    os._exit(3)
_, status = os.waitpid(child, 0)
importing.join(30)
sys.exit(os.waitstatus_to_exitcode(status))
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], timeout=60, check=True)
