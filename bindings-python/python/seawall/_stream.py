"""The driver for generators: each item is asked for by the consumer, whose own time does not count.

The callee's generator runs in a copy of the consumer's context, on the consumer's thread, or with `timeout(thread=True)` in a
thread per attempt that waits between items until it is asked again.
"""

from __future__ import annotations

import contextvars
import functools
import queue
from collections.abc import Callable, Generator, Iterator

from seawall import _call, _context, _letters, _plan
from seawall._call import Op, Session, View
from seawall._errors import ConfigError
from seawall._plan import Written
from seawall._sync import Driver
from seawall._typing import Any

# How a generator is resumed.
SEND, THROW, CLOSE = range(3)
Turn = tuple[int, Any]
# What came of it: an item, the generator's return value, an error.
ITEM, RETURNED, RAISED = range(3)
_END = object()


def guard(written: Written, view: View, fn: Callable[..., Any]) -> Callable[..., Any]:
    """A generator function around another. The call begins with the first item asked for."""

    @functools.wraps(fn)
    def guarded(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        if _plan.is_disabled():
            return (yield from fn(*args, **kwargs))
        return (yield from _Driver(Session(written, view, fn, args, kwargs, is_sync=True, kind=_call.STREAM)).iterate())

    return guarded


def items_of(value: Any, path: str) -> Iterator[Any]:
    """The items of what stands in for a stream."""
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        raise ConfigError(f"what stands in for a stream must be iterable, not {type(value).__name__}", path=path)
    return iter(value)


def _rest(here: _context.Current, item: Any, items: Iterator[Any]) -> Iterator[Any]:
    """The items of a fallback, each made where `current()` speaks of it."""
    try:
        while item is not _END:
            yield item
            with _context.attempt_context(here):
                item = next(items, _END)
    finally:
        if isinstance(items, Generator):
            items.close()


class _Callee:
    """The generator of one attempt, and the turns that it gets."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._source: Any = None
        self._context = contextvars.copy_context()
        # For a callee in a thread.
        self.turns: queue.SimpleQueue[Turn] = queue.SimpleQueue()
        self.is_waiting = False

    def resume(self, turn: Turn) -> tuple[int, Any]:
        """Lets it run to its next item, or to its end."""
        return self._context.run(self._resume, *turn)

    def _resume(self, how: int, given: Any) -> tuple[int, Any]:
        try:
            if self._source is None:
                self._source = self._make()
            else:
                _context.say_again()
            if how == SEND:
                # A plain iterator has no `send`, and never started generators take None alone.
                return ITEM, next(self._source) if given is None else self._source.send(given)
            if how == THROW and hasattr(self._source, "throw"):
                return ITEM, self._source.throw(given)
            if how == THROW:
                raise given
            if hasattr(self._source, "close"):
                self._source.close()
            return RAISED, GeneratorExit()
        except StopIteration as end:
            return RETURNED, end.value
        except BaseException as error:
            return RAISED, error


class _Driver(Driver):
    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.callees: dict[int, _Callee] = {}
        # The attempt whose items the consumer gets, the item that waits for the consumer, and the turn that follows it.
        self.chosen = 0
        self.item: tuple[Any] | None = None
        self.turn: Turn | None = None
        virtual = session.virtual
        # Where every thread that works is counted: in vectors.
        self.strict = virtual if virtual is not None and virtual.is_strict else None

    def iterate(self) -> Generator[Any, Any, Any]:
        """The items, and the end."""
        session = self.session
        try:
            finish = yield from self.items()
        except GeneratorExit:
            raise
        except BaseException:
            session.give_up()
            raise
        finally:
            self.close()
        if finish[1] == _call.VALUE and session.inner_letters:
            _letters.recover(session.inner_letters)
        value = session.finish(finish[1], finish[2])
        if finish[1] == _call.FALLBACK_VALUE:
            return (yield from value)
        return value

    def items(self) -> Generator[Any, Any, Op]:
        ops = self.native.start()
        while True:
            action, finish = self.perform(ops)
            if finish is not None:
                return finish
            if self.item is not None and action is None:
                ops = yield from self.hand_over(self.item[0])
                continue
            ops = self.interruptible(action or self.resuming() or self.next_input)

    def hand_over(self, value: Any) -> Generator[Any, Any, list[Op]]:
        """Gives the consumer its item; comes back when it asks for the next."""
        self.item = None
        session = self.session
        if self.strict is None:
            session.rest()
        try:
            self.turn = (SEND, (yield value))
        except GeneratorExit:
            self.stop()
            raise
        except BaseException as thrown:
            self.turn = (THROW, thrown)
        session.busy()
        return self.native.asked(self.chosen)

    # Attempts.

    def start(self, op: Op) -> Callable[[], list[Op]] | None:
        _, attempt, deadline_ms, latency_ms, fault = op
        here = self.session.attempt_context(attempt, deadline_ms)

        def make() -> Any:
            _context.attempt_context(here).__enter__()
            source = self.reach(attempt, latency_ms, fault)
            return source if fault == _call.CALLEE else items_of(source, "chaos.outcome")

        callee = self.callees[attempt] = _Callee(make)
        if self.session.is_cooperative:
            return lambda: self.arrives(attempt, *callee.resume((SEND, None)))
        self.spawn(attempt, lambda: self.serve(attempt, callee))
        return None

    def arrives(self, attempt: int, what: int, value: Any) -> list[Op]:
        """Reports an item or the end of an attempt."""
        if what != ITEM:
            self.callees.pop(attempt, None)
            self.chosen = 0 if self.chosen == attempt else self.chosen
            return self.ended(attempt, what == RETURNED, value)
        if self.chosen not in (0, attempt) or self.threads.get(attempt):
            # Another attempt was first, or this one was walked away from: its thread is told to close it.
            return []
        self.chosen = attempt
        self.item = (value,)
        self.disarm(_call.ATTEMPT_LIMIT, attempt)
        return self.native.item(attempt)

    def serve(self, attempt: int, callee: _Callee) -> tuple[bool, Any]:
        """On the attempt's own thread: item after item, each when it is asked for. Gives the end."""
        turn: Turn = (SEND, None)
        while True:
            what, value = callee.resume(turn)
            if what != ITEM:
                break
            self.deliver(functools.partial(self.arrives, attempt, ITEM, value))
            with self.lock:
                callee.is_waiting = callee.turns.empty()
                if callee.is_waiting and self.strict is not None:
                    # Whoever gives the next turn counts for this thread from then on.
                    self.strict.rests()
            turn = callee.turns.get()
        return what == RETURNED, value

    def give_turn(self, callee: _Callee, turn: Turn) -> None:
        """To an attempt in a thread."""
        with self.lock:
            if callee.is_waiting and self.strict is not None:
                self.strict.woken()
            callee.is_waiting = False
            callee.turns.put(turn)

    def resuming(self) -> Callable[[], list[Op]] | None:
        """Lets the callee run for the next item, if the consumer has just asked for it."""
        turn, self.turn = self.turn, None
        if turn is None:
            return None
        attempt = self.chosen
        if not self.session.is_cooperative:
            self.give_turn(self.callees[attempt], turn)
            return None

        def act() -> list[Op]:
            self.foreign()
            return self.arrives(attempt, *self.callees[attempt].resume(turn))

        return act

    def abandon(self, attempt: int) -> None:
        was_abandoned = self.threads.get(attempt, True)
        super().abandon(attempt)
        if not was_abandoned:
            self.give_turn(self.callees[attempt], (CLOSE, None))

    # The end.

    def stop(self) -> None:
        """The consumer stops. The callee is closed before the consumer goes on."""
        attempt = self.chosen
        self.session.busy()
        self.perform(self.native.stopped(attempt))
        if self.session.is_cooperative:
            what, value = self.callees.pop(attempt).resume((CLOSE, None))
            self.session.pass_on(self.session.ended(attempt, what == RETURNED, value))
            self.session.ended_for_good()
            if what == RAISED and not isinstance(value, GeneratorExit):
                raise value
        else:
            self.abandon(attempt)
            self.session.ended_for_good()

    def close(self) -> None:
        for attempt in list(self.threads):
            self.abandon(attempt)
        super().close()
        if self.session.is_cooperative:
            for callee in self.callees.values():
                callee.resume((CLOSE, None))
        self.callees.clear()

    def answer(self, value: Any) -> Any:
        """The first item belongs to the step, which fails if that does."""
        items = items_of(value, "fallback")
        return _rest(self.session.fallback_context(), next(items, _END), items)
