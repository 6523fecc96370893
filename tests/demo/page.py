"""The report of the demo as one page of HTML, complete in itself."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from audit import Audited
from following import Trace
from table import Row, verdict

STYLE = """
body { font: 15px/1.5 Helvetica, Arial, sans-serif; color: #1f2933; background: #fff; max-width: 1140px; margin: 32px auto; padding: 0 16px }
h1 { font-size: 26px; margin: 0 0 4px } h2 { font-size: 18px; margin: 32px 0 8px }
.verdict { padding: 10px 14px; border-left: 5px solid #4c9f70; background: #eef7f1; white-space: pre-line }
.verdict.bad { border-color: #c1292e; background: #fdeceb }
table { border-collapse: collapse } th, td { padding: 4px 18px 4px 0; border-bottom: 1px solid #d9dee4; text-align: left }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: pre } td.sub { padding-left: 20px; color: #616e7c }
code { font: 13px/1.4 Menlo, Consolas, monospace } svg { width: 100%; height: auto } .missing { color: #c1292e }
"""


def html(svg: str, rows: Sequence[Row], trace: Trace | None, source: str, run: Audited, faults: Sequence[str]) -> str:
    body = [
        "<h1>Charged through an unreliable city</h1>",
        f"<p>{escape(source)}, {run.facts.seconds:.0f} seconds per run, twice on the same arrivals: with plain retries, and guarded by Seawall.</p>",
        f'<p class="verdict{" bad" if faults else ""}">{escape(verdict(run, faults))}</p>',
        svg,
        "<h2>The audit</h2>",
        "<p>Counted from the bank's and the ledger's own books. Calls sent to the dead ledger, latencies and letters are from the services' logs.</p>",
        _table(rows),
        "<h2>One order, followed</h2>",
        _trace(trace),
    ]
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Seawall demo</title><style>{STYLE}</style>'
    return "\n".join([head, *body, "</html>", ""])


def _table(rows: Sequence[Row]) -> str:
    lines = ['<table><tr><th></th><th class="number">bare</th><th class="number">with Seawall</th></tr>']
    for name, bare, guarded in rows:
        kind = ' class="sub"' if name.startswith(" ") else ""
        numbers = "".join(f'<td class="number">{escape(value)}</td>' for value in (bare, guarded))
        lines.append(f"<tr><td{kind}>{escape(name.strip())}</td>{numbers}</tr>")
    return "\n".join([*lines, "</table>"])


def _trace(trace: Trace | None) -> str:
    if trace is None:
        return "<p>No letter was written, so there is no order to follow through one.</p>"
    lines = [f"<p>Order <code>{escape(trace.order)}</code> by its correlation id <code>{escape(trace.correlation_id)}</code>.</p><table>"]
    for found in trace.found:
        where = f"<code>{escape(found.where)}</code>" if found.where else '<span class="missing">not found</span>'
        lines.append(f"<tr><td>{escape(found.place)}</td><td>{where}</td></tr>")
    return "\n".join([*lines, "</table>"])
