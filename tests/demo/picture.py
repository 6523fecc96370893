"""The picture of the demo, as SVG: outcomes bare above outcomes with Seawall, the breakers' ribbon, money charged against due."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from xml.sax.saxutils import escape

from audit import Audited
from script import DEAD, PHASES, SICK
from table import money

WIDTH, LEFT, RIGHT = 1150, 150, 950
PANEL = 150
TOPS = {"bare": 128, "seawall": 314, "ribbon": 500, "money": 616}
BOTTOM = TOPS["money"] + PANEL
HEIGHT = BOTTOM + 62

INK, FAINT, GRID = "#1f2933", "#616e7c", "#d9dee4"
OUTCOMES = (
    ("charged at once", "at once", "#4c9f70"),
    ("charged after retries", "after retries", "#8ecae6"),
    ("letter, charged at the redrive", "by a letter", "#f4a63a"),
    ("lost", "lost", "#c1292e"),
)
STATES = {"breaker.closed": "#4c9f70", "breaker.half_opened": "#f4c95d", "breaker.opened": "#c1292e"}
BREAKERS = (("payments", "dispatch to payments"), ("bank", "payments to bank"), ("ledger", "payments to ledger"))
SHADES = {SICK.name: "#fff3dc", DEAD.name: "#fde3e1"}
MONEY = (("with Seawall", "#1d4e89"), ("bare", "#c1292e"))


class Axis:
    """Seconds from the start of a run to pixels, over the longer of both runs, redrives included."""

    def __init__(self, runs: Sequence[Audited]) -> None:
        self.seconds = max(run.facts.seconds for run in runs)
        self.end = max(self.seconds, *(_last_moment(run) for run in runs)) * 1.005
        self.step = max(1, -(-int(self.end) // 100))

    def x(self, seconds: float) -> float:
        return LEFT + (RIGHT - LEFT) * min(max(seconds, 0.0), self.end) / self.end

    def ticks(self) -> Iterable[int]:
        gap = next(gap for gap in (1, 2, 5, 10, 30, 60, 300, 600, 3600, 36000, 360000) if self.end / gap <= 13)
        return range(0, int(self.end) + 1, gap)


def draw(bare: Audited, guarded: Audited) -> str:
    axis = Axis((bare, guarded))
    stacks = {run.facts.mode: _stacks(run, axis) for run in (bare, guarded)}
    top = max([sum(bin) for bins in stacks.values() for bin in bins] + [1])
    unit = "second" if axis.step == 1 else f"{axis.step} seconds"
    parts = [
        _text(LEFT, 32, f"{len(bare.orders):,} orders on the same arrivals, bare and with Seawall", 20, weight="bold"),
        _text(
            LEFT,
            54,
            f"Orders per {unit} of their arrival, by what became of them; the ledger's own book decides what was charged.",
            13,
            FAINT,
        ),
        *_legend(((name, colour) for name, _, colour in OUTCOMES), 78),
        *_phases(axis),
        *_outcomes("bare", "bare", stacks["bare"], top, axis),
        *_outcomes("seawall", "with Seawall", stacks["seawall"], top, axis),
        *_ribbon(guarded, axis),
        *_money(bare, guarded, axis),
        *_time_axis(axis),
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" font-family="Helvetica, Arial, sans-serif">'
    return "\n".join([head, f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>', *parts, "</svg>", ""])


# What is counted


def _offset(run: Audited, milliseconds: float) -> float:
    return milliseconds / 1000 - run.facts.started


def _last_moment(run: Audited) -> float:
    moments = [line["at"] for line in run.ledger] + [line["at"] for line in run.answers.values()]
    return _offset(run, max(moments, default=run.facts.started * 1000))


def _stacks(run: Audited, axis: Axis) -> list[list[int]]:
    """Per bin of arrival, how many orders had each outcome."""
    bins = [[0] * len(OUTCOMES) for _ in range(-(-int(axis.seconds * 1000) // (axis.step * 1000)))]
    for order in run.orders:
        answer = run.answers.get(order.id)
        if answer is not None:
            bins[min(len(bins) - 1, int(_offset(run, answer["arrived"]) / axis.step))][_outcome(run, order.id)] += 1
    return bins


def _outcome(run: Audited, order: str) -> int:
    if not run.entries[order]:
        return 3
    answer = run.answers[order]
    if answer["outcome"] == "letter":
        return 2
    return 0 if answer["outcome"] == "charged" and answer["attempts"] == 1 else 1


# What is drawn


def _text(x: float, y: float, text: str, size: int = 12, fill: str = INK, anchor: str = "start", weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{fill}" text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>'


def _rect(x: float, y: float, width: float, height: float, fill: str) -> str:
    return f'<rect x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}" fill="{fill}"/>'


def _line(x1: float, y1: float, x2: float, y2: float, stroke: str = GRID) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}"/>'


def _legend(entries: Iterable[tuple[str, str]], y: float, x: float = LEFT) -> list[str]:
    parts = []
    for name, colour in entries:
        parts += [_rect(x, y - 10, 12, 12, colour), _text(x + 18, y, name)]
        x += 44 + 6.4 * len(name)
    return parts


def _phases(axis: Axis) -> list[str]:
    """The phases' names above, the two bad ones shaded through all panels, and what follows the last arrival."""
    parts = []
    for phase in PHASES:
        begin, end = axis.x(phase.begin * axis.seconds), axis.x(phase.end * axis.seconds)
        if phase.name in SHADES:
            parts.append(_rect(begin, TOPS["bare"] - 8, end - begin, BOTTOM - TOPS["bare"] + 8, SHADES[phase.name]))
        parts.append(_text((begin + end) / 2, TOPS["bare"] - 16, phase.name, 12, FAINT, "middle"))
    end = axis.x(axis.seconds)
    parts.append(f'<line x1="{end:.1f}" y1="{TOPS["bare"] - 8}" x2="{end:.1f}" y2="{BOTTOM}" stroke="{FAINT}" stroke-dasharray="2 3"/>')
    if RIGHT - end > 50:
        parts.append(_text((end + RIGHT) / 2, TOPS["bare"] - 16, "redrive", 12, FAINT, "middle"))
    return parts


