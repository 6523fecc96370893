"""`with policy.guard():` and `async with policy.guard():`: one admission, its limits and one vote around a block."""

from __future__ import annotations

import sys
from types import TracebackType

from seawall import _call, _context, _plan, _sync
from seawall._call import Op, Session, View
from seawall._errors import ConfigError
from seawall._plan import Plan, Written
from seawall._typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seawall._aguard import AsyncBlock

# Before 3.11 the cancellation of a task of asyncio cannot be taken back, so that a block is only judged at its end.
_CAN_CUT = sys.version_info >= (3, 11)


def _check(plan: Plan) -> None:
    """Raises `ConfigError` for what needs a function that can be called again, or its arguments."""
    found: list[str] = [strategy for strategy in ("retry", "hedge", "fallback") if strategy in plan.parts]
    if plan.is_threaded:
        found.append("timeout(thread=True)")
    if "dead_letter" in plan.parts and "capture" not in plan.code.get("dead_letter", {}):
        found.append("dead_letter without capture")
    if "outcome" in plan.code.get("chaos", {}):
        found.append("chaos(outcome=…)")
    if found:
        raise ConfigError(f"a block cannot have {', '.join(found)}: guard a function instead", path=f"{plan.label or 'policy'}.guard")


class Guard:
    """Guards one block, sync or async. Without a key for a keyed policy, or with what needs a function: `ConfigError`."""

    __slots__ = ("_driver", "_view", "_written")

    def __init__(self, written: Written, view: View) -> None:
        self._written = written
        self._view = view
        self._driver: _SyncBlock | AsyncBlock | None = None

    def _session(self, is_sync: bool) -> Session:
        if self._driver is not None:
            raise ConfigError("a guard is for one block: call guard() for each", path=f"{self._written.label or 'policy'}.guard")
        _check(self._written.plan(None))
        if self._written.key is not None and self._view.key is None:
            raise ConfigError("a block has no arguments: name the key with using(key=…)", path=f"{self._written.label or 'policy'}.guard")
        return Session(self._written, self._view, None, (), {}, is_sync=is_sync, kind=_call.GUARD)

    def __enter__(self) -> None:
        if not _plan.is_disabled():
            self._driver = _SyncBlock(self._session(is_sync=True))
            self._driver.enter()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        driver, self._driver = self._driver, None
        if isinstance(driver, _SyncBlock):
            driver.exit(error)

    async def __aenter__(self) -> None:
        if not _plan.is_disabled():
            from seawall import _loop
            from seawall._aguard import AsyncBlock

            self._driver = AsyncBlock(self._session(is_sync=not _CAN_CUT and not _loop.is_trio()))
            await self._driver.enter()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        driver, self._driver = self._driver, None
        if driver is not None and not isinstance(driver, _SyncBlock):
            await driver.exit(error)


def settle(session: Session, finish: Op, error: BaseException | None) -> None:
    """Raises what the block ends with, unless that is the very error which leaves it already."""
    try:
        session.finish(finish[1], finish[2])
    except BaseException as raised:
        if raised is not error:
            raise


class _SyncBlock(_sync.Driver):
    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.here: _context.attempt_context | None = None

    def enter(self) -> None:
        """Admits the block, or raises why not."""
        self.run_to_end(self.native.start(), None)

    def exit(self, error: BaseException | None) -> None:
        """Reports how the block ended."""
        if self.here is not None:
            self.here.__exit__()
            self.session.busy()
            self.here = None
            self.run_to_end(self.session.ended(1, error is None, error), error)

    def run_to_end(self, ops: list[Op], error: BaseException | None) -> None:
        """Performs what there is until the block runs, or until the end."""
        finish: Op | None = None
        try:
            while self.here is None and finish is None:
                action, finish = self.perform(ops)
                if finish is None:
                    ops = self.interruptible(action or self.next_input)
        except BaseException:
            self.session.give_up()
            self.close()
            raise
        if finish is not None:
            self.close()
            settle(self.session, finish, error)

    def start(self, op: Op) -> Any:
        _, attempt, deadline_ms, latency_ms, fault = op
        here = self.session.attempt_context(attempt, deadline_ms)

        def act() -> list[Op]:
            try:
                with _context.attempt_context(here):
                    self.reach(attempt, latency_ms, fault)
            except BaseException as error:
                return self.session.ended(attempt, False, error)
            self.here = _context.attempt_context(here)
            self.here.__enter__()
            return []

        return act
