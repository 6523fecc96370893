"""Runs every suite, keeps each one's output in target/test-logs, and ends with one table and one line of counts.

`tests/ci/test.py` runs all suites, `tests/ci/test.py vectors node` only those whose names start with one of the words.
Exit status 1 if anything failed.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from counts import ANSI, Counts
from suites import SUITES, Suite

ROOT = Path(__file__).resolve().parents[2]
LOGS = ROOT / "target" / "test-logs"
SHOWN_LINES = 60
# Logs are read as text.
PLAIN = {"TERM": "dumb", "NO_COLOR": "1", "CARGO_TERM_COLOR": "never"}
# Where cargo, pytest and node begin to tell.
FAILURES = re.compile(r"failures:$|=+ (FAILURES|ERRORS) =+$|not ok \d+|error(\[E\d+\])?: ")


def main(words: list[str]) -> int:
    chosen = [suite for suite in SUITES if not words or any(suite.name.startswith(word) for word in words)]
    if not chosen:
        names = ", ".join(suite.name for suite in SUITES)
        print(f"no suite is called {' or '.join(words)}; there are {names}", file=sys.stderr)
        return 2
    LOGS.mkdir(parents=True, exist_ok=True)
    results = [(suite, run(suite)) for suite in chosen]
    print_table(results)
    total = sum((counts for _, counts in results), Counts())
    print(f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped", flush=True)
    return 1 if total.failed else 0


def run(suite: Suite) -> Counts:
    """Plays one suite and prints its outcome; what it wrote is shown only if it failed."""
    print(f"== {suite.name:<16}", end=" ", flush=True)
    began = time.monotonic()
    log = LOGS / f"{suite.name}.log"
    status = execute(suite, log)
    output = log.read_text(encoding="utf-8", errors="replace")
    counts = suite.count(output, status)
    if status != 0 and counts.failed == 0:
        counts = counts + Counts(failed=1)
    if counts.passed + counts.failed + counts.skipped == 0:
        counts = Counts(failed=1)
        output += "\nnothing ran: no count was found in this output\n"
    print(f"{counts.passed:5} passed {counts.failed:3} failed {counts.skipped:3} skipped {time.monotonic() - began:7.1f} s")
    if counts.failed:
        print("\n".join(f"   | {line}" for line in excerpt(output)))
        print(f"   | (all of it: {log.relative_to(ROOT)})", flush=True)
    return counts


def excerpt(output: str) -> list[str]:
    """The lines that say what failed: from where a runner lists its failures, else the last ones."""
    lines = ANSI.sub("", output).splitlines()
    heads = [index for index, line in enumerate(lines) if FAILURES.match(line)]
    start = heads[0] if heads else max(0, len(lines) - SHOWN_LINES)
    return lines[start : start + SHOWN_LINES]


def execute(suite: Suite, log: Path) -> int:
    """Runs the suite's command in a process group of its own, so that nothing of it outlives us."""
    with log.open("wb") as sink:
        command = suite.command()
        sink.write(f"$ {' '.join(command)}\n".encode())
        sink.flush()
        try:
            child = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **PLAIN, **suite.env},
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            sink.write(f"{command[0]} did not start: {error}\n".encode())
            return 127
        try:
            return child.wait(timeout=suite.limit_seconds)
        except subprocess.TimeoutExpired:
            sink.write(f"\ncut after {suite.limit_seconds} s\n".encode())
            return 124
        finally:
            end_group(child)


def end_group(child: subprocess.Popen[bytes]) -> None:
    """Kills whatever is left of the child's process group."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()


def print_table(results: list[tuple[Suite, Counts]]) -> None:
    print(f"\n{'suite':<16} {'ran':>5} {'passed':>7} {'failed':>7} {'skipped':>8}  why skipped")
    for suite, counts in results:
        ran = counts.passed + counts.failed
        why = "; ".join(counts.reasons)
        print(f"{suite.name:<16} {ran:>5} {counts.passed:>7} {counts.failed:>7} {counts.skipped:>8}  {why}".rstrip())
    print()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
