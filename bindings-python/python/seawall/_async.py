"""The driver for async functions, on asyncio and trio: a loop that performs outputs and reports inputs, in the caller's own task.

A timer that cuts an attempt cancels what the task waits for, and accounts for that once the callee has cleaned up. A cancellation
of the caller's is never swallowed: where both came, the caller's wins. What the event loop offers is in `_loop.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from seawall import _asyncness, _call, _classify, _clock, _context, _events, _letters, _loop, _native, _offload, _plan
from seawall._call import Op, Session, View, tickets
from seawall._plan import Written

async def run(written: Written, view: View, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Calls a function under a policy, in the running task."""
    if _plan.is_disabled():
        value = fn(*args, **kwargs)
        return await value if _asyncness.is_awaitable(value) else value
    session = Session(written, view, fn, args, kwargs, is_sync=False)
    if "hedge" in session.plan.parts:
        from seawall._tasks import Driver as TaskDriver

        return await TaskDriver(session).run()
    return await Driver(session).run()


async def resume(
    written: Written,
    view: View,
    fn: Callable[..., Any],
    native: _native.Call,
    frame: _context.Frame | None,
    is_value: bool,
    outcome: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    cut: list[Op] | None = None,
) -> Any:
    """Goes on with a call whose first attempt ran without a driver, and ended so. `cut`: outputs of a limit that passed before."""
    try:
        if not is_value and not isinstance(outcome, Exception) and _loop.current() is None:
            # Closed, or collected, after its loop is gone: nothing goes on.
            raise outcome
        session = Session(written, view, fn, args, kwargs, is_sync=False, resumed=(native, frame))
        session.outcomes[1] = (is_value, outcome)
        driver = Driver(session)
    except BaseException:
        _call.let_go(native)
        raise
    finally:
        # The error's traceback comes to lead here, and would keep the error alive.
        del outcome
    return await driver.run(driver.resumed(cut))


async def sleep(task: _loop.Task, virtual: _clock.VirtualTime | None, ms: int) -> None:
    """One wait of ours, through the library's own sleep."""
    if virtual is None:
        await task.sleep(ms / 1000)
        return
    if virtual.asked_to_wait(ms):
        await task.sleep(0)
        return
    due = task.future()

    def settle() -> None:
        if not due.done():
            due.set_result(None)

    virtual.arm(ms, lambda: task.soon(settle))
    await due


async def injected(behavior: Awaitable[object]) -> None:
    """Awaits the behaviour of chaos. What it raises counts as injected."""
    try:
        await behavior
    except Exception as error:
        _classify.mark_injected(error)
        raise


