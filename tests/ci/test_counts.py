"""The counts of `make test` are only as good as what reads them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import counts
import docs
import pytest
from counts import Counts

HERE = Path(__file__).parent


@pytest.mark.parametrize(
    ("reader", "output", "expected"),
    [
        (counts.plain, "x\n12 passed, 3 failed\n", Counts(12, 3)),
        (counts.plain, "1 passed, 0 failed\n7 passed, 0 failed, 2 skipped\n", Counts(7, 0, 2)),
        (counts.plain, "skipped: a.json: b\n    no clock\n7 passed, 0 failed, 1 skipped\n", Counts(7, 0, 1, ("no clock",))),
        (counts.plain, "nothing of the kind", Counts()),
        (
            counts.cargo,
            "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured\ntest result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured",
            Counts(6, 2, 1, ("marked #[ignore]",)),
        ),
        (counts.cargo, "test a ... ignored, needs a disk\ntest result: ok. 0 passed; 0 failed; 1 ignored", Counts(0, 0, 1, ("needs a disk",))),
        (counts.pytest, "....\n4 passed in 0.10s\n", Counts(4)),
        (counts.pytest, "FAILED tests/x.py::y - assert 2 passed in 1s\n1 failed, 2 passed, 1 error in 0.10s\n", Counts(2, 2)),
        (counts.pytest, "SKIPPED [1] tests/x.py:3: no trio\n1 passed, 1 skipped in 0.1s", Counts(1, 0, 1, ("no trio",))),
        (counts.pytest, "no tests ran in 0.01s", Counts()),
        (counts.node, "ok 1 - a # SKIP no socket\n# tests 4\n# pass 2\n# fail 1\n# cancelled 0\n# skipped 1\n# todo 0\n", Counts(2, 1, 1, ("no socket",))),
        (counts.bun_or_deno, "(pass) 9 pass\n\n 13 pass\n 1 skip\n 2 fail\nRan 16 tests across 1 file.", Counts(13, 2, 1)),
        (counts.bun_or_deno, "ok | 1 passed (11 steps) | 0 failed (3s)\n", Counts(1)),
        (counts.bun_or_deno, "FAILED | 5 passed | 1 failed (3s)\nerror: Test failed", Counts(5, 1)),
        (counts.bun_or_deno, "error: Module not found", Counts()),
    ],
)
def test_a_runner_is_read(reader: counts.Counter, output: str, expected: Counts) -> None:
    assert reader(output, 0) == expected


def test_what_a_page_shows_is_found_with_what_it_prints() -> None:
    page = docs.ROOT / "docs" / "guide" / "testing.md"
    found = docs.snippets(page)
    assert {snippet.language for snippet in found} == {"python", "ts"}
    assert all(snippet.expected for snippet in found)


def test_tools_that_are_missing_are_all_named_with_a_remedy(tmp_path: Path) -> None:
    needed = ["bash", "sort", "head", "grep"]
    for name in needed:
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    old = tmp_path / "node"
    old.write_text("#!/bin/bash\necho v18.4.0\n")
    old.chmod(0o755)
    script = [str(tmp_path / "bash"), str(HERE / "check_tools.sh")]
    result = subprocess.run(script, env={"PATH": str(tmp_path), "PYTHON": sys.executable}, capture_output=True, text=True)
    assert result.returncode == 1
    assert "cargo is missing, 1.89 or newer is needed" in result.stderr
    assert "https://rustup.rs" in result.stderr
    assert "node is 18.4.0, 20.0 or newer is needed" in result.stderr
    assert "a C compiler (cc) is missing" in result.stderr
    assert "python is" not in result.stderr
