"""The loop of a redrive for async handlers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from seawall import _async, _clock, _loop, _offload
from seawall._letter import DeadLetter, RedriveReport
from seawall._redrive import Plan, inside


async def run(plan: Plan, handler: Callable[[DeadLetter], Awaitable[object] | object], concurrency: int) -> RedriveReport:
    """Delivers in this task, or in so many."""
    try:
        return await _run(plan, handler, concurrency)
    except BaseException:
        # Not awaited: whoever is cancelled is in a hurry.
        plan.leave()
        raise


async def _run(plan: Plan, handler: Callable[[DeadLetter], Awaitable[object] | object], concurrency: int) -> RedriveReport:
    task = _loop.required("aredrive")
    if concurrency == 1:
        return await _awork(task, plan, handler)
    team = _Team(task.future(), concurrency)
    for _ in range(concurrency):
        team.members.append(task.spawn(lambda: _awork(_loop.required("aredrive"), plan, handler), team.ended))
    await task.outlast(team.gone, team.stop)
    if team.error is not None:
        try:
            raise team.error
        finally:
            # The frames of a traceback would otherwise keep the error.
            team.error = None
    if team.report is None:
        raise AssertionError("a redrive ended without a report")
    return team.report


class _Team:
    """The workers of one redrive. The first error, or the caller's cancellation, stops them all; the call ends with the last of them."""

    def __init__(self, gone: _loop.Future[None], size: int) -> None:
        self.gone = gone
        self.members: list[_loop.Cancellable] = []
        self.report: RedriveReport | None = None
        self.error: BaseException | None = None
        self._left = size

    def stop(self, error: BaseException) -> None:
        """Stops them all."""
        self.error = self.error or error
        for member in self.members:
            member.cancel()

    def ended(self, is_value: bool, outcome: RedriveReport | BaseException) -> None:
        """One of them has ended."""
        self._left -= 1
        if isinstance(outcome, BaseException):
            self.stop(outcome)
        else:
            self.report = outcome
        if self._left == 0:
            self.gone.set_result(None)


async def _awork(task: _loop.Task, plan: Plan, handler: Callable[[DeadLetter], Awaitable[object] | object]) -> RedriveReport:
    while True:
        step = await _offload.run(plan.next)
        if "done" in step:
            return RedriveReport._of(step["done"])
        if "wait_ms" in step:
            await _async.sleep(task, _clock.active(), step["wait_ms"])
            continue
        letter, token = DeadLetter._of(step["deliver"]), step["token"]
        error: BaseException | None = None
        try:
            with inside(letter):
                result = handler(letter)
                if isinstance(result, Awaitable):
                    await result
        except Exception as raised:
            error = raised
        except BaseException:
            plan.release(token)
            raise
        await _answer(task, plan, token, letter, error)


async def _answer(task: _loop.Task, plan: Plan, token: int, letter: DeadLetter, error: BaseException | None) -> None:
    """Not cut short: work that was done must not be delivered again because its caller was cancelled while saying so."""
    stops: list[BaseException] = []
    answered = _offload.start(task, lambda: plan.answer(token, error), _clock.active())
    await task.outlast(answered, stops.append)
    plan.tell(letter, error)
    if stops:
        raise stops[-1]