def _frame(panel: str, name: str, top_label: str) -> list[str]:
    y = TOPS[panel]
    return [
        *(_line(LEFT, y + PANEL * share, RIGHT, y + PANEL * share) for share in (0.0, 0.5)),
        _line(LEFT, y + PANEL, RIGHT, y + PANEL, FAINT),
        _text(16, y + PANEL / 2 + 4, name, 14, weight="bold"),
        _text(LEFT - 8, y + 4, top_label, 11, FAINT, "end"),
        _text(LEFT - 8, y + PANEL + 4, "0", 11, FAINT, "end"),
    ]


def _outcomes(panel: str, name: str, bins: Sequence[Sequence[int]], top: int, axis: Axis) -> list[str]:
    parts = _frame(panel, name, f"{top:,}")
    for index, counts in enumerate(bins):
        x = axis.x(index * axis.step)
        width = max(0.5, axis.x((index + 1) * axis.step) - x - 1)
        base = float(TOPS[panel] + PANEL)
        for count, (_, _, colour) in zip(counts, OUTCOMES, strict=True):
            height = PANEL * count / top
            base -= height
            if count:
                parts.append(_rect(x, base, width, height, colour))
    totals = [sum(counts[kind] for counts in bins) for kind in range(len(OUTCOMES))]
    for row, (total, (_, name, colour)) in enumerate(zip(totals, OUTCOMES, strict=True)):
        y = TOPS[panel] + 22 + 20 * row
        parts += [_rect(RIGHT + 16, y - 10, 10, 10, colour), _text(RIGHT + 32, y, f"{total:,} {name}", 12, FAINT)]
    return parts


