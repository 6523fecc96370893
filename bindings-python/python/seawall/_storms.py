"""Storms in the log: of one event of one policy so many lines a second; the next line says how many there were besides."""

from __future__ import annotations

from seawall import _native
from seawall._typing import Any

_SECOND = 1_000_000_000
# Kinds of lines that are told apart. Events and policies are few, unless names are made at run time.
_MOST = 1_000
# Each of these is the only trace of a letter.
_ALWAYS = frozenset({"dlq.lost"})


class Storms:
    """What was logged lately. Threads may lose a count to each other, never a line within the limit."""

    def __init__(self, per_second: int | None) -> None:
        self.per_second = per_second
        # By event and policy: when its second began, lines in it, and those left out since the last line.
        self._lately: dict[tuple[str, str], tuple[int, int, int]] = {}

    def pass_by(self, event: dict[str, Any]) -> int | None:
        """How many like it were left out since the last line, if this one is to be logged; else None."""
        if self.per_second is None or event["event"] in _ALWAYS:
            return 0
        if len(self._lately) >= _MOST:
            self._lately.clear()
        kind = (event["event"], event.get("policy") or "")
        now = _native.clock_now()
        began, lines, dropped = self._lately.get(kind, (now, 0, 0))
        # A clock that was set back, as tests do, begins a new second.
        if not 0 <= now - began < _SECOND:
            began, lines = now, 0
        if lines >= self.per_second:
            self._lately[kind] = (began, lines, dropped + 1)
            return None
        self._lately[kind] = (began, lines + 1, 0)
        return dropped


storms = Storms(10)
