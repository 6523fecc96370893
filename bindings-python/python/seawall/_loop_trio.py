"""trio's tasks. What may be cut lies in a cancel scope of ours; what runs beside the caller's task is a system task.

A nursery would have to stand around it, and a stream cannot have one: its consumer runs between two items, and may open scopes that
outlive the second. So whoever spawns here awaits the end, and no error leaves a system task, which would end the program.
"""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, TypeVar, cast

import trio

from seawall import _clock, _deadlines
from seawall._loop import Cancellable, Cut, Future

T = TypeVar("T")

_log = logging.getLogger("seawall")


class TrioTask:
    """The caller's task, and its run of trio."""

    def __init__(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._scope: trio.CancelScope | None = None
        self.is_cut = False

    def cut(self) -> None:
        if self._scope is not None and not self.is_cut:
            self.is_cut = True
            self._scope.cancel()

    def enter(self) -> None:
        self._scope = trio.CancelScope()
        self._scope.__enter__()

    def leave(self, error: BaseException | None) -> BaseException | None:
        scope, self._scope = self._scope, None
        if scope is None:
            return error
        kind, trace = (None, None) if error is None else (type(error), error.__traceback__)
        try:
            is_swallowed = scope.__exit__(kind, error, trace)
        except BaseException as rest:
            # What else there was beside our cancellation.
            return rest
        return Cut() if is_swallowed else error

    async def wait(self, what: Awaitable[T]) -> T:
        self._scope = scope = trio.CancelScope()
        try:
            with scope:
                return await what
        finally:
            self._scope = None
        # The scope has swallowed the cancellation that was ours.
        raise Cut

    async def settle(self, error: BaseException | None) -> BaseException | None:
        self.is_cut = False
        if trio.current_effective_deadline() == float("-inf"):
            if isinstance(error, trio.Cancelled):
                return error
            try:
                await trio.lowlevel.checkpoint_if_cancelled()
            except BaseException as stop:
                return stop
        return None if isinstance(error, (Exception, Cut)) else error

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)

    def future(self) -> Future[Any]:
        return _Future()

    def soon(self, act: Callable[[], object]) -> None:
        try:
            self._token.run_sync_soon(_safely, act)
        except trio.RunFinishedError:
            return

    def after(self, ms: int, act: Callable[[], object]) -> Cancellable:
        return _deadlines.of(cast(Any, _timers())).after(ms, act)

    def spawn(self, work: Callable[[], Coroutine[Any, Any, Any]], ended: Callable[[bool, Any], object]) -> Cancellable:
        scope = trio.CancelScope()

        async def run() -> None:
            outcome: tuple[bool, Any] = (False, Cut())
            try:
                with scope:
                    if not scope.cancel_called:
                        outcome = (True, await work())
            except BaseException as error:
                outcome = (False, error)
            _safely(lambda: ended(*outcome))

        _spawn(run)
        return scope

    async def outlast(self, future: Future[T], cancelled: Callable[[BaseException], object]) -> T:
        try:
            await future
        except trio.Cancelled as stop:
            cancelled(stop)
            with trio.CancelScope(shield=True):
                await future
        return future.result()

    def is_cancellation(self, error: object) -> bool:
        return isinstance(error, (trio.Cancelled, Cut))


async def rest(virtual: _clock.VirtualTime) -> None:
    """Lets tasks run until all are blocked and no thread works for one."""
    # Loaded for tests alone.
    from trio.testing import wait_all_tasks_blocked

    await wait_all_tasks_blocked()
    while virtual.is_busy:
        await trio.sleep(0)
        await wait_all_tasks_blocked()


class _Future:
    def __init__(self) -> None:
        self._event = trio.Event()
        self._value: Any = None
        self._error: BaseException | None = None

    def done(self) -> bool:
        return self._event.is_set()

    def set_result(self, value: Any, /) -> None:
        self._value = value
        self._event.set()

    def set_exception(self, error: BaseException, /) -> None:
        self._error = error
        self._event.set()

    def result(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._value

    def __await__(self) -> Generator[Any, Any, Any]:
        yield from self._event.wait().__await__()
        return self.result()


class _Timers:
    """What the deadlines of a loop ask of it."""

    time = staticmethod(trio.current_time)

    def call_at(self, due: float, act: Callable[[], object], context: contextvars.Context | None = None) -> trio.CancelScope:
        """Has it done at a moment of the loop's clock."""
        scope = trio.CancelScope()

        async def wait() -> None:
            with scope:
                await trio.sleep_until(due)
                if not scope.cancel_called:
                    _safely(act)

        _spawn(wait, context)
        return scope

    def call_exception_handler(self, told: dict[str, Any]) -> None:
        """Tells of an action that failed."""
        _log.error("%s", told["message"], exc_info=told["exception"])


_timers_of_run: trio.lowlevel.RunVar[_Timers] = trio.lowlevel.RunVar("seawall_timers")


def _timers() -> _Timers:
    try:
        return _timers_of_run.get()
    except LookupError:
        _timers_of_run.set(_Timers())
        return _timers_of_run.get()


def _spawn(work: Callable[[], Awaitable[object]], context: contextvars.Context | None = None) -> None:
    trio.lowlevel.spawn_system_task(work, name="seawall", context=context or contextvars.copy_context())


def _safely(act: Callable[[], object]) -> None:
    """Does it where an error would end the program."""
    try:
        act()
    except Exception:
        _log.exception("an action of a guarded call failed")
