"""The driver for async generators: each item is asked for by the consumer, whose own time does not count.

The callee's generator runs in a task of its own, and so in one context from its first item to its last, whichever task asks.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

from seawall import _asyncness, _call, _context, _letters, _loop, _offload, _plan
from seawall._call import Op, Session, View
from seawall._errors import ConfigError
from seawall._plan import Written
from seawall._stream import SEND, THROW, Turn
from seawall._tasks import Driver


def guard(written: Written, view: View, fn: Callable[..., Any]) -> Callable[..., Any]:
    """An async generator function around another. The call begins with the first item asked for."""

    @functools.wraps(fn)
    async def guarded(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        # An async generator cannot delegate to another, so that what the consumer sends is passed on here.
        items = _begin(written, view, fn, args, kwargs)
        turn: Turn = (SEND, None)
        try:
            while True:
                try:
                    value = await _resume(items, turn)
                except StopAsyncIteration:
                    return
                try:
                    turn = (SEND, (yield value))
                except GeneratorExit:
                    raise
                except BaseException as thrown:
                    turn = (THROW, thrown)
        finally:
            await items.aclose()

    return guarded


def _begin(
    written: Written, view: View, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> AsyncGenerator[Any, Any]:
    if _plan.is_disabled():
        items: AsyncGenerator[Any, Any] = fn(*args, **kwargs)
        return items
    return _Driver(Session(written, view, fn, args, kwargs, is_sync=False, kind=_call.STREAM)).iterate()


_END = object()


async def _resume(source: AsyncIterator[Any], turn: Turn) -> Any:
    how, given = turn
    if how == SEND:
        return await (source.asend(given) if isinstance(source, AsyncGenerator) else source.__anext__())
    if isinstance(source, AsyncGenerator):
        return await source.athrow(given)
    raise given


def items_of(value: Any, path: str) -> AsyncIterator[Any]:
    """The items of what stands in for a stream."""
    if hasattr(value, "__aiter__"):
        found: AsyncIterator[Any] = value.__aiter__()
        return found
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        raise ConfigError(f"what stands in for a stream must be iterable, not {type(value).__name__}", path=path)
    return _items(value)


async def _items(value: Any) -> AsyncIterator[Any]:
    for item in value:
        yield item


async def _rest(here: _context.Current, item: Any, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """The items of a fallback, each made where `current()` speaks of it."""
    try:
        while item is not _END:
            yield item
            with _context.attempt_context(here):
                item = await anext(items, _END)
    finally:
        if isinstance(items, AsyncGenerator):
            await items.aclose()


class _Driver(Driver):
    def __init__(self, session: Session) -> None:
        super().__init__(session)
        # The attempt whose items the consumer gets, the item that waits for the consumer, and what waits for the next turn.
        self.chosen = 0
        self.item: tuple[Any] | None = None
        self.turns: dict[int, _loop.Future[Turn]] = {}

    async def iterate(self) -> AsyncGenerator[Any, Any]:
        """The items, and the end."""
        session = self.session
        finish: Op | None = None
        try:
            ops = self.native.start()
            while finish is None:
                action, finish = self.perform(ops)
                if finish is None and self.item is not None and action is None:
                    value, self.item = self.item[0], None
                    try:
                        turn = (SEND, (yield value))
                    except GeneratorExit:
                        await self.stop()
                        raise
                    except BaseException as thrown:
                        turn = (THROW, thrown)
                    ops = self.resume(turn)
                elif finish is None:
                    ops = await self.interruptible(action or self.wait)
                if self.pending:
                    ops, self.pending = [*self.pending, *ops], []
        except GeneratorExit:
            raise
        except BaseException:
            session.give_up()
            raise
        finally:
            self.is_over = True
            await self.all_cleaned_up()
            self.close()
        if session.cancellation is not None:
            finish = (_call.FINISH, _call.CANCELLED, 0)
        if finish[1] == _call.VALUE and session.inner_letters:
            await _offload.start(self.task, lambda: _letters.recover(session.inner_letters), session.virtual)
        value = session.finish(finish[1], finish[2])
        if finish[1] == _call.FALLBACK_VALUE:
            async for item in value:
                yield item

    def resume(self, turn: Turn) -> list[Op]:
        """The consumer asks for the next item."""
        ops = self.native.asked(self.chosen)
        waiting = self.turns.pop(self.chosen, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(turn)
        return ops

    async def attempt(self, here: _context.Current, latency_ms: int, fault: int) -> Any:
        with _context.attempt_context(here):
            source = await self.reach(here.attempt, latency_ms, fault)
            if fault != _call.CALLEE:
                source = items_of(await source if _asyncness.is_awaitable(source) else source, "chaos.outcome")
            turn: Turn = (SEND, None)
            try:
                while True:
                    try:
                        value = await _resume(source, turn)
                    except StopAsyncIteration:
                        return None
                    if here.attempt in self.doomed:
                        raise _loop.Cut
                    turn = await self.arrives(here.attempt, value)
            finally:
                if hasattr(source, "aclose"):
                    await source.aclose()

    def arrives(self, attempt: int, value: Any) -> _loop.Future[Turn]:
        """An item arrived, in the attempt's own task. Gives what to wait for until the next is asked for."""
        waiting: _loop.Future[Turn] = self.task.future()
        if self.chosen in (0, attempt) and not self.is_over:
            self.chosen = attempt
            self.turns[attempt] = waiting
            self.item = (value,)
            self.disarm(_call.ATTEMPT_LIMIT, attempt)
            self.pending.extend(self.native.item(attempt))
            if self.parked is not None and not self.parked.done():
                self.parked.set_result(None)
        return waiting

    async def stop(self) -> None:
        """The consumer stops. The callee has cleaned up before the consumer goes on."""
        was_running = self.chosen in self.tasks
        self.perform(self.native.stopped(self.chosen))
        await self.all_cleaned_up()
        self.session.ended_for_good()
        is_value, outcome = self.session.outcomes.get(self.chosen, (True, None)) if was_running else (True, None)
        if isinstance(outcome, BaseException) and not (is_value or self.task.is_cancellation(outcome) or self.session.cancellation):
            raise outcome

    async def answer(self, value: Any) -> Any:
        """The first item belongs to the step, which fails if that does."""
        items = items_of(value, "fallback")
        return _rest(self.session.fallback_context(), await anext(items, _END), items)
