"""Mutates one folder of the engine after another and tells which mutants no test saw: `make mutants FOLDER=policy/retry`.

cargo-mutants does the work; its crates are no part of the project, so it is installed by name into target/mutants. What was judged before is
kept there and not judged again (`--iterate`); remove the folder to begin anew. A mutant that was skipped or timed out counts as a survivor.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "target" / "mutants"


def run(folder: str, out: Path, *tests: str) -> None:
    """One round over the mutants of a folder that nothing has seen yet."""
    subprocess.run(
        [
            HOME / "bin" / "cargo-mutants", "mutants", "--package", "seawall-engine", "--file", f"core/engine/src/{folder}/**", "--file", f"core/engine/src/{folder}.rs",
            "--iterate", "--output", out, "--profile", "ci", "--jobs", "1", "--minimum-test-timeout", "60", "--no-shuffle", *tests,
        ],
        cwd=ROOT,
        check=False,
    )  # fmt: skip
    unviable = out / "unviable.txt"
    known = set(lines(unviable)) | set(lines(out / "mutants.out" / "unviable.txt"))
    unviable.write_text("".join(f"{name}\n" for name in sorted(known)))


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def judge(folder: str) -> tuple[int, int, list[str]]:
    """Mutants seen by a test, all viable ones, and the survivors."""
    out = HOME / folder.replace("/", "-")
    out.mkdir(parents=True, exist_ok=True)
    # The model sees most of them in a second or two; the others are for all tests and vectors.
    run(folder, out, "--test-package", "seawall-engine", "-C=--test=model")
    run(folder, out, "--test-package", "seawall-engine,seawall-testkit")
    found = out / "mutants.out"
    # What does not compile is left out of a later round like what was caught.
    seen = (set(lines(found / "caught.txt")) | set(lines(found / "previously_caught.txt"))) - set(lines(out / "unviable.txt"))
    survivors = lines(found / "missed.txt") + lines(found / "timeout.txt")
    return len(seen), len(seen) + len(survivors), survivors


def main(folders: list[str]) -> int:
    if not (HOME / "bin" / "cargo-mutants").exists():
        subprocess.run(["cargo", "install", "--quiet", "--locked", "cargo-mutants", "--root", HOME], cwd=ROOT, check=True)
    report = {}
    for folder in folders:
        seen, viable, survivors = judge(folder)
        report[folder] = {"seen": seen, "viable": viable, "survivors": survivors}
        print(f"{folder}: {seen} of {viable} mutants seen by a test")
        for survivor in survivors:
            print(f"    survived: {survivor}")
    (HOME / "report.json").write_text(json.dumps(report, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["policy/retry", "policy/rate_limit", "policy/bulkhead", "policy/breaker", "policy/hedge", "policy/chaos", "pipeline"]))
