"""Runs the models of core/engine/tests/loom and compares what ran with the table of docs/spec/proofs.md.

LOOM_MAX_PREEMPTIONS raises the bound of switches per execution; without it the models' own, smaller one holds.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "spec" / "proofs.md"
COMMAND = ["cargo", "test", "--profile", "ci", "--locked", "-p", "seawall-engine", "--test", "loom", "--", "--nocapture", "--test-threads", "2"]
# A folder of its own: the flag would make every crate of the common one be compiled again.
ENV = {"RUSTFLAGS": "--cfg loom", "CARGO_TARGET_DIR": str(ROOT / "target" / "loom"), "RUST_BACKTRACE": "0"}
HOLDS = re.compile(r"^([a-z][a-z, ]+): holds in (\d+) executions$", re.MULTILINE)
BREAKS = re.compile(r"^([a-z][a-z, ]+): ([A-Za-z]+) caught in execution (\d+)$", re.MULTILINE)
ROW = re.compile(r"^\| ([a-z][a-z, ]+) \| [^|]+ \| ([^|]+) \|$", re.MULTILINE)


def promised() -> dict[str, set[str]]:
    """Each model of the page with the faults that it names."""
    table = PAGE.read_text(encoding="utf-8").partition("|---|---|---|")[2]
    return {model: set(re.findall(r"`(\w+)`", faults)) for model, faults in ROW.findall(table)}


def main() -> int:
    run = subprocess.run(COMMAND, cwd=ROOT, env=os.environ | ENV, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        print(run.stdout, run.stderr, sep="\n")
    explored = {model: int(count) for model, count in HOLDS.findall(run.stdout)}
    caught: dict[str, dict[str, int]] = {model: {} for model in explored}
    for model, fault, execution in BREAKS.findall(run.stdout):
        caught.setdefault(model, {})[fault] = int(execution)
    page = promised()
    passed = failed = 0
    for model in sorted(page.keys() | explored.keys()):
        faults = caught.get(model, {})
        seeded = ", ".join(f"{fault} in {execution}" for fault, execution in sorted(faults.items()))
        print(f"{model:38} {explored.get(model, 0):>9} executions   caught: {seeded or 'nothing'}")
        fits = page.get(model) == set(faults) and explored.get(model, 0) > 1
        if not fits:
            print(f"    docs/spec/proofs.md promises {sorted(page.get(model, set())) or 'no such model'}")
        passed, failed = passed + fits, failed + (not fits)
    failed = max(failed, int(run.returncode != 0))
    print(f"{passed} passed, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
