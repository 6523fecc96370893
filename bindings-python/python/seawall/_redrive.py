"""The loop of a redrive. Order, spacing, leases and the report are the native side's; deliveries and waits are done here."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

from seawall import _asyncness, _classify, _clock, _context, _events, _letters, _native, _sync
from seawall._errors import from_native
from seawall._late import json
from seawall._letter import DeadLetter, RedriveReport
from seawall._typing import Any

# The target takes nothing now: the letter was given back.
_OPEN = ("circuit.open", "circuit.isolated")


class Plan:
    """One redrive of a queue."""

    def __init__(self, queue: _native.Queue, name: str, options: str) -> None:
        self.name = name
        try:
            self.native = _native.Redrive(queue, options, now_ms())
        except _native.NativeError as error:
            raise from_native(error) from None

    def next(self) -> dict[str, Any]:
        """What is to be done now: `deliver` with a `token`, `wait_ms`, or `done`."""
        try:
            step: dict[str, Any] = json.loads(self.native.next(now_ms()))
        except _native.NativeError as error:
            raise from_native(error) from None
        return step

    def answer(self, token: int, error: BaseException | None) -> None:
        """Says how a delivery ended."""
        told = None if error is None else json.dumps(_letters.describe(error))
        try:
            self.native.delivered(token, error is None, told, now_ms())
        except _native.NativeError as failed:
            raise from_native(failed) from None

    def tell(self, letter: DeadLetter, error: BaseException | None) -> None:
        """Tells of it, on the calling thread."""
        outcome = "ok" if error is None else "released" if _classify.code_of(error) in _OPEN else "failed"
        _events.emit_own(
            "dlq.redriven",
            letter.policy or "",
            letter.key,
            letter.correlation_id,
            queue=self.name,
            letter_id=letter.id,
            outcome=outcome,
        )

    def leave(self) -> None:
        """Stops early: a job is paused. Its lease ends anyway if that fails."""
        try:
            self.native.leave()
        except _native.NativeError:
            return

    def release(self, token: int) -> None:
        """Gives a letter back whose handler was cancelled. The lease gives it back anyway if that fails."""
        try:
            self.native.released(token)
        except _native.NativeError:
            return


def now_ms() -> int:
    """Milliseconds of the clock in force."""
    return _native.clock_now() // _clock.MS


def inside(letter: DeadLetter) -> AbstractContextManager[None]:
    """The context of a letter's handler."""
    return _context.redriving(letter.id, letter.redrives, letter.correlation_id, letter.idempotency_key)


def run(plan: Plan, handler: Callable[[DeadLetter], object], concurrency: int) -> RedriveReport:
    """Delivers on this thread, or on so many."""
    try:
        return _run(plan, handler, concurrency)
    except BaseException:
        plan.leave()
        raise


def _run(plan: Plan, handler: Callable[[DeadLetter], object], concurrency: int) -> RedriveReport:
    if concurrency == 1:
        return _work(plan, handler)
    reports: list[RedriveReport] = []
    failures: list[BaseException] = []

    def work() -> None:
        try:
            reports.append(_work(plan, handler))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, name="seawall-redrive", daemon=True) for _ in range(concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return reports[0]


def _work(plan: Plan, handler: Callable[[DeadLetter], object]) -> RedriveReport:
    while True:
        step = plan.next()
        if "done" in step:
            return RedriveReport._of(step["done"])
        if "wait_ms" in step:
            _sync.sleep(_clock.active(), step["wait_ms"])
            continue
        letter, token = DeadLetter._of(step["deliver"]), step["token"]
        error: BaseException | None = None
        try:
            with inside(letter):
                result = handler(letter)
            if _asyncness.is_awaitable(result):
                getattr(result, "close", lambda: None)()
                error = TypeError("the handler gave an awaitable: await queue.aredrive(handler)")
        except Exception as raised:
            error = raised
        except BaseException:
            plan.release(token)
            raise
        plan.answer(token, error)
        plan.tell(letter, error)
