"""`seawall events`: one correlation id followed through Python, Node and the queue."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = {"python": [sys.executable, "-m", "seawall"], "node": ["node", str(ROOT / "bindings-node/dist/cli.js")]}

# A service in Python calls one in Node by its headers; that one fails, gives up and writes a letter.
PYTHON = r'''
import json, logging, subprocess, sys
import seawall
import seawall.logging

store, script, log = sys.argv[1:]
handler = logging.FileHandler(log)
handler.setFormatter(seawall.JsonFormatter())
logging.basicConfig(handlers=[handler], level=logging.INFO)

@seawall.retry(name="front", max_attempts=1)
def order() -> None:
    logging.getLogger("shop").info("calling the bank")
    done = subprocess.run(["node", "--input-type=module", "-e", script, store, json.dumps(seawall.headers())])
    raise ConnectionError(f"the bank said {done.returncode}")

for id in ("web-17", "web-18"):
    with seawall.correlate(id):
        try:
            order()
        except ConnectionError:
            pass
'''
NODE = r'''
import { appendFileSync } from 'node:fs';
import * as seawall from 'seawall';
import { logTo } from 'seawall/log';

const [store, headers] = process.argv.slice(1);
logTo((_level, event) => appendFileSync(process.env.LOG, seawall.eventLine(event) + '\n'));
const bank = seawall.policy('bank', seawall.deadLetter('payments', { store }), seawall.retry({ maxAttempts: 2, baseDelay: '1ms' }));
await seawall.receive(JSON.parse(headers), () => bank(async (_order) => { throw Object.assign(new Error('down'), { code: 'ECONNRESET' }); })({ order: 7 }), { trust: true }).catch(() => undefined);
'''


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Path]:
    """The store, and what each service logged."""
    folder = tmp_path_factory.mktemp("story")
    store, python, node = f"sqlite:///{folder}/letters", folder / "front.jsonl", folder / "bank.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", PYTHON, store, NODE, str(python)],
        cwd=ROOT, env={**os.environ, "LOG": str(node)}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return store, python, node


def run(language: str, *args: str, code: int = 0, typed: str = "") -> str:
    done = subprocess.run([*PROGRAMS[language], "events", *args], capture_output=True, text=True, timeout=60, input=typed)
    assert done.returncode == code, done.stderr
    return done.stdout


def test_one_id_is_followed_through_both_languages_and_the_queue(story: tuple[str, Path, Path]) -> None:
    store, python, node = story
    said = {language: run(language, str(node), str(python), "--corr", "web-17", "--store", store, "--json") for language in PROGRAMS}
    assert said["python"] == said["node"]
    told: list[dict[str, Any]] = [json.loads(line) for line in said["python"].splitlines()]
    assert all(line["correlation_id"] == "web-17" for line in told)
    names = [(Path(line["source"]).name, line.get("event") or line.get("message")) for line in told]
    # The letter has the instant at which it was made, before the line that tells of it.
    letter = ("dlq:payments", "letter")
    assert letter in names
    assert [name for name in names if name != letter] == [
        ("front.jsonl", "calling the bank"),
        ("bank.jsonl", "attempt.failed"),
        ("bank.jsonl", "retry.scheduled"),
        ("bank.jsonl", "attempt.failed"),
        ("bank.jsonl", "retry.stopped"),
        ("bank.jsonl", "dlq.written"),
        ("front.jsonl", "retry.stopped"),
    ]
    ids = {line["letter_id"] for line in told if "letter_id" in line}
    assert len(ids) == 1


def test_people_get_a_line_each_and_nothing_reaches_the_terminal_raw(story: tuple[str, Path, Path], tmp_path: Path) -> None:
    store, python, node = story
    evil = tmp_path / "evil.jsonl"
    evil.write_text(json.dumps({"event": "\x1b[2Jx", "correlation_id": "web-17", "time": "2020-01-01T00:00:00Z"}) + "\nnot json\n")
    shown = {language: run(language, *map(str, (python, node, evil)), "--corr", "web-17", "--store", store) for language in PROGRAMS}
    assert shown["python"] == shown["node"] and "\x1b" not in shown["python"]
    lines = shown["python"].splitlines()
    assert lines[0].startswith("2020-01-01T00:00:00Z  evil.jsonl")
    assert any("bank.jsonl  warning  retry.stopped" in line and "reason=attempts_exhausted" in line for line in lines)


@pytest.mark.parametrize("language", PROGRAMS)
def test_an_id_that_nothing_has_is_a_finding_and_a_file_that_is_not_there_a_mistake(language: str, story: tuple[str, Path, Path]) -> None:
    store, python, _ = story
    assert run(language, str(python), "--corr", "web-99", "--store", store, code=1) == ""
    run(language, str(python) + ".gone", code=2)
    typed = python.read_text()
    assert len(run(language, "--json", typed=typed).splitlines()) == len(typed.splitlines())


@pytest.mark.parametrize("language", PROGRAMS)
def test_what_is_written_later_is_followed(language: str, tmp_path: Path) -> None:
    log = tmp_path / "app.jsonl"
    log.write_text('{"event": "one", "correlation_id": "x", "time": 1}\n')
    command = [*PROGRAMS[language], "events", str(log), "-f", "--json"]
    following = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert following.stdout is not None
        assert json.loads(following.stdout.readline())["event"] == "one"
        with log.open("a") as file:
            # Half a line is none.
            file.write('{"event": "two", ')
            file.flush()
            time.sleep(0.3)
            file.write('"time": 2}\n')
        assert json.loads(following.stdout.readline())["event"] == "two"
    finally:
        following.kill()
        following.wait()
