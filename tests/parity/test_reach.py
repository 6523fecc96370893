"""Every event, error code and reason that the vectors reach in the engine is seen by the hooks and errors of each language."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLAYERS = ROOT / "tests" / "conformance"
ENGINE = ["cargo", "run", "--quiet", "--profile", "ci", "--locked", "-p", "seawall-testkit", "--bin", "vectors", "--", "--reach"]
LANGUAGES = {
    "sync Python": [sys.executable, str(PLAYERS / "python" / "run_sync.py"), "--reach"],
    "asyncio": [sys.executable, str(PLAYERS / "python" / "run_async.py"), "--reach"],
    "Node": ["node", str(PLAYERS / "node" / "run.mjs"), "--reach"],
}

# An injected fault surfaces as itself, and its code is the name of its event; a cancelled call has no error that could carry a reason.
TOLD_OTHERWISE = {"event": set[str](), "code": {"chaos.injected"}, "reason": {"cancelled"}}


def told(command: list[str]) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=300).stdout


@pytest.fixture(scope="module")
def engine() -> dict[str, set[str]]:
    names = [name.split(" ", 1) for name in json.loads(told(ENGINE))]
    return {kind: {name for other, name in names if other == of} for kind, of in (("event", "event"), ("code", "error"), ("reason", "reason"))}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_sees_what_the_engine_reaches(language: str, engine: dict[str, set[str]]) -> None:
    seen = json.loads(told(LANGUAGES[language]))
    missed = {kind: sorted(names - set(seen[kind]) - TOLD_OTHERWISE[kind]) for kind, names in engine.items()}
    assert all(engine.values())
    assert "chaos.injected" in seen["event"]
    assert missed == {"event": [], "code": [], "reason": []}
