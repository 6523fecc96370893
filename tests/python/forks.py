"""Programs in processes of their own: run with a time limit, and what they print is given."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

# For the forked children of a program, which no test waits for beyond that.
LIMIT = 60

PRELUDE = """
import faulthandler, os, signal, sys, threading, time
# Tells where a process hangs, and ends it. A watchdog thread of its own would not survive the fork.
faulthandler.register(signal.SIGALRM, chain=True)
signal.alarm(40)
import seawall

def trip(guard):
    "One failure under this policy."
    def fails():
        raise ConnectionError
    try:
        guard.call(fails)
    except ConnectionError:
        pass

def forked(work):
    "Does the work in a forked child, which must end in time; gives its exit code."
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        code = 1
        try:
            code = work() or 0
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""


def run(program: str, *arguments: str, cwd: Path | None = None) -> str:
    """What the program prints. It must end well, and say nothing on its standard error."""
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + program, *arguments],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        cwd=cwd,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr[-4000:]
    return done.stdout
