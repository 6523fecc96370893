"""How each kind of runner says what passed: from its output and exit status to counts."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Counts:
    """Tests that passed, failed and were skipped, and the reasons for skipping, each once."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    reasons: tuple[str, ...] = ()

    def __add__(self, other: Counts) -> Counts:
        reasons = tuple(dict.fromkeys(self.reasons + other.reasons))
        return Counts(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped, reasons)


Counter = Callable[[str, int], Counts]


def one(output: str, status: int) -> Counts:
    """A check without parts: it passed or it did not."""
    return Counts(passed=1) if status == 0 else Counts(failed=1)


def plain(output: str, status: int) -> Counts:
    """Our own runners end with `N passed, N failed` or `N passed, N failed, N skipped`; `skipped: NAME` and a line why come before."""
    found = re.findall(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?", output, re.MULTILINE)
    if not found:
        return Counts()
    passed, failed, skipped = found[-1]
    reasons = dict.fromkeys(re.findall(r"^skipped: .+\n +(.+)$", output, re.MULTILINE))
    return Counts(int(passed), int(failed), int(skipped or 0), tuple(reasons))


def cargo(output: str, status: int) -> Counts:
    """The sum of cargo's `test result` lines; ignored tests count as skipped."""
    pattern = r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored"
    total = Counts()
    for passed, failed, ignored in re.findall(pattern, output, re.MULTILINE):
        total = total + Counts(int(passed), int(failed), int(ignored))
    reasons = tuple(re.findall(r"^test .* \.\.\. ignored, (.+)$", output, re.MULTILINE))
    return total + Counts(reasons=reasons or (("marked #[ignore]",) if total.skipped else ()))


def pytest(output: str, status: int) -> Counts:
    """pytest's last line; errors count as failures. Needs `-rs` for the reasons."""
    summary = [line for line in ANSI.sub("", output).splitlines() if re.search(r"\d+ \w+.* in [\d.]+s", line)]
    if not summary:
        return Counts()

    def number(word: str) -> int:
        found = re.search(rf"(\d+) {word}", summary[-1])
        return int(found[1]) if found else 0

    reasons = tuple(re.findall(r"^SKIPPED \[\d+\] [^ ]+: (.+)$", output, re.MULTILINE))
    passed = number("passed") + number("xfailed")
    failed = number("failed") + number("error") + number("xpassed")
    return Counts(passed, failed, number("skipped"), reasons)


def node(output: str, status: int) -> Counts:
    """The summary of node's test runner, of its `tap` and its `spec` reporter alike."""
    text = ANSI.sub("", output)
    numbers = dict(re.findall(r"^(?:#|ℹ) (pass|fail|cancelled|skipped|todo) (\d+)$", text, re.MULTILINE))
    if not numbers:
        return Counts()
    value = {word: int(number) for word, number in numbers.items()}
    reasons = tuple(re.findall(r"# SKIP ?(.+)$", text, re.MULTILINE))
    skipped = value.get("skipped", 0) + value.get("todo", 0)
    return Counts(value.get("pass", 0), value.get("fail", 0) + value.get("cancelled", 0), skipped, reasons)


def bun_or_deno(output: str, status: int) -> Counts:
    """The closing lines of `bun test`, one for each number, and that of `deno test`, of top-level tests alone."""
    text = ANSI.sub("", output)
    value = {word: int(number) for number, word in re.findall(r"^ *(\d+) (pass|fail|skip)$", text, re.MULTILINE)}
    if value:
        return Counts(value.get("pass", 0), value.get("fail", 0), value.get("skip", 0))
    deno = re.findall(r"^(?:ok|FAILED) \| (\d+) passed.*? \| (\d+) failed", text, re.MULTILINE)
    return Counts(int(deno[-1][0]), int(deno[-1][1])) if deno else Counts()
