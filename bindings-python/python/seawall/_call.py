"""One guarded call, apart from waiting: what both drivers share.

The drivers are loops that perform the engine's outputs and report inputs (docs/adr/0001-alphabet.md). Here are the outputs
that need no waiting, and the making of errors, facts and contexts.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from seawall import _argument, _asyncness, _classify, _clock, _context, _errors, _events, _mode, _native, _stale
from seawall._classify import Facts
from seawall._context import Current
from seawall._late import json, logger
from seawall._plan import Plan, Written
from seawall._record import record
from seawall._table import ERROR_CODES, EventName
from seawall._typing import Any

START, CANCEL, SLEEP, TIMER, PARK, WAKE, FAILED, LETTER, FALLBACK, FINISH, EVENT, BEHAVIOR = range(12)
BACKOFF, RATE_LIMIT, ATTEMPT_LIMIT, TOTAL, QUEUE, IDLE, HEDGE = range(7)
COOPERATIVE, SPARED, SHADOW, DISABLED, STREAM, GUARD = 1, 2, 4, 8, 16, 32
# START's fault where the function is called; FALLBACK's step for the stale result.
CALLEE = STALE = -1
# How a fallback step ended.
STEP_FAILED, STEP_RETURNED, STEP_CANCELLED, NOTHING_STALE = range(4)
# What a finish says.
VALUE, ERROR, FALLBACK_VALUE, CANCELLED = range(4)

_MESSAGES = {
    "circuit.open": "the circuit is open",
    "circuit.isolated": "the circuit is held open by hand",
    "circuit.throttled": "the circuit turned its share of calls away",
    "bulkhead.full": "every slot of the bulkhead is in use",
    "rate.limited": "the rate limit is reached",
    "timeout.attempt": "the attempt took too long",
    "timeout.idle": "the next item of the stream took too long",
    "timeout.total": "the call took too long",
    "timeout.deadline": "the caller's deadline has passed",
    "result.rejected": "on_result rejected the result",
}

Op = tuple[Any, ...]


@record
class View:
    """What `policy.using(…)` set."""

    key: str | None = None
    idempotency_key: str | None = None
    # What the callee says of itself: it must not be called a second time, whatever the retry would do.
    once: bool = False


# Wakes remembered for whoever parks a moment later. More are left over by waiters that gave up in the moment of their wake.
_MOST_EARLY = 1024


class Tickets:
    """Who waits for which wake. A wake that comes before its waiter is remembered."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._wakers: dict[int, Callable[[], None]] = {}
        self._early: dict[int, None] = {}

    def park(self, ticket: int, waker: Callable[[], None]) -> None:
        """Calls the waker when the ticket is woken; at once if it was already."""
        with self._lock:
            if ticket not in self._early:
                self._wakers[ticket] = waker
                return
            del self._early[ticket]
        waker()

    def wake(self, ticket: int) -> None:
        """Wakes whoever parked, now or later."""
        with self._lock:
            waker = self._wakers.pop(ticket, None)
            if waker is None:
                self._early[ticket] = None
                if len(self._early) > _MOST_EARLY:
                    del self._early[next(iter(self._early))]
        if waker is not None:
            waker()

    def forget(self) -> None:
        """In a forked child, where nobody waits who waited before."""
        self._wakers.clear()
        self._early.clear()

    def leave(self, ticket: int) -> None:
        """Nobody waits for this ticket any more."""
        with self._lock:
            self._wakers.pop(ticket, None)
            self._early.pop(ticket, None)


tickets = Tickets()


def message(label: str, code: str, key: str | None, failures: int, total: int) -> str:
    """The text of an error of ours. `total` calls had been counted when a circuit opened, or 0."""
    text = f"{label}: {_MESSAGES[code]}" if label else _MESSAGES[code]
    if key is not None:
        text += f" (key {key!r})"
    if total:
        text += f"; it opened after {failures} failures in {total} calls"
    return text


def let_go(native: _native.Call) -> None:
    """Frees what a call holds that nobody will drive."""
    for op in [*native.cancelled(), *native.ended(1, _classify.CANCELLED, 0, 0, -1, "")]:
        if op[0] == WAKE:
            tickets.wake(op[1])


def _block() -> None:
    """Stands for the block of a guard, which is no function."""


