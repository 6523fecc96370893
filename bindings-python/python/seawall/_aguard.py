"""`async with policy.guard():`, whose block one of our timers may cut as `asyncio.timeout` and `trio.fail_after` would."""

from __future__ import annotations

from typing import Any

from seawall import _async, _call, _context
from seawall._call import Op, Session
from seawall._guard import settle


class AsyncBlock(_async.Driver):
    """Drives one block in async code."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.here: _context.attempt_context | None = None

    async def enter(self) -> None:
        """Admits the block, or raises why not."""
        await self.run_to_end(self.native.start(), None)

    async def exit(self, error: BaseException | None) -> None:
        """Reports how the block ended; a cut by one of our own timers becomes what it was for."""
        if self.here is None:
            return
        self.here.__exit__()
        self.here = None
        left = self.task.leave(error)
        self.still(1)
        if self.task.is_cut and (stop := await self.task.settle(left)) is not None:
            self.session.cancellation = stop
            self.pending.extend(self.native.cancelled())
        before, self.pending = self.pending, []
        await self.run_to_end([*before, *self.session.ended(1, left is None, left)], error)

    async def run_to_end(self, ops: list[Op], error: BaseException | None) -> None:
        """Performs what there is until the block runs, or until the end."""
        finish: Op | None = None
        try:
            while self.here is None and finish is None:
                action, finish = self.perform(ops)
                if finish is None:
                    ops = await self.interruptible(action or self.wait)
                    if self.pending and self.here is None:
                        ops, self.pending = [*self.pending, *ops], []
        except BaseException:
            self.session.give_up()
            self.close()
            raise
        if finish is not None:
            self.close()
            if self.session.cancellation is not None:
                finish = (_call.FINISH, _call.CANCELLED, 0)
            settle(self.session, finish, error)

    async def call(self, here: _context.Current, latency_ms: int, fault: int) -> tuple[bool, Any]:
        """What comes before the block: chaos, then its context. The block's own end is reported when it is left."""
        is_value, outcome = await super().call(here, latency_ms, fault)
        if is_value:
            self.here = _context.attempt_context(here)
            self.here.__enter__()
            self.task.enter()
        return is_value, outcome

    def attempting(self, op: Op) -> Any:
        _, attempt, deadline_ms, latency_ms, fault = op
        here = self.session.attempt_context(attempt, deadline_ms)

        async def act() -> list[Op]:
            is_value, outcome = await self.call(here, latency_ms, fault)
            if is_value:
                return []
            self.still(attempt)
            before, self.pending = self.pending, []
            return [*before, *self.session.ended(attempt, False, outcome)]

        return act
