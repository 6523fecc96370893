"""Letters that are encrypted, as applications in Python write and read them."""

from __future__ import annotations

import base64
import itertools
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import seawall
from seawall import DeadLetterQueue

KEY = "may:" + base64.b64encode(bytes(range(32))).decode()
NEWER = "june:" + base64.b64encode(bytes(range(32, 64))).decode()

NUMBERS = itertools.count()


def down(*args: Any) -> None:
    raise ConnectionError("canary-message")


def call(part: seawall.Policy[Any], *args: Any) -> None:
    with pytest.raises(ConnectionError, match="canary-message"):
        seawall.policy(f"sealed-{next(NUMBERS)}", part).call(down, *args)


def silent(place: Path) -> bool:
    files = [path for path in place.rglob("*") if path.is_file()]
    assert files
    return not any(b"canary" in path.read_bytes() for path in files)


def test_a_function_gives_the_keys_and_only_they_open_the_letter(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/letters"
    call(seawall.dead_letter("orders", store=store, encrypt=lambda: KEY), {"order": "canary-7"})
    assert silent(tmp_path)
    (locked,) = DeadLetterQueue("orders", store=store).peek()
    assert (locked.encrypted, locked.payload, locked.args, locked.headers) == ("may", None, None, {})
    assert locked.locked and "'may'" in locked.locked
    assert locked.error and (locked.error.type, locked.error.message, locked.error.stack) == ("ConnectionError", "", None)
    queue = DeadLetterQueue("orders", store=store, encrypt=lambda: KEY)
    (opened,) = queue.peek()
    assert (opened.args, opened.locked, opened.group) == ([{"order": "canary-7"}], None, locked.group)
    assert opened.error and opened.error.message == "canary-message"
    assert queue.redrive(lambda letter: None).ok == 1
    assert silent(tmp_path)


def test_keys_in_a_file_are_rotated_while_the_process_runs(tmp_path: Path) -> None:
    store, file = f"sqlite:///{tmp_path}/letters", tmp_path / "keys"
    file.write_text(KEY)
    part = seawall.dead_letter("orders", store=store, encrypt=f"file:{file}")
    call(part, 1)
    file.write_text(f"{NEWER}\n{KEY}")
    call(part, 2)
    queue = DeadLetterQueue("orders", store=store, encrypt=f"file:{file}")
    assert [(letter.encrypted, letter.args) for letter in queue.peek()] == [("june", [2]), ("may", [1])]


def test_a_missing_key_ends_a_redrive_and_leaves_the_letter(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/letters"
    written = DeadLetterQueue("orders", store=store, encrypt=lambda: KEY).put("canary")
    queue = DeadLetterQueue("orders", store=store, encrypt=lambda: NEWER)
    with pytest.raises(seawall.StoreError, match="'may'") as caught:
        queue.redrive(lambda letter: pytest.fail("nothing to deliver"))
    assert caught.value.code == "store.key"
    letter = queue.get(written)
    assert letter and (letter.state, letter.redrives) == ("ready", 0)
    assert queue.park() == 1


def test_without_keys_a_letter_is_written_bare_and_said_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = f"sqlite:///{tmp_path}/letters"

    def vault() -> str:
        raise RuntimeError(f"sealed: {KEY}")

    with caplog.at_level(logging.ERROR, logger="seawall"):
        call(seawall.dead_letter("orders", store=store, encrypt=vault), "canary")
        call(seawall.dead_letter("orders", store=store, encrypt="env:SEAWALL_TEST_NO_SUCH"), "canary")
    assert "encrypt gave no keys" in caplog.text and "SEAWALL_TEST_NO_SUCH" in caplog.text and KEY not in caplog.text
    for letter in DeadLetterQueue("orders", store=store).peek():
        assert (letter.payload, letter.redrivable, letter.encrypted) == (None, False, None)
        assert letter.error and letter.error.type == "ConnectionError"
    assert silent(tmp_path)


def test_a_key_in_the_place_of_its_source_is_refused_and_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(seawall.ConfigError, match="env:NAME") as caught:
        seawall.dead_letter("orders", encrypt=KEY)
    assert "AAEC" not in str(caught.value)
    with pytest.raises(seawall.ConfigError, match="encrypt") as caught:
        DeadLetterQueue("orders", store="memory:", encrypt=KEY)
    assert "AAEC" not in str(caught.value)
    file = tmp_path / "seawall.toml"
    file.write_text(f'[policy.pay.dead_letter]\nqueue = "orders"\nencrypt = "{KEY}"\n')
    with pytest.raises(seawall.ConfigError, match="env:NAME") as caught:
        seawall.load(str(file))
    assert "AAEC" not in str(caught.value)


def test_a_lost_letter_leaves_a_sealed_line_and_the_command_line_opens_by_the_environment(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lost: list[seawall.DeadLetter] = []
    with caplog.at_level(logging.ERROR, logger="seawall"):
        call(seawall.dead_letter("orders", store="kafka://nowhere", encrypt=lambda: KEY, on_lost=lost.append), "canary")
    line = next(record.getMessage() for record in caplog.records if "dead letter lost" in record.getMessage())
    assert "canary" not in line and lost[0].args == ["canary"]
    exported, store = tmp_path / "lost.jsonl", f"sqlite:///{tmp_path}/letters"
    exported.write_text(line[line.index("{") :])

    def run(*words: str, **env: str) -> str:
        command = [sys.executable, "-m", "seawall", "dlq", "--store", store, "--json", *words]
        done = subprocess.run(command, env={"PATH": "/usr/bin:/bin", **env}, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("import", "orders", str(exported))
    (letter,) = (json.loads(one) for one in run("ls", "orders").splitlines())
    assert letter["locked"] and "canary" not in json.dumps(letter)
    assert json.loads(run("show", "orders", letter["id"], SEAWALL_KEYS=KEY))["args"] == ["canary"]
    assert json.loads(run("--keys", "env:MINE", "show", "orders", letter["id"], MINE=KEY))["args"] == ["canary"]
    assert "canary" not in run("export", "orders", SEAWALL_KEYS=KEY)