class Session:
    """A call of one function under one policy."""

    def __init__(
        self,
        written: Written,
        view: View,
        fn: Callable[..., Any] | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        is_sync: bool,
        kind: int = 0,
        resumed: tuple[_native.Call, _context.Frame | None] | None = None,
    ) -> None:
        """`kind` is STREAM or GUARD, or 0 for an ordinary call; a guard has no function. `resumed`: the first attempt was begun without us."""
        self.plan: Plan = written.plan(fn)
        self.fn: Callable[..., Any] = fn or _block
        self.args, self.kwargs, self.kind = args, kwargs, kind
        self.once = view.once
        self.is_cooperative = is_sync and not self.plan.is_threaded
        if self.is_cooperative and "hedge" in self.plan.parts:
            raise _errors.ConfigError("a hedge of a sync function needs timeout(thread=True)", path=f"{self.plan.label}.hedge")
        self.outer: Current = _context.current()
        native, frame = resumed or (None, None)
        self.correlation_id = (frame.here if frame else self.outer).correlation_id or _native.mint_id()
        self.key = self._key(written, view)
        self.idempotency_key = view.idempotency_key or self._idempotency_key() or self.outer.idempotency_key
        self.outcomes: dict[int, tuple[bool, Any]] = {}
        # Attempts whose outcome chaos made up.
        self.made_up: set[int] = set()
        self.fallbacks: dict[int, Any] = {}
        self.error: BaseException | None = None
        self.is_ours = False
        self.cancellation: BaseException | None = None
        self.fallback_error: BaseException | None = None
        self.letter_id: str | None = None
        self.is_retrying = "retry" in self.plan.parts
        # Letters of calls inside this one; an outer retry's success recovers them.
        self.inner_letters: list[_context.Written] = (frame and frame.letters) or []
        self.letter_events: list[tuple[EventName, dict[str, Any]]] = []
        # What is left of a letter that nobody took, and who is to be told.
        self.letter_lost: tuple[dict[str, Any], Callable[[Any], object] | None] | None = None
        self.attempt = 1 if native else 0
        # Attempts that were started and have not been reported as ended.
        self.running: set[int] = {1} if native else set()
        self.stale_key = _stale.key_of(self) if self.plan.keeps_stale and not kind else None
        self.ticket: int | None = None
        if native is None:
            native = self._begin(_mode.flags(written) | kind)
        else:
            native.identify(self.correlation_id)
        self.native = native
        self.chain = self.outer._chain
        if "bulkhead" in self.plan.parts:
            self.chain = (*self.chain, self.native.within(self.chain))
        self.virtual = _clock.active()
        self._is_busy = self.virtual is not None and self.virtual.is_strict
        self._busy_lock = threading.Lock()

    def _begin(self, flags: int) -> _native.Call:
        flags |= (COOPERATIVE if self.is_cooperative else 0) | (SPARED if self._is_spared() else 0)
        try:
            return _native.Call(self.plan.native, self.key, self.correlation_id, flags, _context.deadline_ms(), _context.redrives())
        except _native.NativeError as error:
            raise _errors.from_native(error) from None

    # What the call's arguments say.

    def _key(self, written: Written, view: View) -> str | None:
        if view.key is not None or written.key is None:
            return view.key
        found = _argument.read(written.key, self.fn, self.args, self.kwargs, "key")
        if found is None:
            raise _errors.ConfigError("gave None for this call; every call of this policy needs a key", path=f"{self.plan.label}.key")
        return str(found)

    def _idempotency_key(self) -> str | None:
        spec = self.plan.code.get("dead_letter", {}).get("idempotency_key")
        if spec is None:
            return None
        found = _argument.read(spec, self.fn, self.args, self.kwargs, "dead_letter.idempotency_key")
        return None if found is None else str(found)

    def _is_spared(self) -> bool:
        only = self.plan.code.get("chaos", {}).get("only")
        if only is None or not _native.armed():
            return False
        if self.kind == GUARD:
            # A block has no arguments that could match.
            return True
        try:
            return not only(*self.args, **self.kwargs)
        except Exception:
            logger.exception("chaos.only raised; the call is spared")
            return True

    # Contexts of foreign code.

    def attempt_context(self, attempt: int, deadline_ms: int) -> Current:
        """What `current()` is inside an attempt."""
        self.attempt = attempt
        self.running.add(attempt)
        due = None if deadline_ms < 0 else _native.clock_now() + deadline_ms * _clock.MS
        return Current(
            attempt=attempt,
            key=self.key,
            idempotency_key=self.idempotency_key,
            correlation_id=self.correlation_id,
            _deadline=due,
            _letters=self.inner_letters if self.is_retrying else self.outer._letters,
            _chain=self.chain,
        )

    def fallback_context(self) -> Current:
        """What `current()` is inside a fallback, which lies outside of the call's own limits."""
        return Current(
            attempt=self.attempt,
            key=self.key,
            idempotency_key=self.idempotency_key,
            error=self.error,
            correlation_id=self.correlation_id,
            _deadline=self.outer._deadline,
            _chain=self.outer._chain,
        )

    # Outputs and inputs that need no waiting.

    def fault(self, number: int) -> BaseException:
        """The fault that chaos raises in place of the call, marked as injected."""
        makers = self.plan.code.get("chaos", {}).get("fault", ())
        error = makers[number]() if number < len(makers) else _errors.InjectedFaultError("injected by chaos")
        _classify.mark_injected(error)
        return error

    def injected(self, number: int, attempt: int) -> Any:
        """What chaos puts in place of the call, as START names it: raises the fault, or gives the outcome."""
        if number >= 0:
            raise self.fault(number)
        self.made_up.add(attempt)
        is_function, what = self.plan.code["chaos"]["outcome"][-2 - number]
        return what() if is_function else what

    def behave(self) -> Any:
        """Runs the behaviour of chaos. What it raises counts as injected."""
        try:
            return self.plan.code["chaos"]["behavior"]()
        except Exception as error:
            _classify.mark_injected(error)
            raise

    def ended(self, attempt: int, is_value: bool, outcome: Any) -> list[Op]:
        """Reports the end of an attempt."""
        self.outcomes[attempt] = (is_value, outcome)
        try:
            facts = self._value_facts(outcome) if is_value else self._error_facts(outcome)
        except Exception:
            raise
        except BaseException as stop:
            # An interrupt in a predicate: the attempt ends with that.
            self.outcomes[attempt] = (False, stop)
            facts = self._error_facts(stop)
        ops = self.native.ended(attempt, facts.kind, facts.bits, facts.status, facts.retry_after_ms, facts.error_type)
        self.running.discard(attempt)
        return ops

    def resumed(self) -> list[Op]:
        """Reports the end of the first attempt, which ran without a driver."""
        is_value, outcome = self.outcomes[1]
        try:
            if is_value and self.is_cooperative:
                self.refuse_awaitable(outcome)
        except BaseException as error:
            return self.ended(1, False, error)
        return self.ended(1, is_value, outcome)

    def _value_facts(self, value: Any) -> Facts:
        # A stream has items, and no result that could be rejected.
        bits = self.plan.result_bits(value) if self.plan.result_tests and self.kind != STREAM else 0
        if not bits:
            return Facts(_classify.SUCCESS)
        try:
            return Facts(_classify.SUCCESS, bits, _classify.status_of(value), self._pushback(value))
        except Exception:
            return Facts(_classify.SUCCESS, bits)

    def _error_facts(self, error: BaseException) -> Facts:
        kind = _classify.kind_of(error)
        if kind == _classify.CANCELLED:
            # A cut attempt unwinds with a cancellation that nobody raised: it has no type to be told of.
            return Facts(kind)
        name = type(error).__name__
        try:
            return Facts(kind, self.plan.bits(error), _classify.status_of(error), self._pushback(error), name)
        except Exception:
            # An attribute of the error raised when it was read: all that is known then is that the call failed.
            return Facts(kind, error_type=name)

    def _pushback(self, thing: object) -> int:
        if self.once:
            return _classify.NEVER
        return _classify.pushback_of(thing, self.plan.code.get("retry", {}).get("retry_after"))

    def failed(self, how: int, attempt: int, code: int, retry_after_ms: int) -> None:
        """Makes the error that would surface."""
        self.is_ours = how == 1
        if how == 0:
            self.error = self.outcomes[attempt][1]
            return
        name = "result.rejected" if how == 2 else ERROR_CODES[code]
        report = self.report()
        error = _errors.make(
            name,
            self._message(name, report),
            policy=self.plan.label,
            key=self.key,
            retry_after=None if retry_after_ms < 0 else retry_after_ms / 1000,
            correlation_id=self.correlation_id,
        )
        if how == 1:
            cause = self.outcomes.get(attempt)
            error.__cause__ = cause[1] if cause is not None and not cause[0] else None
        self.error = error

    def _message(self, code: str, report: dict[str, Any]) -> str:
        rejection = report.get("rejection") or {}
        return message(self.plan.label, code, self.key, rejection.get("failures", 0), rejection.get("total", 0))

    def classified(self) -> list[Op]:
        """Answers which `on` and `ignore` match the error; of an attempt's own, retry and breaker were asked when it ended."""
        try:
            bits = self.plan.late_bits(self.error) if self.error is not None else 0
            if self.is_ours and self.error is not None:
                bits |= self.plan.bits(self.error)
        except Exception:
            bits = 0
        return self.native.classified(bits)

    def report(self) -> dict[str, Any]:
        """The call so far."""
        found: dict[str, Any] = json.loads(self.native.report())
        return found

    def finish(self, what: int, number: int) -> Any:
        """Returns or raises what the call ends with."""
        self.ended_for_good()
        if what == VALUE:
            value = self.outcomes[number][1]
            # What chaos made up is no good value: it would outlast the experiment.
            if self.stale_key is not None and number not in self.made_up and not self.plan.result_bits(value):
                _stale.keep(self.plan, self.stale_key, value)
            return value
        if what == FALLBACK_VALUE:
            return self.fallbacks[number]
        error = self.error if what == ERROR else self._cancellation()
        if error is None:
            raise AssertionError("the call failed without an error")
        if self.outer._letters is not None:
            self.outer._letters.extend(self.inner_letters)
        if what == ERROR:
            self._annotate(error)
        try:
            raise error
        finally:
            # The frames of a traceback would otherwise keep the error, and the error its frames.
            self.error = self.cancellation = self.fallback_error = error = None
            self.outcomes.clear()

    def _annotate(self, error: BaseException) -> None:
        _errors.annotate(error, self.report(), self.letter_id)
        late = self.fallback_error
        if late is not None and error.__context__ is None and error.__cause__ is None and late is not error:
            late.__context__ = None if late.__context__ is error else late.__context__
            late.__cause__ = None if late.__cause__ is error else late.__cause__
            error.__context__ = late

    def _cancellation(self) -> BaseException | None:
        if self.cancellation is not None:
            return self.cancellation
        cancelled = [outcome for is_value, outcome in self.outcomes.values() if not is_value]
        return cancelled[-1] if cancelled else None

    def ended_for_good(self) -> None:
        """Leaves every list that the call stood in."""
        if self.ticket is not None:
            tickets.leave(self.ticket)
            self.ticket = None

    def take_stale(self) -> int:
        """Looks for a stale result, as step -1 asks. Gives how that step ended."""
        if self.stale_key is not None and (found := _stale.find(self.plan, self.stale_key)) is not None:
            self.fallbacks[-1] = found[0]
            return STEP_RETURNED
        return NOTHING_STALE

    def late_end(self, attempt: int, is_value: bool, outcome: Any) -> None:
        """Reports the end of work that was walked away from, after the call itself is over."""
        self.running.discard(attempt)
        facts = self._value_facts(outcome) if is_value else self._error_facts(outcome)
        ops = self.native.ended(attempt, facts.kind, facts.bits, facts.status, facts.retry_after_ms, facts.error_type)
        self.pass_on(ops)

    def give_up(self) -> None:
        """The driver itself failed: frees what the call holds."""
        self.pass_on(self.native.cancelled())
        for attempt in sorted(self.running):
            self.late_end(attempt, False, KeyboardInterrupt())

    def pass_on(self, ops: list[Op]) -> None:
        """Performs what concerns others, once the call itself is over."""
        for op in ops:
            if op[0] == WAKE:
                tickets.wake(op[1])
            elif op[0] == EVENT:
                _events.emit(op[1])

    def refuse_awaitable(self, value: Any) -> Any:
        """The value of a sync call, unless it is an awaitable, which is closed."""
        if not _asyncness.is_awaitable(value):
            return value
        close = getattr(value, "close", None)
        if close is not None:
            close()
        raise _errors.ConfigError(
            "the function gave an awaitable: decorate an async function, or await policy.acall(fn, …)", path=self.plan.label
        )

    # Coming to rest, for virtual time.

    def busy(self) -> None:
        """The driver was woken."""
        if self.virtual is not None:
            with self._busy_lock:
                if not self._is_busy:
                    self._is_busy = True
                    self.virtual.woken()

    def rest(self) -> None:
        """The driver waits, or foreign code runs."""
        if self.virtual is not None:
            with self._busy_lock:
                if self._is_busy:
                    self._is_busy = False
                    self.virtual.rests()
