"""Rules of the house that no other tool checks."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 500


def tracked(*endings: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    return [ROOT / name for name in listed if name.endswith(endings) and (ROOT / name).exists()]


def test_there_is_one_version_number() -> None:
    workspace = re.search(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    package = json.loads((ROOT / "package.json").read_text())
    lock = json.loads((ROOT / "package-lock.json").read_text())
    assert workspace is not None
    assert {workspace[1], package["version"], lock["version"]} == {workspace[1]}


def test_no_source_file_is_long() -> None:
    files = tracked(".rs", ".py", ".ts", ".mjs", ".sh")
    assert files
    long = {str(path.relative_to(ROOT)): lines for path in files if (lines := path.read_text().count("\n")) > LONGEST}
    assert long == {}


def test_no_file_is_named_after_nothing_in_particular() -> None:
    vague = [path for path in tracked(".rs", ".py", ".ts", ".mjs") if path.stem.strip("_") in {"utils", "util", "helpers", "common"}]
    assert vague == []


def test_the_lock_file_of_the_bench_is_fresh() -> None:
    """`cargo metadata` in tests/bench, without `--locked`, refreshes it and updates nothing else."""
    command = ["cargo", "metadata", "--quiet", "--locked", "--format-version", "1"]
    asked = subprocess.run(command, cwd=ROOT / "tests" / "bench", capture_output=True, text=True, check=False)
    assert asked.returncode == 0, asked.stderr


def test_every_budget_names_rows_of_the_bench() -> None:
    bench = ROOT / "tests" / "bench"
    rows, peers = ((bench / "src" / name).read_text() for name in ("rows.rs", "peers.rs"))
    budgets = json.loads((bench / "budgets.json").read_text())["rust"]
    assert budgets
    for budget in budgets:
        assert budget["goal_ns"] > 0 < budget["peer_ns"]
        assert f'"{budget["group"]}"' in rows, budget
        assert f'"{budget["group"]}"' in peers, budget
        assert f'"{budget["peer"]}"' in peers, budget
