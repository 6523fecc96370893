"""Dead letters against the disk's own speed and the peers: `make bench-letters`.

Every figure is a ratio to the floor: overwriting 1 KiB and `fdatasync`, measured right before and right after it, on the same disk. A round takes every case
once, in an order drawn anew; told is the median over the rounds, with the least and the most. Nothing here judges.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
# Name, program, producers per process, processes, and what design asks for, in floors.
CASES: list[tuple[str, str, int, int, float | None]] = [
    *[(f"seawall, Rust, {n}", "rust", n, 1, goal) for n, goal in ((1, 0.8), (8, 1.7), (64, 5.0))],
    ("seawall, Rust, 8 processes", "rust", 1, 8, 2.0),
    *[(f"seawall, {language}, {n}", f"{language}:seawall", n, 1, 0.7 if n == 1 else None) for language in ("Python", "Node") for n in (1, 8, 64)],
    *[(f"seawall, {language}, 8 processes", f"{language}:seawall", 1, 8, None) for language in ("Python", "Node")],
    *[(f"{peer}, Python, {n}", f"Python:{peer}", n, 1, None) for peer in ("persist-queue", "litequeue", "diskcache", "sqlite3 by hand") for n in (1, 8)],
    ("sqlite3 by hand, Python, 8 processes", "Python:sqlite3 by hand", 1, 8, None),
    *[(f"{peer}, Node, 1", f"Node:{peer}", 1, 1, None) for peer in ("plainjob", "liteque", "better-sqlite3 by hand")],
]


class Bench:
    def __init__(self, asked: argparse.Namespace) -> None:
        self.rust, self.python, self.node, self.ms = asked.rust, asked.python, asked.node, asked.ms
        self.folder = Path(asked.folder)
        self.floors: list[float] = []

    def floor(self) -> float:
        told = self.run([self.rust, "floor", str(self.folder / "floor"), str(self.ms)], 1)
        self.floors.append(told[0]["per_s"])
        return told[0]["per_s"]

    def command(self, program: str, place: Path, producers: int) -> list[str]:
        tail = [str(place), str(producers), str(self.ms)]
        if program == "rust":
            return [self.rust, "append", *tail]
        language, name = program.split(":")
        return [self.python, str(HERE / "peers.py"), name, *tail] if language == "Python" else ["node", "peers.mjs", name, *tail]

    def run(self, command: list[str], processes: int) -> list[dict[str, float]]:
        at = self.node if command[0] == "node" else ROOT
        started = [subprocess.Popen(command, cwd=at, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(processes)]
        ended = [(process, *process.communicate(timeout=120)) for process in started]
        failed = [err.strip().splitlines()[-1:] for process, _, err in ended if process.returncode != 0]
        if failed:
            raise RuntimeError(f"{failed[0]}")
        return [json.loads(out.strip().splitlines()[-1]) for _, out, _ in ended]

    def measure(self, program: str, producers: int, processes: int) -> dict[str, float]:
        place = self.folder / "case"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(mode=0o700)
        before = self.floor()
        told = self.run(self.command(program, place, producers), processes)
        floor = (before + self.floor()) / 2
        rates = [one["per_s"] for one in told]
        worst = {name: max(one[name] for one in told) for name in ("p99_ms", "max_ms")}
        return {"ratio": sum(rates) / floor, "per_s": sum(rates), "share": min(rates) / max(rates), **worst}


def main() -> None:
    asks = argparse.ArgumentParser(description=__doc__)
    asks.add_argument("--rust", required=True, help="the example `letters` of core/stores/sqlite, built")
    asks.add_argument("--python", default=sys.executable, help="an interpreter with seawall and the peers")
    asks.add_argument("--node", default=str(HERE), help="a folder from which seawall and the peers are imported")
    asks.add_argument("--folder", default=str(ROOT / "target" / "bench-letters"))
    asks.add_argument("--rounds", type=int, default=5)
    asks.add_argument("--ms", type=int, default=1500)
    asks.add_argument("--only", default="")
    asked = asks.parse_args()
    os.makedirs(asked.folder, exist_ok=True)
    bench, found, failed = Bench(asked), {}, {}
    cases = [case for case in CASES if asked.only in case[0]]
    for number in range(asked.rounds):
        for name, program, producers, processes, _ in random.sample(cases, len(cases)):
            try:
                found.setdefault(name, []).append(bench.measure(program, producers, processes))
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                failed[name] = str(error)
        print(f"round {number + 1} of {asked.rounds}", file=sys.stderr)
    floors = sorted(bench.floors)
    print(f"floor: {statistics.median(floors):,.0f} per s ({floors[0]:,.0f} to {floors[-1]:,.0f}); {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    print(f"{'':40}{'x floor':>8}  {'(least to most)':17}{'per s':>9}{'p99 ms':>9}{'max ms':>9}{'share':>7}{'goal':>6}")
    for name, *_, goal in cases:
        runs = found.get(name, [])
        if not runs:
            print(f"{name:40}{'':8}  did not run: {failed.get(name, '')[:80]}")
            continue
        middle = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        ratios = sorted(run["ratio"] for run in runs)
        spread, share = f"({ratios[0]:.2f} to {ratios[-1]:.2f})", f"{middle['share']:.2f}" if middle["share"] < 1 else ""
        asked_for = f"{goal:.1f}" if goal else ""
        print(f"{name:40}{middle['ratio']:8.2f}  {spread:17}{middle['per_s']:9,.0f}{middle['p99_ms']:9.2f}{middle['max_ms']:9.1f}{share:>7}{asked_for:>6}")
    shutil.rmtree(asked.folder, ignore_errors=True)


if __name__ == "__main__":
    main()
