"""The driver for async calls that may have several attempts in flight: a task for each, and the caller's task decides.

An attempt that is cancelled, the loser of a hedge or one past its limit, is awaited until it has cleaned up: before the next
step of the call, and before the call ends.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from seawall import _asyncness, _async, _call, _context, _loop
from seawall._call import Op, Session

# What may be performed whatever the caller's task is doing.
_PASSING = frozenset((_call.EVENT, _call.WAKE, _call.TIMER, _call.PARK))


class Driver(_async.Driver):
    """Drives a call whose attempts are tasks."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.tasks: dict[int, _loop.Cancellable] = {}
        self.doomed: set[int] = set()
        # Whoever waits for the end of one.
        self.leaving: _loop.Future[None] | None = None
        self.is_over = False

    async def perform_all(self, ops: list[Op]) -> Op:
        try:
            return await super().perform_all(ops)
        finally:
            self.is_over = True
            await self.all_cleaned_up()

    def attempting(self, op: Op) -> Callable[[], Awaitable[list[Op]]] | None:
        _, attempt, deadline_ms, latency_ms, fault = op
        here = self.session.attempt_context(attempt, deadline_ms)
        self.tasks[attempt] = self.task.spawn(
            lambda: self.attempt(here, latency_ms, fault), lambda is_value, outcome: self.done(attempt, is_value, outcome)
        )
        return None

    async def attempt(self, here: _context.Current, latency_ms: int, fault: int) -> Any:
        """In the attempt's own task, and so in its own context."""
        with _context.attempt_context(here):
            value = await self.reach(here.attempt, latency_ms, fault)
            return await value if _asyncness.is_awaitable(value) else value

    async def reach(self, attempt: int, latency_ms: int, fault: int) -> Any:
        """Does what chaos adds, and calls the function, or gives what chaos puts in its place."""
        session = self.session
        if attempt in self.behaving:
            value = session.behave()
            if _asyncness.is_awaitable(value):
                await _async.injected(value)
        if latency_ms:
            await _async.sleep(self.task, session.virtual, latency_ms)
        return session.fn(*session.args, **session.kwargs) if fault == _call.CALLEE else session.injected(fault, attempt)

    def cancel(self, attempt: int) -> None:
        super().cancel(attempt)
        task = self.tasks.get(attempt)
        if task is not None and attempt not in self.doomed:
            self.doomed.add(attempt)
            task.cancel()

    def done(self, attempt: int, is_value: bool, outcome: Any) -> None:
        """In the loop, once an attempt has ended and cleaned up."""
        del self.tasks[attempt]
        self.still(attempt)
        if self.leaving is not None and not self.leaving.done():
            self.leaving.set_result(None)
        if self.is_over:
            self.session.late_end(attempt, is_value, outcome)
        else:
            self.came(self.session.ended(attempt, is_value, outcome))

    def came(self, ops: list[Op]) -> None:
        """Outputs came: performed at once if they change nothing for the caller's task, else by it."""
        if all(op[0] in _PASSING for op in ops) and not self.pending:
            self.perform(ops)
        else:
            super().came(ops)

    async def interruptible(self, action: Callable[[], Awaitable[list[Op]]]) -> list[Op]:
        if action != self.wait:
            await self.cleaned_up(self.doomed)
            if self.session.cancellation is not None:
                # The caller gave up meanwhile.
                return []
        return await super().interruptible(action)

    async def all_cleaned_up(self) -> None:
        """Cancels what still runs, and waits for it."""
        for attempt in list(self.tasks):
            self.cancel(attempt)
        await self.cleaned_up(self.doomed)

    async def cleaned_up(self, attempts: set[int]) -> None:
        """Waits until these have ended. The caller's cancellation does not cut this short."""
        while not attempts.isdisjoint(self.tasks):
            self.leaving = self.task.future()
            await self.task.outlast(self.leaving, self.cancelled_meanwhile)
            self.leaving = None

    def cancelled_meanwhile(self, stop: BaseException) -> None:
        """The caller gave up while somebody cleans up."""
        self.session.cancellation = stop
        ops = self.native.cancelled()
        if self.is_over:
            self.session.pass_on(ops)
        else:
            self.pending.extend(ops)
