"""Tests one built wheel on every Python that the package supports, the oldest first: `tests/ci/python_versions.py [3.10 …]`.

Each interpreter gets an environment of its own under target/, with the wheel, pytest and trio in it; what is tested is what is
installed there. An interpreter that is not on this machine is skipped, and said to be.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import counts

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "target" / "python-versions"
VERSIONS = ["3.10", "3.11", "3.12", "3.13"]
# Everything that a call goes through, and what differs between versions. Tools and servers are tested once, by the suite `python`.
TESTS = [
    "probes", "test_async.py", "test_callables.py", "test_deadlines.py", "test_decorating.py", "test_errors.py", "test_events.py", "test_fast.py",
    "test_fast_async.py", "test_fast_context.py", "test_fork.py", "test_guard.py", "test_import.py", "test_interrupts.py", "test_record.py",
    "test_streams.py", "test_threads.py", "test_trio.py",
]  # fmt: skip
# Without the fast path, where the kinds of functions are our own work.
DRIVERS = ["probes", "test_callables.py"]
# What the tests need beside the wheel; both are plain Python, and trio is the other kind of event loop.
NEEDED = ("pytest", "trio")
LIMIT_SECONDS = 300


def main(words: list[str]) -> int:
    wheel = build()
    versions = words or VERSIONS
    # Two at a time: tests of threads and processes wait more than they work.
    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(lambda version: one(version, wheel), versions))
    for output, _ in ended:
        print("\n".join(output))
    total = sum((found for _, found in ended), counts.Counts())
    print(f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped")
    return 1 if total.failed else 0


def one(version: str, wheel: Path) -> tuple[list[str], counts.Counts]:
    """What there is to say of one version, and its counts."""
    python = interpreter(version)
    if python is None:
        said = f"skipped: Python {version}\n    Python {version} is not on this machine"
        return [said], counts.Counts(skipped=1)
    return tested(version, environment(version, python, wheel))


def build() -> Path:
    """The one wheel for all, with the profile of the other suites."""
    wheels = WORK / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    run([str(ROOT / ".venv/bin/maturin"), "build", "--quiet", "--profile", "ci", "--out", str(wheels)])
    (wheel,) = wheels.glob("*.whl")
    print(wheel.name, flush=True)
    assert "-cp310-abi3-" in wheel.name, "one wheel for all versions"
    return wheel


def interpreter(version: str) -> str | None:
    """An interpreter of this version: on the path, or kept by pyenv, whose name on the path may lead nowhere."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    kept = sorted(root.glob(f"versions/{version}.*/bin/python"))
    for candidate in [shutil.which(f"python{version}"), *map(str, reversed(kept))]:
        if candidate is not None and says(candidate, "import sys; print('%d.%d' % sys.version_info[:2])") == version:
            return candidate
    return None


def environment(version: str, python: str, wheel: Path) -> Path:
    """An environment with the wheel and what the tests need, and its interpreter."""
    home = WORK / version
    inside = home / "bin" / "python"
    pinned = (ROOT / "tests/ci/requirements.txt").read_text().split("\n")
    needed = [line for line in pinned if line.partition("==")[0] in NEEDED]
    stamp = home / ".ready"
    if not stamp.exists() or stamp.read_text() != str(needed):
        run([python, "-m", "venv", "--clear", str(home)])
        run([str(inside), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *needed])
        stamp.write_text(str(needed))
    install = ["install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--force-reinstall"]
    run([str(inside), "-m", "pip", *install, str(wheel)])
    return inside


def tested(version: str, python: Path) -> tuple[list[str], counts.Counts]:
    """Its tests' output where one failed, and their counts."""
    where = says(str(python), "import seawall; print(seawall.__file__)")
    assert where is not None and Path(where).is_relative_to(WORK / version), f"not the installed package: {where}"
    full = says(str(python), "import platform; print(platform.python_version())")
    output: list[str] = []
    total = counts.Counts()
    for title, names, env in (("", TESTS, {}), (", without the fast path", DRIVERS, {"SEAWALL_FAST": "0"})):
        command = [str(python), "-m", "pytest", "-q", "-rs", *(f"tests/python/{name}" for name in names)]
        surroundings = {**os.environ, **env}
        ended = subprocess.run(
            command, cwd=ROOT, env=surroundings, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
        )
        found = counts.pytest(ended.stdout, ended.returncode)
        if ended.returncode and not found.failed:
            found += counts.Counts(failed=1)
        output.append(f"Python {full}{title}: {found.passed} passed, {found.failed} failed, {found.skipped} skipped")
        output.extend(f"skipped: a test on Python {version}\n    {version}: {reason}" for reason in found.reasons)
        if found.failed:
            output.append(ended.stdout + ended.stderr)
        total += found
    return output, total


def says(python: str, program: str) -> str | None:
    """What a program prints, or None if it cannot run."""
    try:
        ended = subprocess.run([python, "-I", "-c", program], cwd=WORK, capture_output=True, text=True, timeout=60, check=False)
    except OSError:
        return None
    return ended.stdout.strip() if ended.returncode == 0 else None


def run(command: list[str]) -> None:
    subprocess.run(command, cwd=ROOT, check=True)


if __name__ == "__main__":
    os.environ.pop("PYTHONPATH", None)
    WORK.mkdir(parents=True, exist_ok=True)
    sys.exit(main(sys.argv[1:]))
