"""Waiting: on the host's own sleep, or on virtual time while `seawall.testing.clock` is active.

A wait of ours (back-off, rate limit) under virtual time is recorded and moves the clock on at once. A timer that races
work fires only when the clock is advanced by somebody. `busy` counts the drivers that were woken and have not come to
rest again, so that whoever advances the clock can wait for them instead of sleeping.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable

from seawall import _native

MS = 1_000_000


class VirtualTime:
    """Virtual time for every policy and thread of the process."""

    def __init__(self, auto_advance: bool, is_strict: bool = False) -> None:
        self.auto_advance = auto_advance
        # Strict: a call is busy from its start, foreign code included, and whoever parks it says so. For vectors.
        self.is_strict = is_strict
        self.sleeps: list[float] = []
        self._timers: list[tuple[int, int, Callable[[], None]]] = []
        self._dead: set[int] = set()
        self._numbers = itertools.count(1)
        self._changed = threading.Condition()
        self._busy = 0

    def arm(self, ms: int, fire: Callable[[], None]) -> int:
        """Calls `fire` once the clock has been advanced by `ms`. Gives the number to disarm it by."""
        with self._changed:
            number = next(self._numbers)
            heapq.heappush(self._timers, (_native.clock_now() + ms * MS, number, fire))
            self._changed.notify_all()
            return number

    def disarm(self, number: int) -> None:
        """Forgets a timer; one that has fired is forgotten already."""
        with self._changed:
            if any(entry[1] == number for entry in self._timers):
                self._dead.add(number)

    def asked_to_wait(self, ms: int) -> bool:
        """Records a wait of ours. True if the clock has been moved on by it, so that nobody need wait."""
        with self._changed:
            self.sleeps.append(ms / 1000)
            if self.auto_advance:
                _native.clock_advance(ms)
            return self.auto_advance

    def step(self, target: int) -> bool:
        """Moves to the next timer due by `target` and fires it, or to `target` itself. False once nothing is left to fire."""
        with self._changed:
            while self._timers and self._timers[0][1] in self._dead:
                self._dead.discard(heapq.heappop(self._timers)[1])
            if not self._timers or self._timers[0][0] > target:
                self._move_to(target)
                return False
            due, _, fire = heapq.heappop(self._timers)
            self._move_to(due)
        fire()
        return True

    def _move_to(self, due: int) -> None:
        left = due - _native.clock_now()
        if left > 0:
            # Timers and targets are whole milliseconds on a clock that starts at 0, so nothing is lost here.
            _native.clock_advance(left // MS)

    def woken(self) -> None:
        """A driver was woken and will act."""
        with self._changed:
            self._busy += 1

    def rests(self) -> None:
        """A woken driver waits again, runs foreign code, or is done."""
        with self._changed:
            self._busy -= 1
            self._changed.notify_all()

    @property
    def is_busy(self) -> bool:
        """Whether a driver that was woken has yet to come to rest."""
        return self._busy > 0

    def wait_for_rest(self, limit: float) -> None:
        """Waits until every woken driver rests, at most `limit` real seconds: foreign code may block for ever."""
        with self._changed:
            self._changed.wait_for(lambda: self._busy == 0, limit)


_active: VirtualTime | None = None


def active() -> VirtualTime | None:
    """The virtual time in force, if any."""
    return _active


def activate(virtual: VirtualTime | None) -> None:
    """Puts virtual time in force, or the host's own."""
    global _active
    _active = virtual
