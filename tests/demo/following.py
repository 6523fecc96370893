"""One order's correlation id, found in every place it should have reached."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from audit import Line, read_lines
from script import Facts


@dataclass(frozen=True)
class Found:
    """A place, and where in it the id stands; `where` is empty if it does not."""

    place: str
    where: str


@dataclass(frozen=True)
class Trace:
    order: str
    correlation_id: str
    found: list[Found]

    @property
    def complete(self) -> bool:
        return all(each.where for each in self.found)


# Who wrote the letter, its queue, that language's log, and the log of the language that redrives it.
WAYS = (
    ("Node", "charges", "payments.log.jsonl", "Python", "dispatch.log.jsonl"),
    ("Python", "orders", "dispatch.log.jsonl", "Node", "payments.log.jsonl"),
)


def trace(facts: Facts) -> Trace | None:
    """Follows the first letter of the run, preferably one that Node wrote; None if the run wrote no letter."""
    for writer, queue, log, redriver, other_log in WAYS:
        written = next((line for line in read_lines(facts.folder / log) if line.get("event") == "dlq.written"), None)
        if written is not None:
            return _follow(facts.folder, written, writer, queue, redriver, other_log)
    return None


def _follow(folder: Path, written: Line, writer: str, queue: str, redriver: str, redrive_log: str) -> Trace:
    wanted = written["correlation_id"]
    order = ""

    def line_of(name: str, matches: Callable[[Line], bool]) -> str:
        nonlocal order
        for number, line in enumerate(read_lines(folder / name), 1):
            if line.get("correlation_id") == wanted and matches(line):
                order = order or line.get("order", "")
                return f"{name}:{number} ({line.get('event') or line['kind']})"
        return ""

    def answered(line: Line) -> bool:
        return bool(line["event"] == "order.answered")

    def redriven(line: Line) -> bool:
        return bool(line["event"] == "letter.redriven")

    def entered(line: Line) -> bool:
        return bool(line["kind"] == "entered")

    found = [
        Found("Python log", line_of("dispatch.log.jsonl", answered)),
        Found("Node log", line_of("payments.log.jsonl", answered)),
        Found("bank's book", line_of("bank.jsonl", entered)),
        Found(f"letter by {writer}", _letter(folder, queue, written["letter_id"], wanted)),
        Found(f"redrive by {redriver}", line_of(redrive_log, redriven)),
        Found("ledger's book", line_of("ledger.jsonl", entered)),
    ]
    return Trace(order, wanted, [replace(each, where=f"{folder.name}/{each.where}") if each.where else each for each in found])


def _letter(folder: Path, queue: str, letter_id: str, wanted: str) -> str:
    import seawall

    letters = seawall.DeadLetterQueue(queue, store=f"sqlite:///{(folder / 'letters').resolve()}")
    letter = letters.get(letter_id)
    if letter is None or letter.correlation_id != wanted:
        return ""
    return f"letters: queue {json.dumps(queue)}, letter {letter_id} ({letter.state})"
