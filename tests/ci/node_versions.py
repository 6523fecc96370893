"""Tests the Node package on the other runtimes that it is for: `tests/ci/node_versions.py [node22 node24 bun deno …]`.

They are the npm packages of tests/node/versions, where they fit the platform; one that is missing is skipped, and said to be. Each plays the vectors and the
tests of what a call goes through, against the modules that `make build` has made. Tools, type checks and examples are tested once, by the suite `node`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import counts

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests" / "node"
MODULES = TESTS / "versions" / "node_modules"
VECTORS = "tests/conformance/node/run.mjs"
LIMIT_SECONDS = 400
# What runs in tools of its own.
ONCE = {"examples", "packages", "runners", "typing"}
# What is about Node and not about us: its flags, the text of V8's stacks, the length of a test, programs from the command line.
OF_NODE = {"control", "letters-beyond", "probes", "stacks", "undici", "watch"}
# JavaScriptCore gives errors no stack at all where V8 gives one line.
OF_V8 = {"decorators", "errors"}
# Deno tells a native module nothing of the end of a worker.
OF_DENO = {"workers"}


@dataclass(frozen=True)
class Runtime:
    """A runtime: its executable below `MODULES`, how it runs a program and how it runs a file of tests."""

    name: str
    path: str
    program: tuple[str, ...] = ()
    test: tuple[str, ...] = ("--test", "--test-reporter=tap")
    leaves: frozenset[str] = frozenset(ONCE)
    # Node runs each file in a process of its own; the others are told to, for state is shared in a process.
    is_node: bool = True

    @property
    def executable(self) -> Path:
        return MODULES / self.path


RUNTIMES = [
    Runtime("node22", "node22/bin/node"),
    Runtime("node24", "node24/bin/node"),
    Runtime("bun", "@oven/bun-linux-x64/bin/bun", (), ("test",), frozenset(ONCE | OF_NODE | OF_V8), is_node=False),
    Runtime("deno", "@deno/linux-x64-glibc/deno", ("run", "-A"), ("test", "-A", "--no-check"), frozenset(ONCE | OF_NODE | OF_DENO), is_node=False),
]


def main(words: list[str]) -> int:
    chosen = [runtime for runtime in RUNTIMES if not words or runtime.name in words]
    # Two at a time: tests of limits and processes wait more than they work.
    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(one, chosen))
    for output, _ in ended:
        print("\n".join(output))
    total = sum((found for _, found in ended), counts.Counts())
    print(f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped")
    return 1 if total.failed or not chosen else 0


def one(runtime: Runtime) -> tuple[list[str], counts.Counts]:
    """What there is to say of one runtime, and its counts."""
    version = says(runtime)
    if version is None:
        said = f"skipped: {runtime.name}\n    {runtime.name} is not installed in tests/node/versions, or does not run here"
        return [said], counts.Counts(skipped=1)
    output: list[str] = []
    total = counts.Counts()
    for title, words, counter in plays(runtime):
        found, text = play(runtime, words, counter)
        total += found
        if found.failed:
            output += [f"{runtime.name}: {title}", text]
    output.append(f"{runtime.name} ({version}): {total.passed} passed, {total.failed} failed, {total.skipped} skipped")
    return output, total


def plays(runtime: Runtime) -> list[tuple[str, list[str], counts.Counter]]:
    """Titles, arguments and how the counts are read."""
    found: list[tuple[str, list[str], counts.Counter]] = [("vectors", [*runtime.program, VECTORS], counts.plain)]
    # With a dot before them, for Bun takes anything else for a part of a name.
    files = [f"./{path.relative_to(ROOT)}" for path in sorted(TESTS.glob("*.test.mjs")) if path.name.removesuffix(".test.mjs") not in runtime.leaves]
    if not runtime.is_node:
        return found + [(file, [*runtime.test, file], counts.bun_or_deno) for file in files]
    # Of the packages what is loaded from there, by either kind of module.
    installed = [*runtime.test, "--test-name-pattern=^(import and require|the command works)", "./tests/node/packages.test.mjs"]
    return [*found, ("tests", [*runtime.test, *files], counts.node), ("installed", installed, counts.node)]


def play(runtime: Runtime, words: list[str], counter: counts.Counter) -> tuple[counts.Counts, str]:
    path = os.pathsep.join([str(runtime.executable.parent), os.environ["PATH"]])
    try:
        ended = subprocess.run(
            [str(runtime.executable), *words],
            cwd=ROOT,
            env={**os.environ, "PATH": path, "DENO_NO_UPDATE_CHECK": "1"},
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return counts.Counts(failed=1), f"cut after {LIMIT_SECONDS} s"
    found = counter(ended.stdout + ended.stderr, ended.returncode)
    if not found.failed and (ended.returncode or not found.passed):
        found += counts.Counts(failed=1)
    return found, ended.stdout + ended.stderr


def says(runtime: Runtime) -> str | None:
    """Its version, or None if it cannot run."""
    try:
        ended = subprocess.run([str(runtime.executable), "--version"], capture_output=True, text=True, timeout=60, check=False)
    except OSError:
        return None
    return ended.stdout.split("\n")[0] if ended.returncode == 0 else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
