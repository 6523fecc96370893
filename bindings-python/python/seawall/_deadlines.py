"""The deadlines of the calls on one event loop: one heap, and one timer of the loop for the earliest of them.

A deadline that is taken back is only marked, and leaves the heap when its time has come or when such deadlines outnumber the others. So
a call that ends in time costs the loop no timer: the one that is armed stays, and finds nothing to do.

The calls on the fast path wait in lists of their own (`hot/lanes.rs`) and stand here all together as one deadline, their earliest.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import weakref
from collections.abc import Callable

# Fewer that were taken back are not worth clearing away.
_MANY = 64


class Deadline:
    """What is to be done at a moment, unless it is taken back before."""

    __slots__ = ("_act", "_context")

    def __init__(self, act: Callable[[], object], context: contextvars.Context | None = None) -> None:
        self._act: Callable[[], object] | None = act
        # As the loop's own timers do: what is done later is done in the context of who asked for it.
        self._context: contextvars.Context | None = contextvars.copy_context() if context is None else context

    def cancel(self) -> None:
        """From any thread, as when a forgotten call is collected: so it touches nothing that others share."""
        self._act = self._context = None

    @property
    def is_live(self) -> bool:
        """Whether it has neither come nor been taken back."""
        return self._act is not None

    def come(self) -> None:
        """Does it, once."""
        act, context = self._act, self._context
        self.cancel()
        if act is not None and context is not None:
            context.run(act)


class Deadlines:
    """Those of one loop. Only called in it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        # The number keeps those of one moment in the order they were asked for.
        self._heap: list[tuple[float, int, Deadline]] = []
        self._serial = 0
        self._clear_at = _MANY
        self._due = self._armed_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def after(self, ms: int, act: Callable[[], object], context: contextvars.Context | None = None) -> Deadline:
        """Has it done in so many milliseconds, in this context or the given one."""
        now = self._loop.time()
        due = now + ms / 1000
        deadline = Deadline(act, context)
        self._serial += 1
        if len(self._heap) >= self._clear_at:
            self._clear()
        heapq.heappush(self._heap, (due, self._serial, deadline))
        if self._timer is None or due < self._due:
            self._arm(due, now)
        return deadline

    def _clear(self) -> None:
        """Drops what was taken back. The next time is when as many again have come, so each pays for itself."""
        self._heap = [entry for entry in self._heap if entry[2].is_live]
        heapq.heapify(self._heap)
        self._clear_at = max(_MANY, 2 * len(self._heap))

    def _arm(self, due: float, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due, self._armed_at = due, now
        # In a context of its own: that of whoever came first is not to be kept alive by it.
        self._timer = self._loop.call_at(due, self._came, context=contextvars.Context())

    def _came(self) -> None:
        """The timer's moment: does what is due, in order, and arms the timer for the next."""
        self._timer = None
        # The latest moment known to have come before this turn of the loop began. What falls due during a long turn waits for the next, as
        # with a timer of its own: work that was woken in this turn and ends in time is first.
        now, last = max(self._due, self._armed_at), self._serial
        try:
            while self._heap:
                due, serial, deadline = self._heap[0]
                # What is asked for meanwhile waits for the loop's next turn.
                if deadline.is_live and (due > now or serial > last):
                    break
                heapq.heappop(self._heap)
                deadline.come()
        except Exception as error:
            # As the loop does where a callback fails: told, and the others come all the same.
            self._loop.call_exception_handler({"message": "a deadline's action failed", "exception": error})
        finally:
            if self._heap and (self._timer is None or self._heap[0][0] < self._due):
                self._arm(self._heap[0][0], self._loop.time())


# By the identity of the loop. What is here is kept alive by the loop's timer alone, and keeps the loop: so no loop outlives its use, and
# no identity is taken for another's.
_all: weakref.WeakValueDictionary[int, Deadlines] = weakref.WeakValueDictionary()


def of(loop: asyncio.AbstractEventLoop) -> Deadlines:
    """The deadlines of the loop."""
    found = _all.get(id(loop))
    if found is None:
        found = _all[id(loop)] = Deadlines(loop)
    return found