class Driver:
    """Drives one ordinary call."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.native = session.native
        self.task = _loop.required(session.plan.label)
        # Outputs of inputs that came while the task was waiting.
        self.pending: list[Op] = []
        # An attempt that was started and whose function was not reached yet.
        self.unreached = 0
        # Attempts that the behaviour of chaos strikes.
        self.behaving: set[int] = set()
        self.parked: _loop.Future[None] | None = None
        self.timers: dict[tuple[int, int], _loop.Cancellable | int] = {}

    async def run(self, resumed: Awaitable[list[Op]] | None = None) -> Any:
        try:
            finish = await self.perform_all(self.native.start() if resumed is None else await resumed)
        except BaseException:
            self.session.give_up()
            raise
        finally:
            self.close()
        if self.session.cancellation is not None:
            # Also where a limit had settled the call in the same moment: the caller's own cancellation must go out.
            return self.session.finish(_call.CANCELLED, 0)
        if finish[1] == _call.VALUE and self.session.inner_letters:
            await _offload.start(self.task, lambda: _letters.recover(self.session.inner_letters), self.session.virtual)
        return self.session.finish(finish[1], finish[2])

    async def resumed(self, cut: list[Op] | None) -> list[Op]:
        """The first attempt ran without us, and has ended. `cut`: what was to be done when a limit passed and the task was cancelled."""
        self.arm_total()
        if cut is None:
            return self.session.resumed()
        self.pending = cut
        self.task.is_cut = True
        is_value, outcome = self.session.outcomes[1]
        await self.settle(is_value, outcome)
        before, self.pending = self.pending, []
        return [*before, *self.session.ended(1, is_value, outcome)]

    def arm_total(self) -> None:
        """The rest of the call's time, which has run since the first attempt."""
        left = self.native.left_ms()
        if left >= 0:
            self.arm(_call.TOTAL, 0, left)

    async def perform_all(self, ops: list[Op]) -> Op:
        while True:
            action, finish = self.perform(ops)
            if finish is not None:
                return finish
            ops = await self.interruptible(action or self.wait)
            if self.pending:
                # What a timer caused came before what the interrupted wait reports.
                ops, self.pending = [*self.pending, *ops], []

    def perform(self, ops: list[Op]) -> tuple[Callable[[], Awaitable[list[Op]]] | None, Op | None]:
        """Performs what needs no waiting. Gives the one thing to be done next, and the finish."""
        action: Callable[[], Awaitable[list[Op]]] | None = None
        finish: Op | None = None
        for op in ops:
            code = op[0]
            if code == _call.START:
                action = self.attempting(op)
            elif code == _call.CANCEL:
                self.cancel(op[1])
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
                action = self.classifying
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
        return action, finish

    async def interruptible(self, action: Callable[[], Awaitable[list[Op]]]) -> list[Op]:
        """Does it. A cancellation that is not our own is the caller giving up."""
        try:
            return await action()
        except Exception:
            raise
        except BaseException as stop:
            callers = await self.task.settle(stop) if self.task.is_cut else stop
            if callers is None:
                return []
            self.session.cancellation = callers
            # The caller gave up: what a timer decided meanwhile no longer matters, but its outputs free what was held.
            return self.native.cancelled()

    # Cutting.

    def timer_fired(self, reason: int, attempt: int) -> None:
        """In the loop, between two steps of the task."""
        self.timers.pop((reason, attempt), None)
        self.came(self.native.timer(reason, attempt))

    def came(self, ops: list[Op]) -> None:
        """Outputs came while the task waits: performed by it, unless they only arm the timer again."""
        if all(op[0] in (_call.TIMER, _call.PARK) for op in ops):
            self.perform(ops)
            return
        self.pending.extend(ops)
        if self.parked is not None:
            if not self.parked.done():
                self.parked.set_result(None)
        else:
            self.task.cut()

    # Attempts.

    def cancel(self, attempt: int) -> None:
        """The attempt runs in the task itself, whose wait is cut by whoever brought the news."""
        self.still(attempt)

    def still(self, attempt: int) -> None:
        """The time of the attempt's callee stands still."""
        self.disarm(_call.ATTEMPT_LIMIT, attempt)
        self.disarm(_call.IDLE, attempt)

    def attempting(self, op: Op) -> Callable[[], Awaitable[list[Op]]] | None:
        """Begins an attempt: gives what to wait for, if that is not a task of its own."""
        _, attempt, deadline_ms, latency_ms, fault = op
        session = self.session
        self.unreached = attempt
        here = session.attempt_context(attempt, deadline_ms)

        async def act() -> list[Op]:
            self.unreached = 0
            is_value, outcome = await self.call(here, latency_ms, fault)
            self.still(attempt)
            before, self.pending = self.pending, []
            return [*before, *session.ended(attempt, is_value, outcome)]

        return act

    async def call(self, here: _context.Current, latency_ms: int, fault: int) -> tuple[bool, Any]:
        """The attempt itself, with whatever chaos adds. Gives its end, be it after a cut."""
        session = self.session
        try:
            with _context.attempt_context(here):
                if here.attempt in self.behaving:
                    value = session.behave()
                    if _asyncness.is_awaitable(value):
                        await self.task.wait(injected(value))
                if latency_ms:
                    await self.task.wait(sleep(self.task, session.virtual, latency_ms))
                value = (
                    session.fn(*session.args, **session.kwargs) if fault == _call.CALLEE else session.injected(fault, here.attempt)
                )
                if _asyncness.is_awaitable(value):
                    value = await self.task.wait(value)
            outcome: tuple[bool, Any] = (True, value)
        except BaseException as error:
            outcome = (False, error)
        await self.settle(*outcome)
        return outcome

    async def settle(self, is_value: bool, outcome: Any) -> None:
        """After an attempt: if the caller cancelled besides us, its own cancellation goes out, once the engine has been told."""
        if self.task.is_cut and (stop := await self.task.settle(None if is_value else outcome)) is not None:
            self.session.cancellation = stop
            self.pending.extend(self.native.cancelled())

    # Waiting.

    def sleeping(self, reason: int, ms: int) -> Callable[[], Awaitable[list[Op]]]:
        async def act() -> list[Op]:
            await self.task.wait(sleep(self.task, self.session.virtual, ms))
            return self.native.timer(reason, 0)

        return act

    async def wait(self) -> list[Op]:
        """Waits until a wake or a timer has something to say."""
        if not self.pending:
            self.parked = self.task.future()
            try:
                await self.parked
            finally:
                self.parked = None
        return []

    def arm(self, reason: int, attempt: int, ms: int) -> None:
        self.disarm(reason, attempt)

        def fire() -> None:
            self.timer_fired(reason, attempt)

        virtual = self.session.virtual
        if virtual is None:
            self.timers[reason, attempt] = self.task.after(ms, fire)
        else:
            self.timers[reason, attempt] = virtual.arm(ms, lambda: self.task.soon(lambda: self.fire_if_armed(reason, attempt)))

    def fire_if_armed(self, reason: int, attempt: int) -> None:
        if (reason, attempt) in self.timers:
            self.timer_fired(reason, attempt)

    def disarm(self, reason: int, attempt: int) -> None:
        handle = self.timers.pop((reason, attempt), None)
        if isinstance(handle, int):
            if self.session.virtual is not None:
                self.session.virtual.disarm(handle)
        elif handle is not None:
            handle.cancel()

    def park(self, ticket: int) -> None:
        self.session.ticket = ticket
        tickets.park(ticket, lambda: self.task.soon(self.granted))

    def granted(self) -> None:
        if self.session.ticket is not None:
            ops = self.native.granted()
            if not any(op[0] == _call.PARK for op in ops):
                self.session.ticket = None
                self.disarm(_call.QUEUE, 0)
            self.came(ops)

    # The end.

    async def classifying(self) -> list[Op]:
        return self.session.classified()

    async def write_letter(self) -> list[Op]:
        """Writes the letter off the loop, shielded from cancellation."""
        session = self.session

        def cancelled(stop: BaseException) -> None:
            session.cancellation = stop
            self.native.cancelled()

        written = _offload.start(self.task, lambda: _letters.record(session), session.virtual)
        is_written = await self.task.outlast(written, cancelled)
        _letters.tell(session)
        return self.native.letter_ended(is_written)

    def falling_back(self, step: int) -> Callable[[], Awaitable[list[Op]]]:
        async def act() -> list[Op]:
            session = self.session
            if step == _call.STALE:
                return self.native.fallback_ended(session.take_stale())
            is_function, what = session.plan.steps[step]
            try:
                value = what
                if is_function:
                    with _context.attempt_context(session.fallback_context()):
                        value = what(*session.args, **session.kwargs)
                        if _asyncness.is_awaitable(value):
                            value = await value
                session.fallbacks[step] = await self.answer(value)
            except Exception as error:
                session.fallback_error = error
                return self.native.fallback_ended(0)
            except BaseException as stop:
                session.cancellation = stop
                return self.native.fallback_ended(2)
            return self.native.fallback_ended(1)

        return act

    async def answer(self, value: Any) -> Any:
        """What a fallback's value becomes."""
        return value

    def close(self) -> None:
        """Nothing may fire after the end."""
        for reason, attempt in list(self.timers):
            self.disarm(reason, attempt)
        if self.unreached:
            # Cancelled between the grant of its slot and its start: the slot goes to the next in the queue.
            self.session.late_end(self.unreached, False, _loop.Cut())
