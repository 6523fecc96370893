"""Both type checkers, in their strict modes, accept what is right and refuse what is wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TYPING = Path(__file__).parent / "typing"


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)


def mypy(*files: Path) -> set[tuple[str, int]]:
    pytest.importorskip("mypy", reason="mypy is not installed")
    done = run(sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--no-error-summary", *map(str, files))
    assert done.returncode in (0, 1), done.stdout + done.stderr
    lines = [line.split(":", 3) for line in done.stdout.splitlines() if ": error:" in line]
    return {(Path(name).name, int(number)) for name, number, *_ in lines}


def pyright(*files: Path) -> set[tuple[str, int]]:
    beside = [ROOT / "node_modules" / ".bin" / "pyright", Path(sys.executable).parent / "pyright"]
    found = next((str(path) for path in beside if path.exists()), None) or shutil.which("pyright")
    if found is None:
        pytest.skip("pyright is not installed")
    done = run(found, "--outputjson", "--pythonpath", sys.executable, *map(str, files))
    told = json.loads(done.stdout)["generalDiagnostics"]
    return {(Path(each["file"]).name, each["range"]["start"]["line"] + 1) for each in told if each["severity"] == "error"}


def marked(path: Path) -> set[tuple[str, int]]:
    lines = path.read_text().splitlines()
    return {(path.name, number) for number, line in enumerate(lines, 1) if line.endswith("# error")}


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_right_is_accepted_and_wrong_is_refused(checker: object) -> None:
    assert callable(checker)
    accepted, adapters, rejected = (TYPING / f"{name}.py" for name in ("accepted", "adapters", "rejected"))
    assert marked(rejected)
    assert checker(accepted, adapters, rejected) == marked(rejected)


def test_the_package_itself_is_strictly_typed() -> None:
    assert mypy(*sorted((ROOT / "bindings-python" / "python" / "seawall").glob("*.py"))) == set()


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_the_examples_are_strictly_typed(checker: object) -> None:
    assert callable(checker)
    examples = sorted((ROOT / "bindings-python" / "examples").glob("*.py"))
    assert examples
    assert checker(*examples) == set()
