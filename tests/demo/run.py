"""`make demo`: a day of orders is charged through an unreliable city, bare and with Seawall, and the books are audited.

Environment: FAST=1, INPUT=file, INPUT_ID, INPUT_TIME, INPUT_AMOUNT (names of columns). Exit status: 0 if with Seawall every
order was charged exactly once and the sums match to the cent, 1 if not, 2 if the input cannot be used.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import audit
import following
import page
import picture
import table
from orders import DAY_ORDERS, FAST_ORDERS, MAX_PER_SECOND, Order, arrivals, generate, run_seconds
from processes import HERE, RunError
from reader import CHOSEN_BY, InputError, read
from script import Facts, Run

OUT = HERE.parents[1] / "demo-out"
RUN_SECONDS = 45.0
FAST_SECONDS = 15.0
MODES = ("bare", "seawall")


class Progress:
    """One line that is rewritten on a terminal; elsewhere a line every few seconds."""

    EVERY_SECONDS = 3.0

    def __init__(self) -> None:
        self._tty = sys.stdout.isatty()
        self._last = 0.0
        self._width = 0

    def show(self, line: str) -> None:
        if self._tty:
            print(f"\r{line.ljust(self._width)}", end="", flush=True)
            self._width = len(line)
        elif time.monotonic() - self._last >= self.EVERY_SECONDS:
            self._last = time.monotonic()
            print(line, flush=True)

    def end(self) -> None:
        if self._tty and self._width:
            print()
        self._width = 0


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        orders, source = _orders()
    except InputError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    seconds = run_seconds(len(orders), FAST_SECONDS if os.environ.get("FAST") == "1" else RUN_SECONDS)
    _announce(orders, source, seconds)
    lock = _emptied(OUT)
    if lock is None:
        print(f"demo: another run is writing to {_shown(OUT)}; wait for it to end", file=sys.stderr)
        return 2
    try:
        facts = _play(orders, seconds)
    except RunError as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: stopped", file=sys.stderr)
        return 130
    return _report(orders, source, facts)


def _orders() -> tuple[list[Order], str]:
    path = os.environ.get("INPUT")
    if path:
        return read(path, {what: os.environ.get(name, "") for what, name in CHOSEN_BY.items()}), path
    count = FAST_ORDERS if os.environ.get("FAST") == "1" else DAY_ORDERS
    return generate(count), f"{count:,} generated card fares"


def _emptied(folder: Path) -> int | None:
    """The folder, empty and locked for as long as this process lives; None if another holds it."""
    folder.mkdir(exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return lock


def _announce(orders: list[Order], source: str, seconds: float) -> None:
    due = sum(order.cents for order in orders)
    print(
        f"{source}: {len(orders):,} orders, {table.money(due)} due. Two runs of {seconds:.0f} s on the same arrivals, then redrives and audit."
    )
    if seconds > RUN_SECONDS:
        print(f"The input is long: a run is stretched to {seconds:.0f} s, so that no second has more than {MAX_PER_SECOND} orders.")


def _play(orders: list[Order], seconds: float) -> list[Facts]:
    offsets = arrivals(orders, seconds)
    progress = Progress()
    facts = []
    for mode in MODES:
        try:
            facts.append(Run(mode, orders, offsets, seconds, OUT / mode, progress.show).play())
        finally:
            progress.end()
    return facts


def _report(orders: list[Order], source: str, facts: list[Facts]) -> int:
    bare, guarded = (audit.audit(orders, each) for each in facts)
    trace = following.trace(guarded.facts)
    rows = table.rows(bare, guarded)
    print()
    print(table.text(rows))
    print()
    print(table.trace_text(trace))
    svg = picture.draw(bare, guarded)
    (OUT / "report.svg").write_text(svg, encoding="utf-8")
    faults = audit.faults(guarded)
    (OUT / "report.html").write_text(page.html(svg, rows, trace, source, guarded, faults), encoding="utf-8")
    print(f"\n{table.verdict(guarded, faults)}")
    print(f"Report: {_shown(OUT / 'report.html')}, picture: {_shown(OUT / 'report.svg')}, books and logs: {_shown(OUT)}/bare and /seawall")
    return 1 if faults else 0


def _shown(path: Path) -> str:
    return os.path.relpath(path)


if __name__ == "__main__":
    sys.exit(main())
