"""The closing table of the demo, as rows and as text."""

from __future__ import annotations

from collections.abc import Sequence

from audit import Audited, percentile
from following import Trace

Row = tuple[str, str, str]


def money(cents: int) -> str:
    return f"{cents // 100:,}.{cents % 100:02}"


def rows(bare: Audited, guarded: Audited) -> list[Row]:
    """One row per number: its name, the bare run's, the run's with Seawall."""

    def row(name: str, of: object) -> Row:
        assert callable(of)
        return name, of(bare), of(guarded)

    return [
        row("due", lambda run: _orders(len(run.orders), run.due_cents)),
        row("charged", lambda run: _orders(run.charged, run.charged_cents)),
        row("lost", lambda run: _orders(len(run.lost), sum(order.cents for order in run.lost))),
        row("  of these authorised: money held", lambda run: _orders(len(run.held), sum(order.cents for order in run.held))),
        row("charged twice", lambda run: f"{len(run.twice):,}"),
        row("sick phase: p50 to the final answer", lambda run: _ms(percentile(run.sick_ms, 50))),
        row("sick phase: p99 to the final answer", lambda run: _ms(percentile(run.sick_ms, 99))),
        row("  orders that arrived in it", lambda run: f"{len(run.sick_ms):,}"),
        row("  answered with a letter, charged later", lambda run: f"{run.sick_letters:,}"),
        row("calls sent to the dead ledger", lambda run: f"{run.calls_to_dead_ledger:,}"),
        row("peak in flight at the bank", lambda run: f"{run.peaks['bank']:,}"),
        row("peak in flight at the ledger", lambda run: f"{run.peaks['ledger']:,}"),
        row("letters written by Python", lambda run: _letters(run, "python", "written")),
        row("  redriven by Node", lambda run: _letters(run, "node", "redriven")),
        row("letters written by Node", lambda run: _letters(run, "node", "written")),
        row("  redriven by Python", lambda run: _letters(run, "python", "redriven")),
    ]


def _orders(count: int, cents: int) -> str:
    return f"{count:,}  {money(cents):>12}"


def _ms(value: int | None) -> str:
    return "-" if value is None else f"{value:,} ms"


def _letters(run: Audited, language: str, what: str) -> str:
    return "-" if run.facts.mode == "bare" else f"{getattr(run.letters[language], what):,}"


def text(table: Sequence[Row]) -> str:
    lines = [("", "bare", "with Seawall"), *table]
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    rule = "-" * (sum(widths) + 6)
    shown = [f"{name:{widths[0]}}   {left:>{widths[1]}}   {right:>{widths[2]}}" for name, left, right in lines]
    return "\n".join([shown[0], rule, *shown[1:], rule])


def trace_text(trace: Trace | None) -> str:
    if trace is None:
        return "No letter was written, so there is no order to follow through one."
    lines = [f"Order {trace.order} by its correlation id {trace.correlation_id}:"]
    lines += [f"  {found.place:18} {found.where or 'NOT FOUND'}" for found in trace.found]
    return "\n".join(lines)


def verdict(run: Audited, faults: Sequence[str]) -> str:
    if not faults:
        return f"The audit holds: with Seawall {len(run.orders):,} orders were charged exactly once, {money(run.charged_cents)} of {money(run.due_cents)}."
    return "The audit does not hold. With Seawall:\n" + "\n".join(f"  - {fault}" for fault in faults)
