"""The audit: what was charged, according to the bank's and the ledger's own books, read after the run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from orders import Order
from script import SICK, Facts

Line = dict[str, Any]


@dataclass(frozen=True)
class Letters:
    """Letters of one language: written by it, and redriven by it where the ledger's book has the charge."""

    written: int
    redriven: int


@dataclass(frozen=True)
class Audited:
    """A run, counted. Money in cents, durations in milliseconds."""

    facts: Facts
    orders: Sequence[Order]
    bank: list[Line]
    ledger: list[Line]
    answers: dict[str, Line]
    events: list[Line]
    entries: Counter[str]
    authorisations: Counter[str]
    calls_to_dead_ledger: int
    letters: dict[str, Letters]
    sick_ms: list[int] = field(default_factory=list)
    sick_letters: int = 0

    @property
    def due_cents(self) -> int:
        return sum(order.cents for order in self.orders)

    @property
    def charged_cents(self) -> int:
        return sum(line["cents"] for line in self.ledger if line["kind"] == "entered")

    @property
    def charged(self) -> int:
        return sum(1 for order in self.orders if self.entries[order.id])

    @property
    def lost(self) -> list[Order]:
        return [order for order in self.orders if not self.entries[order.id]]

    @property
    def twice(self) -> list[str]:
        """Orders with more than one entry in the ledger's book, or more than one authorisation in the bank's."""
        return [order.id for order in self.orders if self.entries[order.id] > 1 or self.authorisations[order.id] > 1]

    @property
    def held(self) -> list[Order]:
        """Authorised, so that the customer's money is held, but never charged."""
        return [order for order in self.lost if self.authorisations[order.id]]

    @property
    def peaks(self) -> dict[str, int]:
        books = {"bank": self.bank, "ledger": self.ledger}
        return {name: max((line["in_flight"] for line in book), default=0) for name, book in books.items()}


def read_lines(path: Path) -> list[Line]:
    """A book or log. Every line gets `at`, milliseconds since 1970: a book has it, a log has `time`."""
    if not path.exists():
        return []
    lines: list[Line] = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    for line in lines:
        if "at" not in line:
            line["at"] = datetime.fromisoformat(line["time"].replace("Z", "+00:00")).timestamp() * 1000
    return lines


def audit(orders: Sequence[Order], facts: Facts) -> Audited:
    bank, ledger = (read_lines(facts.folder / f"{name}.jsonl") for name in ("bank", "ledger"))
    dispatch, payments = (read_lines(facts.folder / f"{name}.log.jsonl") for name in ("dispatch", "payments"))
    entries = _entered(ledger)
    answers = {line["order"]: line for line in dispatch if line.get("event") == "order.answered"}
    sick = [line for line in answers.values() if _arrived_in_sick_phase(line, facts)]
    return Audited(
        facts=facts,
        orders=orders,
        bank=bank,
        ledger=ledger,
        answers=answers,
        events=[line for line in (*dispatch, *payments) if str(line.get("event", "")).startswith("breaker.")],
        entries=entries,
        authorisations=_entered(bank),
        calls_to_dead_ledger=sum(
            1 for line in payments if line.get("event") == "ledger.called" and facts.killed <= line["at"] / 1000 < facts.restarted
        ),
        letters={"python": _letters(dispatch, entries), "node": _letters(payments, entries)},
        sick_ms=sorted(line["took_ms"] for line in sick),
        sick_letters=sum(1 for line in sick if line["outcome"] == "letter"),
    )


def _entered(book: Iterable[Line]) -> Counter[str]:
    return Counter(line["order"] for line in book if line["kind"] == "entered")


def _arrived_in_sick_phase(answer: Line, facts: Facts) -> bool:
    share: float = (answer["arrived"] / 1000 - facts.started) / facts.seconds
    return SICK.begin <= share < SICK.end


def _letters(log: Iterable[Line], entries: Counter[str]) -> Letters:
    """Counted by correlation id: an order whose letter was written again has one letter, which took the other in."""
    written: set[str] = set()
    redriven: set[str] = set()
    for line in log:
        if line.get("event") == "dlq.written":
            written.add(line["correlation_id"])
        elif line.get("event") == "letter.redriven" and entries[line["order"]]:
            redriven.add(line["correlation_id"])
    return Letters(len(written), len(redriven))


def percentile(sorted_values: Sequence[int], percent: int) -> int | None:
    """The nearest rank; None of nothing."""
    if not sorted_values:
        return None
    return sorted_values[max(0, -(-percent * len(sorted_values) // 100) - 1)]


def faults(run: Audited) -> list[str]:
    """Every way in which this run did not charge each order exactly once, to the cent. Empty: the audit holds."""
    found = []
    if run.lost:
        found.append(f"{len(run.lost)} orders were lost, among them {_some(order.id for order in run.lost)}")
    if run.twice:
        found.append(f"{len(run.twice)} orders were charged twice, among them {_some(run.twice)}")
    due = {order.id: order.cents for order in run.orders}
    for name, book in (("bank", run.bank), ("ledger", run.ledger)):
        wrong = [line["order"] for line in book if line["kind"] == "entered" and due.get(line["order"]) != line["cents"]]
        if wrong:
            found.append(f"the {name}'s book has {len(wrong)} entries that were not due, among them {_some(wrong)}")
    if run.charged_cents != run.due_cents:
        found.append(f"{run.charged_cents} cents were charged, but {run.due_cents} were due")
    if unanswered := [order.id for order in run.orders if order.id not in run.answers]:
        found.append(f"{len(unanswered)} orders were never answered, among them {_some(unanswered)}")
    return found


def _some(ids: Iterable[str]) -> str:
    return ", ".join(list(ids)[:3])
