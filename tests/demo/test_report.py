"""The demo's audit, table and picture, on books and logs written by hand."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import audit
import page
import picture
import pytest
import table
from orders import Order
from script import Facts

ORDERS = [Order(f"o{n}", "10:00", float(n), 100 + n) for n in range(10)]
START = 1_000_000.0


def entry(order: Order, **changes: Any) -> dict[str, Any]:
    at = (START + 1 + order.seconds) * 1000
    return {
        "at": at,
        "kind": "entered",
        "order": order.id,
        "cents": order.cents,
        "in_flight": 1,
        "correlation_id": f"c-{order.id}",
        **changes,
    }


def answer(order: Order, **changes: Any) -> dict[str, Any]:
    line: dict[str, Any] = {
        "event": "order.answered",
        "order": order.id,
        "arrived": (START + order.seconds) * 1000,
        "took_ms": 10 + 10 * int(order.seconds),
    }
    line["at"] = line["arrived"] + line["took_ms"]
    return {**line, "outcome": "charged", "attempts": 1, **changes}


class Books:
    """A run of ten seconds in which everything went well, to be spoilt."""

    def __init__(self, folder: Path, mode: str = "seawall") -> None:
        self.folder, self.mode = folder, mode
        self.files: dict[str, list[dict[str, Any]]] = {
            "bank.jsonl": [entry(order) for order in ORDERS],
            "ledger.jsonl": [entry(order) for order in ORDERS],
            "dispatch.log.jsonl": [answer(order) for order in ORDERS],
            "payments.log.jsonl": [],
        }

    def audited(self) -> audit.Audited:
        for name, lines in self.files.items():
            (self.folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
        return audit.audit(ORDERS, Facts(self.mode, self.folder, 10.0, START, START + 5, START + 6.6, {}))


@pytest.fixture
def books(tmp_path: Path) -> Books:
    return Books(tmp_path)


def test_a_clean_run_holds(books: Books) -> None:
    run = books.audited()
    assert audit.faults(run) == []
    assert run.charged_cents == run.due_cents == 1045
    assert table.verdict(run, []) == "The audit holds: with Seawall 10 orders were charged exactly once, 10.45 of 10.45."


def test_a_lost_order_is_named_with_what_is_missing(books: Books) -> None:
    del books.files["ledger.jsonl"][3]
    run = books.audited()
    assert audit.faults(run) == ["1 orders were lost, among them o3", "942 cents were charged, but 1045 were due"]
    assert [order.id for order in run.held] == ["o3"]
    assert table.verdict(run, ["x"]).endswith("\n  - x")


@pytest.mark.parametrize("book", ["bank.jsonl", "ledger.jsonl"])
def test_an_order_entered_twice_in_either_book_was_charged_twice(books: Books, book: str) -> None:
    books.files[book].append(entry(ORDERS[4]))
    assert "1 orders were charged twice, among them o4" in audit.faults(books.audited())


def test_replays_and_refusals_are_no_charges(books: Books) -> None:
    books.files["bank.jsonl"] += [entry(ORDERS[4], kind="replayed"), entry(ORDERS[4], kind="refused")]
    assert audit.faults(books.audited()) == []


def test_an_amount_that_was_not_due_is_a_fault_even_if_the_sum_matches(books: Books) -> None:
    books.files["ledger.jsonl"][0]["cents"] += 1
    books.files["ledger.jsonl"][1]["cents"] -= 1
    assert audit.faults(books.audited()) == ["the ledger's book has 2 entries that were not due, among them o0, o1"]


def test_an_order_without_an_answer_is_a_fault(books: Books) -> None:
    del books.files["dispatch.log.jsonl"][9]
    assert audit.faults(books.audited()) == ["1 orders were never answered, among them o9"]


def test_latencies_are_those_of_every_order_that_arrived_in_the_sick_phase(books: Books) -> None:
    books.files["dispatch.log.jsonl"][4].update(outcome="letter", took_ms=5000)
    run = books.audited()
    assert run.sick_ms == [30, 40, 5000] and run.sick_letters == 1
    assert (audit.percentile(run.sick_ms, 50), audit.percentile(run.sick_ms, 99)) == (40, 5000)
    assert audit.percentile([], 50) is None


def test_a_redrive_counts_when_the_ledger_has_the_charge(books: Books) -> None:
    books.files["payments.log.jsonl"] += [{"at": START, "event": "dlq.written", "correlation_id": each} for each in ("c1", "c2", "c2")]
    books.files["dispatch.log.jsonl"] += [
        {"at": START, "event": "letter.redriven", "correlation_id": f"c{n}", "order": f"o{n}"} for n in (1, 2)
    ]
    del books.files["ledger.jsonl"][2]
    run = books.audited()
    assert run.letters == {"python": audit.Letters(0, 1), "node": audit.Letters(2, 0)}


def test_calls_to_the_dead_ledger_are_those_between_kill_and_return(books: Books) -> None:
    books.files["payments.log.jsonl"] += [{"event": "ledger.called", "at": (START + at) * 1000} for at in (4.9, 5.1, 6.5, 6.7)]
    assert books.audited().calls_to_dead_ledger == 2


def test_peaks_come_from_every_call_in_the_books(books: Books) -> None:
    books.files["bank.jsonl"].append(entry(ORDERS[1], kind="refused", in_flight=42))
    assert books.audited().peaks == {"bank": 42, "ledger": 1}


def test_table_picture_and_page_show_the_numbers(books: Books, tmp_path: Path) -> None:
    bare_folder = tmp_path / "bare"
    bare_folder.mkdir()
    bare = Books(bare_folder, "bare")
    bare.files["ledger.jsonl"] = bare.files["ledger.jsonl"][:4]
    books.files["payments.log.jsonl"] += [
        {"at": (START + 5) * 1000, "event": "breaker.opened", "policy": "ledger"},
        {"at": (START + 7) * 1000, "event": "breaker.closed", "policy": "ledger"},
    ]
    left, right = bare.audited(), books.audited()
    rows = {name: values for name, *values in table.rows(left, right)}
    assert [value.split() for value in rows["lost"]] == [["6", "6.39"], ["0", "0.00"]]
    assert rows["letters written by Node"] == ["-", "0"]
    svg = picture.draw(left, right)
    texts = {element.text for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")}
    assert {"10 orders on the same arrivals, bare and with Seawall", "6 lost", "4 at once", "10 at once", "4.06 bare"} <= texts
    shown = page.html(svg, table.rows(left, right), None, "<input>", right, [])
    assert "&lt;input&gt;" in shown and "The audit holds" in shown