def _ribbon(run: Audited, axis: Axis) -> list[str]:
    """One row per breaker, coloured by its state over time, from its events."""
    y = TOPS["ribbon"]
    parts = [_text(16, y - 10, "circuit breakers", 13, weight="bold")]
    parts += _legend(zip(("closed", "half open", "open"), STATES.values(), strict=True), y - 10, LEFT)
    for row, (policy, name) in enumerate(BREAKERS):
        top = y + 4 + 24 * row
        parts.append(_text(LEFT - 8, top + 12, name, 12, FAINT, "end"))
        changes = [(0.0, STATES["breaker.closed"])]
        changes += [
            (_offset(run, line["at"]), STATES[line["event"]])
            for line in run.events
            if line.get("policy") == policy and line["event"] in STATES
        ]
        ends = [moment for moment, _ in changes[1:]] + [axis.end]
        spans = [(begin, end, colour) for (begin, colour), end in zip(changes, ends, strict=True)]
        # Trials are short: drawn last and two pixels wide at least, they are still seen.
        for begin, end, colour in sorted(spans, key=lambda span: span[2] == STATES["breaker.half_opened"]):
            parts.append(_rect(axis.x(begin), top, max(2.0, axis.x(end) - axis.x(begin)), 16, colour))
    return parts


def _money(bare: Audited, guarded: Audited, axis: Axis) -> list[str]:
    due = sorted((_offset(bare, bare.answers[order.id]["arrived"]), order.cents) for order in bare.orders if order.id in bare.answers)
    top = max(bare.due_cents, bare.charged_cents, guarded.charged_cents, 1)
    parts = _frame("money", "money", money(top))
    parts.append(_text(16, TOPS["money"] + PANEL / 2 + 20, "charged so far", 12, FAINT))
    parts.append(_curve(due, top, axis, FAINT, ' stroke-dasharray="5 4"'))
    labels = [(bare.due_cents, "due", FAINT)]
    for run, (name, colour) in zip((guarded, bare), MONEY, strict=True):
        points = sorted((_offset(run, line["at"]), line["cents"]) for line in run.ledger if line["kind"] == "entered")
        parts.append(_curve(points, top, axis, colour))
        labels.append((run.charged_cents, name, colour))
    y = -100.0
    for cents, name, colour in sorted(labels, key=lambda label: -label[0]):
        y = max(y + 17, TOPS["money"] + PANEL * (1 - cents / top) + 4)
        parts.append(_text(RIGHT + 8, y, f"{money(cents)} {name}", 12, colour, weight="bold"))
    return parts


def _curve(points: Sequence[tuple[float, int]], top: int, axis: Axis, colour: str, style: str = "") -> str:
    """A cumulative sum over time, thinned to what can be seen."""
    sums = list(zip((moment for moment, _ in points), accumulate(cents for _, cents in points), strict=True))
    seen = sums[:: max(1, len(sums) // 800)] + sums[-1:]
    path = [(axis.x(moment), TOPS["money"] + PANEL * (1 - total / top)) for moment, total in seen]
    path = [(axis.x(0), TOPS["money"] + PANEL), *path, (RIGHT, path[-1][1] if path else TOPS["money"] + PANEL)]
    shown = " ".join(f"{x:.1f},{y:.1f}" for x, y in path)
    return f'<polyline points="{shown}" fill="none" stroke="{colour}" stroke-width="2"{style}/>'


def _time_axis(axis: Axis) -> list[str]:
    parts = []
    for tick in axis.ticks():
        parts += [
            _line(axis.x(tick), BOTTOM, axis.x(tick), BOTTOM + 5, FAINT),
            _text(axis.x(tick), BOTTOM + 19, str(tick), 11, FAINT, "middle"),
        ]
    return [*parts, _text((LEFT + RIGHT) / 2, BOTTOM + 40, "seconds from the start of the run", 12, FAINT, "middle")]
