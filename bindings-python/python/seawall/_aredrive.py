"""The loop of a redrive for async handlers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from seawall import _async, _clock, _offload
from seawall._letter import DeadLetter, RedriveReport
from seawall._redrive import Plan, inside


async def run(plan: Plan, handler: Callable[[DeadLetter], Awaitable[object] | object], concurrency: int) -> RedriveReport:
    """Delivers in this task, or in so many."""
    if concurrency == 1:
        return await _awork(plan, handler)
    tasks = [asyncio.ensure_future(_awork(plan, handler)) for _ in range(concurrency)]
    try:
        return (await asyncio.gather(*tasks))[0]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _awork(plan: Plan, handler: Callable[[DeadLetter], Awaitable[object] | object]) -> RedriveReport:
    while True:
        step = await _offload.run(plan.next)
        if "done" in step:
            return RedriveReport._of(step["done"])
        if "wait_ms" in step:
            await _async.sleep(_clock.active(), step["wait_ms"])
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
        await _answer(plan, token, letter, error)


async def _answer(plan: Plan, token: int, letter: DeadLetter, error: BaseException | None) -> None:
    """Shielded: work that was done must not be delivered again because its caller was cancelled while saying so."""
    answered = _offload.start(asyncio.get_running_loop(), lambda: plan.answer(token, error), _clock.active())
    cancelled: asyncio.CancelledError | None = None
    while not answered.done():
        try:
            await asyncio.shield(answered)
        except asyncio.CancelledError as stop:
            cancelled = stop
    answered.result()
    plan.tell(letter, error)
    if cancelled is not None:
        raise cancelled
