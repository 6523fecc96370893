"""Measures what guarding a call costs, beside the peers: `make bench-python`.

Every case runs in short batches. A round takes one batch of each, in an order drawn anew, and one of the bare callee before it; what counts is
the difference of the two. Printed are the median over the rounds, the middle half of them, and the ratio of a guarded to
a bare call. Nothing here judges: a machine with neighbours says little in one run.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import platform
import random
import statistics
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import cases

# What design/goals asks of Seawall, in nanoseconds over the bare call.
GOALS = {
    "breaker": 40, "window": 45, "retry": 40, "bulkhead": 45, "stack": 60, "open": 450,
    "async breaker": 260, "async retry": 260, "async stack with timeout": 1000, "async open": 550,
}
IMPORT_MS = 15
# Shorter than a scheduler's slice.
BATCH_NS = 300_000
THREADS = 8


def batch(call: Callable[[Any], Any], count: int) -> float:
    turns = range(count)
    began = time.perf_counter_ns()
    for _ in turns:
        call(1)
    return (time.perf_counter_ns() - began) / count


def refused(call: Callable[[Any], Any], count: int) -> float:
    turns = range(count)
    began = time.perf_counter_ns()
    for _ in turns:
        try:
            call(1)
        except Exception:
            pass
    return (time.perf_counter_ns() - began) / count


async def async_batch(call: Callable[[Any], Any], count: int) -> float:
    turns = range(count)
    began = time.perf_counter_ns()
    for _ in turns:
        await call(1)
    return (time.perf_counter_ns() - began) / count


async def async_refused(call: Callable[[Any], Any], count: int) -> float:
    turns = range(count)
    began = time.perf_counter_ns()
    for _ in turns:
        try:
            await call(1)
        except Exception:
            pass
    return (time.perf_counter_ns() - began) / count


async def measured(case: str, call: Callable[[Any], Any], count: int) -> float:
    """Nanoseconds per call of one batch."""
    if case.startswith("async"):
        return await (async_refused if case.endswith("open") else async_batch)(call, count)
    return (refused if case == "open" else batch)(call, count)


async def prepared(case: str, guard: cases.Guard) -> Callable[..., Any]:
    """The guarded function, with its circuit open where the case says so."""
    if not case.endswith("open"):
        return guard(cases.async_callee if case.startswith("async") else cases.callee)
    call = guard(cases.async_failing if case.startswith("async") else cases.failing)
    await measured(case, call, 20)
    return call


async def times(rounds: int, only: str) -> dict[tuple[str, str], tuple[list[float], float]]:
    """Per case and library the differences, and the time of the bare call."""
    calls: dict[tuple[str, str], Callable[..., Any]] = {}
    for library, offered in cases.offered():
        for case, guard in offered.items():
            if only in case:
                calls[case, library] = await prepared(case, guard)
    bare = {False: cases.callee, True: cases.async_callee}
    counts = {key: max(5, int(BATCH_NS / await measured(key[0], call, 200))) for key, call in calls.items()}
    found: dict[tuple[str, str], list[float]] = {key: [] for key in calls}
    floors: dict[bool, list[float]] = {False: [], True: []}
    order = list(calls)
    for _ in range(rounds):
        random.shuffle(order)
        for key in order:
            is_async = key[0].startswith("async")
            floor = await measured("async" if is_async else "", bare[is_async], 3_000)
            floors[is_async].append(floor)
            found[key].append(await measured(key[0], calls[key], counts[key]) - floor)
    return {key: (values, statistics.median(floors[key[0].startswith("async")])) for key, values in found.items()}


def print_times(found: dict[tuple[str, str], tuple[list[float], float]]) -> None:
    print(f"{'case':26}{'library':30}{'ns over bare':>14}{'middle half':>18}{'x bare':>9}{'goal':>7}")
    for case in dict.fromkeys(case for case, _ in found):
        rows = [(statistics.median(values), values, library, bare) for (c, library), (values, bare) in found.items() if c == case]
        for median, values, library, bare in sorted(rows):
            low, _, high = statistics.quantiles(values, n=4)
            goal = GOALS.get(case, "") if library == "seawall" else ""
            print(f"{case:26}{library:30}{median:14.0f}{f'{low:.0f} to {high:.0f}':>18}{(median + bare) / bare:9.1f}{goal:>7}")


def print_threads() -> None:
    """Calls per second of several threads on one function, beside a wrapper written in C that does nothing."""
    import functools

    import seawall

    guarded = seawall.circuit_breaker(consecutive_failures=5)(cases.callee)
    for name, call in (("functools.partial", functools.partial(cases.callee)), ("seawall breaker", guarded)):
        rates = [(rate(call, 1), rate(call, THREADS)) for _ in range(5)]
        one, many = (statistics.median(values) for values in zip(*rates, strict=True))
        print(f"{name:26}{one / 1e6:8.1f} M/s on one thread {many / 1e6:8.1f} M/s on {THREADS}, a share of {many / one:.2f}")


def rate(call: Callable[[Any], Any], threads: int, count: int = 200_000) -> float:
    workers = [threading.Thread(target=batch, args=(call, count // threads)) for _ in range(threads)]
    began = time.perf_counter()
    [worker.start() for worker in workers]
    [worker.join() for worker in workers]
    return count / (time.perf_counter() - began)


def print_memory(count: int = 500) -> None:
    """What one breaker with a window of 100 takes: memory of the whole process, which sees the native half too."""
    import seawall

    def resident() -> int:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * 4096

    def make() -> list[Any]:
        made = [seawall.circuit_breaker(window_size=100, failure_ratio=0.5)(cases.callee) for _ in range(count)]
        [call(1) for call in made]
        return made

    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = make()
    python = (tracemalloc.get_traced_memory()[0] - before) / count
    tracemalloc.stop()
    before = resident()
    kept += make()
    print(f"one decorated function with a breaker: {python:.0f} B of Python objects, {(resident() - before) / count:.0f} B of the process")


def print_imports(rounds: int = 15) -> None:
    """Processor time of `import …` above that of an empty program, each in an interpreter of its own, in turns."""
    programs = {"an empty program": "pass", **{f"import {name}": f"import {name}" for name in ("seawall", "typing", "logging", "asyncio", "tenacity")}}
    found: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, program in random.sample(list(programs.items()), len(programs)):
            with subprocess.Popen([sys.executable, "-c", program]) as child:
                _, _, used = os.wait4(child.pid, 0)
                child.returncode = 0
            found[name].append((used.ru_utime + used.ru_stime) * 1e3)
    empty = statistics.median(found.pop("an empty program"))
    print(f"an empty program takes {empty:.1f} ms of processor time; above that, with bytecode in place (goal of seawall: {IMPORT_MS} ms):")
    for name, values in found.items():
        print(f"  {name:24}{statistics.median(values) - empty:6.1f} ms, at best {min(values) - empty:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--only", default="", help="cases that contain this")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    print(f"{platform.python_implementation()} {platform.python_version()} on {platform.machine()}")
    print(", ".join(f"{name} {cases.version(name)}".strip() for name, _ in cases.offered()))
    gc.collect()
    gc.freeze()
    print_times(asyncio.run(times(options.rounds, options.only)))
    if not options.only:
        print_threads()
        if sys.platform == "linux":
            print_memory()
            print_imports()


if __name__ == "__main__":
    main()
