"""The suites of `make test`, in the order in which they run: quick checks first, the slow package last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import counts

ROOT = Path(__file__).resolve().parents[2]
PYTHON = str(ROOT / ".venv" / "bin" / "python")
PROFILE = ["--profile", "ci", "--locked"]


@dataclass(frozen=True)
class Suite:
    """One command and the way to read its counts. It is cut after `limit_seconds`."""

    name: str
    command: Callable[[], list[str]]
    count: counts.Counter
    env: Mapping[str, str] = field(default_factory=dict)
    limit_seconds: int = 900


def suite(name: str, command: list[str], count: counts.Counter, **options: object) -> Suite:
    return Suite(name, lambda: command, count, **options)  # type: ignore[arg-type]


def xtask(*words: str) -> list[str]:
    return ["cargo", "run", "--quiet", *PROFILE, "-p", "xtask", "--", *words]


def pytest(*paths: str) -> list[str]:
    return [PYTHON, "-m", "pytest", "-q", "-rs", *paths]


def node_tests() -> list[str]:
    """Files are named one by one: Node 20 takes a folder, Node 22 a pattern, both take files."""
    found = sorted((ROOT / "tests" / "node").rglob("*.test.*js"))
    files = [path for path in found if "node_modules" not in path.parts]
    return ["node", "--test", "--test-reporter=tap", *(map(str, files) if files else ["tests/node"])]


CONFORMANCE = "tests/conformance"
# pyright's launcher fetches the checker itself from npm; it stays inside the checkout.
PYRIGHT = {"PYRIGHT_PYTHON_CACHE_DIR": str(ROOT / ".venv" / "pyright"), "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}

SUITES = [
    suite("format", ["cargo", "fmt", "--all", "--check"], counts.one),
    suite("clippy", ["cargo", "clippy", "--workspace", "--all-targets", "--all-features", *PROFILE, "--", "-D", "warnings"], counts.one),
    suite("rust", ["cargo", "test", "--workspace", "--no-fail-fast", *PROFILE], counts.cargo),
    # The adapters of the crate; a feature must not change what is under the others.
    suite("rust-features", ["cargo", "test", "-p", "seawall", "--all-features", "--no-fail-fast", *PROFILE], counts.cargo),
    suite("loom", [PYTHON, "tests/ci/loom.py"], counts.plain),
    suite("drift", xtask("generate", "--check"), counts.plain),
    suite("arrows", xtask("arrows"), counts.plain),
    suite("msrv", xtask("msrv"), counts.plain),
    suite(
        "vectors-engine",
        ["cargo", "run", "--quiet", *PROFILE, "-p", "seawall-testkit", "--bin", "vectors", "--", "--check"],
        counts.plain,
    ),
    suite("vectors-sync", [PYTHON, f"{CONFORMANCE}/python/run_sync.py"], counts.plain),
    suite("vectors-async", [PYTHON, f"{CONFORMANCE}/python/run_async.py"], counts.plain),
    suite("vectors-trio", [PYTHON, f"{CONFORMANCE}/python/run_trio.py"], counts.plain),
    suite("vectors-node", ["node", f"{CONFORMANCE}/node/run.mjs"], counts.plain),
    # Some hundreds of random scripts, the same each time; `make fuzz` plays others, and more.
    suite(
        "parity-fuzz",
        ["cargo", "run", "--quiet", *PROFILE, "-p", "seawall-testkit", "--bin", "fuzz", "--", "--scripts", "800"],
        counts.plain,
    ),
    suite("python", pytest("tests/python"), counts.pytest, env=PYRIGHT),
    # The same without the fast path.
    suite(
        "python-drivers",
        pytest(
            "tests/python",
            *(f"--ignore=tests/python/test_{name}.py" for name in ("typing", "fast", "fast_async", "fast_context", "fast_limits", "fast_trio")),
        ),
        counts.pytest,
        env={"SEAWALL_FAST": "0"},
    ),
    # Real servers, workers that are killed, and the examples that run under them.
    suite("examples", pytest("tests/examples"), counts.pytest),
    # The built wheel on every Python that it is for; an interpreter that is missing shows as skipped.
    suite("python-versions", [PYTHON, "tests/ci/python_versions.py"], counts.plain, env={"PYTHONPATH": ""}),
    Suite("node", node_tests, counts.node),
    # The same vectors and tests on newer versions of Node, on Bun and on Deno; one that is missing shows as skipped.
    suite("node-versions", [PYTHON, "tests/ci/node_versions.py"], counts.plain),
    suite("demo", pytest("tests/demo"), counts.pytest),
    suite("parity", pytest("tests/parity"), counts.pytest),
    suite("ci", pytest("tests/ci"), counts.pytest),
    suite("docs", [PYTHON, "tests/ci/docs.py"], counts.plain),
    suite("sdist", [PYTHON, "tests/ci/sdist.py"], counts.plain, limit_seconds=1200),
]
