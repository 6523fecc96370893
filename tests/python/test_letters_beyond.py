"""Letters that their store does not take, limits of a queue, and letters that nobody waits for."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import seawall
from seawall import DeadLetterQueue


def down(*args: Any) -> None:
    raise ConnectionError("the bank is down: password=hunter2")


def call(part: seawall.Policy[Any], *args: Any) -> None:
    with pytest.raises(ConnectionError, match="the bank is down"):
        seawall.policy("beyond", part).call(down, *args)


def letters(events: list[dict[str, object]]) -> list[tuple[object, ...]]:
    return [(event["event"], event.get("step"), event.get("cause")) for event in events if str(event["event"]).startswith("dlq.")]


def test_a_full_queue_refuses_and_the_second_store_takes_the_letter(store: str, events: list[dict[str, object]], tmp_path: Path) -> None:
    second = f"sqlite:///{tmp_path / 'second'}"
    part = seawall.dead_letter("orders", store=store, second_store=second, max_letters=1)
    call(part, 1)
    call(part, 2)
    assert letters(events) == [("dlq.written", None, None), ("dlq.fallback", "second", "store.full"), ("dlq.written", None, None)]
    assert [letter.args for letter in DeadLetterQueue("orders", store=second).peek()] == [[2]]
    assert 'seawall_dlq_fallback_total{policy="beyond",lang="python"} 1' in seawall.metrics()


def test_a_queue_may_drop_its_oldest_letters_and_says_so(store: str, events: list[dict[str, object]]) -> None:
    part = seawall.dead_letter(
        "orders", store=store, max_letters=2, when_full="drop_oldest", max_age="30d", retention="1d", min_free=1
    )
    for n in (1, 2, 3):
        call(part, n)
    dropped = [(event["queue"], event["letters"], event["reason"]) for event in events if event["event"] == "dlq.dropped"]
    assert dropped == [("orders", 1, "full")]
    queue = DeadLetterQueue("orders", store=store)
    assert [letter.args for letter in queue.peek()] == [[3], [2]]
    assert queue.stats().dropped == 1
    assert 'seawall_dlq_dropped_total{policy="beyond",lang="python"} 1' in seawall.metrics()


def test_limits_are_checked_when_they_are_written() -> None:
    for wrong, path in (({"max_letters": 0}, "max_letters"), ({"when_full": "panic"}, "when_full"), ({"max_age": "0s"}, "max_age")):
        with pytest.raises(seawall.ConfigError, match=path):
            seawall.policy("wrong", seawall.dead_letter("orders", **wrong))
    with pytest.raises(seawall.ConfigError, match="on_lost"):
        seawall.dead_letter("orders", on_lost="log")  # type: ignore[arg-type]


def test_a_store_that_comes_back_gets_what_waited_in_memory(store: str, events: list[dict[str, object]], tmp_path: Path) -> None:
    (tmp_path / "letters").write_text("in the way")
    call(seawall.dead_letter("orders", store=store), 7)
    assert letters(events) == [("dlq.fallback", "memory", "store.failed")]
    assert not seawall.flush("1ms")
    (tmp_path / "letters").unlink()
    assert seawall.flush("30s")
    assert [letter.args for letter in DeadLetterQueue("orders", store=store).peek()] == [[7]]


def test_nobody_waits_for_a_letter_with_await_durable_false(store: str) -> None:
    part = seawall.dead_letter("orders", store=store, await_durable=False, durability="os")

    async def later() -> None:
        async def fails(n: int) -> None:
            raise ConnectionError("down")

        with pytest.raises(ConnectionError):
            await seawall.policy("beyond-async", part).acall(fails, 3)
        assert await seawall.aflush("30s")

    for n in (1, 2):
        call(part, n)
    asyncio.run(later())
    assert seawall.flush("30s")
    assert sorted(letter.args or [] for letter in DeadLetterQueue("orders", store=store).peek()) == [[1], [2], [3]]


def test_what_nobody_takes_goes_to_the_log_redacted_and_to_the_hook(caplog: pytest.LogCaptureFixture) -> None:
    lost: list[seawall.DeadLetter] = []
    with caplog.at_level(logging.ERROR, logger="seawall"):
        call(seawall.dead_letter("orders", store="kafka://nowhere", on_lost=lost.append), {"password": "hunter2", "order": 7})
    assert [letter.args for letter in lost] == [[{"password": "[redacted]", "order": 7}]]
    (line,) = [record.getMessage() for record in caplog.records if record.getMessage().startswith("dead letter lost")]
    assert json.loads(line.partition(": ")[2])["args"] == [{"password": "[redacted]", "order": 7}]
    assert "hunter2" not in caplog.text

    def hook(letter: seawall.DeadLetter) -> None:
        raise RuntimeError("hook")

    call(seawall.dead_letter("orders", store="kafka://nowhere", on_lost=hook), 1)


ENDING = textwrap.dedent("""
    import sys
    import seawall

    seawall.on_event(lambda event: event["event"] == "dlq.lost" and print(event["event"], event["error_type"]))

    def down(n):
        raise ConnectionError("down")

    part = seawall.dead_letter("orders", store=sys.argv[1], await_durable=False, on_lost=lambda letter: print("lost", letter.args[0]))
    try:
        part.call(down, 7)
    except ConnectionError:
        pass
""")


def test_a_process_that_ends_writes_what_waits_in_memory_or_says_what_it_loses(store: str, tmp_path: Path) -> None:
    def run() -> tuple[str, str]:
        result = subprocess.run([sys.executable, "-c", ENDING, store], capture_output=True, text=True, timeout=60, check=True)
        return result.stdout, result.stderr

    assert run() == ("", "")
    assert [letter.args for letter in DeadLetterQueue("orders", store=store).peek()] == [[7]]
    (tmp_path / "elsewhere").write_text("in the way")
    store = f"sqlite:///{tmp_path / 'elsewhere'}"
    out, err = run()
    assert out == "dlq.lost exit\nlost 7\n"
    assert json.loads(err.partition("seawall: dead letter lost: ")[2])["args"] == [7]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_fork_while_letters_wait_in_memory_doubles_and_loses_none(store: str) -> None:
    part = seawall.dead_letter("orders", store=store, await_durable=False)
    for n in range(20):
        call(part, n)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            call(part, 100)
            code = 0 if seawall.flush("30s") else 2
        finally:
            os._exit(code)
    call(part, 200)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert seawall.flush("30s")
    found = [letter.args for letter in DeadLetterQueue("orders", store=store).peek()]
    assert sorted(args[0] for args in found if args) == [*range(20), 100, 200]
