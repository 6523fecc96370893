"""The driver for ordinary functions: a loop that performs outputs and reports inputs, on the caller's own thread.

Without `timeout(thread=True)` the function is called right here, and nothing can cut it. With it each attempt has a daemon
thread that can be walked away from, and the caller's thread waits for whatever comes first: its end, a timer, a wake.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable

from seawall import _call, _clock, _context, _errors, _events, _letters, _native, _plan
from seawall._call import Op, Session, View, tickets
from seawall._inbox import Inbox
from seawall._plan import Written
from seawall._typing import Any

# Real waits are cut into slices of this many seconds, so that Ctrl-C is noticed on every platform.
_SLICE = 0.02
# A signal that comes after the interpreter last looked for one and before the system's own sleep begins is not seen until that ends.
_LONGEST_MS = 1000
# Threads that may be walked away from at once where no bulkhead bounds them.
_MOST_ABANDONED = 64

_abandoned = 0
_abandoned_lock = threading.RLock()
# How many forks lie between this process and the first.
_forks = 0


def run(written: Written, view: View, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Calls a function under a policy."""
    if _plan.is_disabled():
        return fn(*args, **kwargs)
    return Driver(Session(written, view, fn, args, kwargs, is_sync=True)).run()


def resume(
    written: Written,
    view: View,
    fn: Callable[..., Any],
    native: _native.Call,
    frame: _context.Frame | None,
    is_value: bool,
    outcome: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Goes on with a call whose first attempt ran without a driver, and ended so."""
    try:
        session = Session(written, view, fn, args, kwargs, is_sync=True, resumed=(native, frame))
        session.outcomes[1] = (is_value, outcome)
    except BaseException:
        _call.let_go(native)
        raise
    finally:
        # The error's traceback comes to lead here, and would keep the error alive.
        del outcome
    driver = Driver(session)
    return driver.run(lambda: driver.interruptible(session.resumed))


def sleep(virtual: _clock.VirtualTime | None, ms: int) -> None:
    """One wait of ours, through the host's own sleep."""
    if virtual is None:
        while ms > _LONGEST_MS:
            time.sleep(_LONGEST_MS / 1000)
            ms -= _LONGEST_MS
        time.sleep(ms / 1000)
    elif not virtual.asked_to_wait(ms):
        due = threading.Event()
        virtual.arm(ms, due.set)
        while not due.wait(_SLICE):
            pass


class Driver:
    """Drives one ordinary call."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.native = session.native
        # Inputs from timers, wakes and threads, each a function that reports it and gives the outputs.
        self.inbox: Inbox[Callable[[], list[Op]]] = Inbox()
        self.timers: dict[tuple[int, int], float] = {}
        self.virtual_timers: dict[tuple[int, int], int] = {}
        # Attempts in threads, and whether they were walked away from.
        self.threads: dict[int, bool] = {}
        # Attempts that the behaviour of chaos strikes.
        self.behaving: set[int] = set()
        self.lock = threading.Lock()
        self.is_over = False

    def run(self, begin: Callable[[], list[Op]] | None = None) -> Any:
        try:
            finish = self.loop((begin or self.native.start)())
        except BaseException:
            self.session.give_up()
            raise
        finally:
            self.close()
        if finish[1] == _call.VALUE and self.session.inner_letters:
            _letters.recover(self.session.inner_letters)
        return self.session.finish(finish[1], finish[2])

    def loop(self, ops: list[Op]) -> Op:
        while True:
            action, finish = self.perform(ops)
            if finish is not None:
                return finish
            ops = self.interruptible(action or self.next_input)

    def perform(self, ops: list[Op]) -> tuple[Callable[[], list[Op]] | None, Op | None]:
        """Performs what needs no waiting. Gives the one thing to be done next, and the finish."""
        action: Callable[[], list[Op]] | None = None
        finish: Op | None = None
        started: list[Op] = []
        for op in ops:
            code = op[0]
            if code == _call.START:
                started.append(op)
            elif code == _call.CANCEL:
                self.abandon(op[1])
            elif code == _call.SLEEP:
                action = self.sleeping(op[1], op[2])
            elif code == _call.TIMER:
                self.arm(op[1], op[2], op[3])
            elif code == _call.PARK:
                self.park(op[1])
            elif code == _call.WAKE:
                tickets.wake(op[1])
            elif code == _call.FAILED:
                self.session.failed(op[1], op[2], op[3], op[4])
                action = self.session.classified
            elif code == _call.LETTER:
                action = self.write_letter
            elif code == _call.FALLBACK:
                action = self.falling_back(op[1])
            elif code == _call.FINISH:
                finish = op
            elif code == _call.BEHAVIOR:
                self.behaving.add(op[1])
            else:
                _events.emit(op[1])
        for op in started:
            # Last, when its timer is armed: the clock may move as soon as the function runs.
            action = self.start(op)
        return action, finish

    def interruptible(self, action: Callable[[], list[Op]]) -> list[Op]:
        """Does it. Ctrl-C and the like are the caller giving up."""
        try:
            return action()
        except Exception:
            raise
        except BaseException as stop:
            self.session.busy()
            self.session.cancellation = stop
            ops = self.native.cancelled()
            # If it struck between the function and the report of its end, nobody else will report it.
            for attempt in sorted(self.session.running) if self.session.is_cooperative else ():
                ops = [*ops, *self.session.ended(attempt, False, stop)]
            return ops

    # Attempts.

    def start(self, op: Op) -> Callable[[], list[Op]] | None:
        _, attempt, deadline_ms, latency_ms, fault = op
        session = self.session
        here = session.attempt_context(attempt, deadline_ms)
        if session.is_cooperative:
            return lambda: session.ended(attempt, *self.call(here, latency_ms, fault))
        self.spawn(attempt, lambda: self.call(here, latency_ms, fault))
        return None

    def call(self, here: _context.Current, latency_ms: int, fault: int) -> tuple[bool, Any]:
        """The attempt itself, with whatever chaos adds."""
        session = self.session
        try:
            with _context.attempt_context(here):
                value = self.reach(here.attempt, latency_ms, fault)
            return True, session.refuse_awaitable(value)
        except BaseException as error:
            return False, error

    def reach(self, attempt: int, latency_ms: int, fault: int) -> Any:
        """Does what chaos adds, and calls the function, or gives what chaos puts in its place."""
        session = self.session
        if attempt in self.behaving:
            session.refuse_awaitable(session.behave())
        if latency_ms:
            sleep(session.virtual, latency_ms)
        if fault != _call.CALLEE:
            return session.injected(fault, attempt)
        self.foreign()
        return session.fn(*session.args, **session.kwargs)

    def foreign(self) -> None:
        """Foreign code runs in the driver's place, and whoever advances the clock need not wait for it."""
        session = self.session
        if session.is_cooperative and not (session.virtual and session.virtual.is_strict):
            session.rest()

    def spawn(self, attempt: int, call: Callable[[], tuple[bool, Any]]) -> None:
        """Runs the attempt in a daemon thread, in a copy of the caller's context."""
        context = contextvars.copy_context()
        virtual = self.session.virtual
        counted = virtual if virtual is not None and virtual.is_strict else None

        forks = _forks

        def work() -> None:
            try:
                is_value, outcome = context.run(call)
                if forks == _forks:
                    self.arrived(attempt, is_value, outcome)
                else:
                    # The function forked, and this is the child, where nobody waits for it.
                    self.session.late_end(attempt, is_value, outcome)
            finally:
                if counted is not None:
                    counted.rests()

        if "bulkhead" not in self.session.plan.parts and _abandoned >= _MOST_ABANDONED:
            error = _errors.make(
                "bulkhead.full",
                f"{_MOST_ABANDONED} threads that were walked away from still run; add a bulkhead, or let the work end",
                policy=self.session.plan.label,
                key=self.session.key,
                correlation_id=self.session.correlation_id,
            )
            self.inbox.put(lambda: self.session.ended(attempt, False, error))
            return
        if counted is not None:
            counted.woken()
        self.threads[attempt] = False
        threading.Thread(target=work, name=f"seawall-{self.session.plan.label}", daemon=True).start()

    def arrived(self, attempt: int, is_value: bool, outcome: Any) -> None:
        """On the attempt's own thread: hands its end over, or reports it if the call is over."""
        with self.lock:
            was_abandoned = self.threads.pop(attempt, False)
            is_late = self.is_over
            if not is_late:
                self.session.busy()
                self.inbox.put(lambda: self.ended(attempt, is_value, outcome))
        if was_abandoned:
            _count_abandoned(-1)
        if is_late:
            self.session.late_end(attempt, is_value, outcome)

    def ended(self, attempt: int, is_value: bool, outcome: Any) -> list[Op]:
        self.still(attempt)
        return self.session.ended(attempt, is_value, outcome)

    def abandon(self, attempt: int) -> None:
        self.still(attempt)
        with self.lock:
            if self.threads.get(attempt) is False:
                self.threads[attempt] = True
                _count_abandoned(+1)

    def still(self, attempt: int) -> None:
        """The time of the attempt's callee stands still."""
        self.disarm(_call.ATTEMPT_LIMIT, attempt)
        self.disarm(_call.IDLE, attempt)

    # Waiting.

    def sleeping(self, reason: int, ms: int) -> Callable[[], list[Op]]:
        def act() -> list[Op]:
            sleep(self.session.virtual, ms)
            return self.native.timer(reason, 0)

        return act

    def arm(self, reason: int, attempt: int, ms: int) -> None:
        self.disarm(reason, attempt)
        virtual = self.session.virtual
        if virtual is None:
            self.timers[reason, attempt] = time.monotonic() + ms / 1000
            return

        def fire() -> None:
            self.deliver(lambda: self.native.timer(reason, attempt))

        self.virtual_timers[reason, attempt] = virtual.arm(ms, fire)

    def disarm(self, reason: int, attempt: int) -> None:
        self.timers.pop((reason, attempt), None)
        number = self.virtual_timers.pop((reason, attempt), None)
        if number is not None and self.session.virtual is not None:
            self.session.virtual.disarm(number)

    def park(self, ticket: int) -> None:
        self.session.ticket = ticket
        tickets.park(ticket, lambda: self.deliver(self.granted))

    def deliver(self, reported: Callable[[], list[Op]]) -> None:
        """Hands an input over, from any thread."""
        with self.lock:
            if not self.is_over:
                self.session.busy()
                self.inbox.put(reported)

    def granted(self) -> list[Op]:
        self.disarm(_call.QUEUE, 0)
        return self.native.granted()

    def next_input(self) -> list[Op]:
        """Waits for the first of: an attempt's end, a wake, a timer."""
        while True:
            # Under the lock of those who deliver, so that nobody is taken for resting who has mail.
            with self.lock:
                if self.inbox.is_empty():
                    self.session.rest()
            reported = self.inbox.wait(self.patience())
            if reported is not None:
                return reported()
            due = [timer for timer, at in self.timers.items() if at <= time.monotonic()]
            if due:
                reason, attempt = min(due, key=lambda timer: self.timers[timer])
                del self.timers[reason, attempt]
                return self.native.timer(reason, attempt)

    def patience(self) -> float:
        now = time.monotonic()
        return min([_SLICE, *(at - now for at in self.timers.values())])

    # Letter and fallback.

    def write_letter(self) -> list[Op]:
        is_written = False
        try:
            is_written = _letters.record(self.session)
        except BaseException as stop:
            # The write itself lies in native code and is not cut; the caller gives up once it is done.
            self.session.cancellation = stop
            self.native.cancelled()
        _letters.tell(self.session)
        return self.native.letter_ended(is_written)

    def falling_back(self, step: int) -> Callable[[], list[Op]]:
        def act() -> list[Op]:
            session = self.session
            if step == _call.STALE:
                return self.native.fallback_ended(session.take_stale())
            is_function, what = session.plan.steps[step]
            try:
                with _context.attempt_context(session.fallback_context()):
                    value = what(*session.args, **session.kwargs) if is_function else what
                    value = session.refuse_awaitable(value) if is_function else value
                    session.fallbacks[step] = self.answer(value)
            except Exception as error:
                session.fallback_error = error
                return self.native.fallback_ended(0)
            except BaseException as stop:
                session.cancellation = stop
                return self.native.fallback_ended(2)
            return self.native.fallback_ended(1)

        return act

    def answer(self, value: Any) -> Any:
        """What a fallback's value becomes."""
        return value

    def close(self) -> None:
        """The call is over: what still runs reports for itself from now on."""
        with self.lock:
            self.is_over = True
        while (reported := self.inbox.take()) is not None:
            self.session.pass_on(reported())
        for reason, attempt in list(self.virtual_timers):
            self.disarm(reason, attempt)
        if not (self.session.virtual and self.session.virtual.is_strict):
            self.session.rest()


def forget_threads() -> None:
    """In a forked child, where no thread runs of those that ran before, but for the one that forked."""
    global _abandoned, _forks
    _abandoned = 0
    _forks += 1


def _count_abandoned(by: int) -> None:
    global _abandoned
    with _abandoned_lock:
        _abandoned += by
