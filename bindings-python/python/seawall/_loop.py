"""What the async drivers need of the event loop that a call runs in, and which loop that is (docs/adr/0013-loops.md).

A `Task` is made for each call: it stands for the task that called, and for its loop. asyncio's is in `_loop_asyncio.py`, trio's in
`_loop_trio.py`, and neither library is imported before it runs a call.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Protocol, TypeVar

from seawall._errors import ConfigError

T = TypeVar("T")


class Cut(BaseException):
    """Stands for the end of work that we cancelled ourselves, where the loop has swallowed its own cancellation. Never leaves a call."""


class Future(Protocol[T]):
    """A value that comes once. All of it in the loop's own thread."""

    def done(self) -> bool:
        """Whether it has come."""
        ...

    def set_result(self, value: T, /) -> None:
        """It comes."""
        ...

    def set_exception(self, error: BaseException, /) -> None:
        """An error comes in its place."""
        ...

    def result(self) -> T:
        """What came."""
        ...

    def __await__(self) -> Generator[Any, Any, T]: ...


class Cancellable(Protocol):
    """A timer, or work in a task of its own."""

    def cancel(self) -> object:
        """Takes the timer back; has the work cancelled, which then ends when it has cleaned up."""
        ...


class Task(Protocol):
    """The caller's task, and what its loop offers."""

    # Waits that a timer of ours may cut.

    async def wait(self, what: Awaitable[T]) -> T:
        """Waits for it, so that `cut` ends the wait."""
        ...

    def enter(self) -> None:
        """From here on the task runs a block that may be cut."""
        ...

    def leave(self, error: BaseException | None) -> BaseException | None:
        """The block was left, by this error. Gives what is left of the error."""
        ...

    def cut(self) -> None:
        """Ends the wait, or the block, under way by a cancellation, once. Without one it does nothing."""
        ...

    is_cut: bool
    """Whether a cut, by us or by somebody for us, has not been accounted for by `settle` yet."""

    async def settle(self, error: BaseException | None) -> BaseException | None:
        """Takes our cut back, after what was cut has ended by this error, if any. Gives what was not our doing: the caller's own
        cancellation, where that came as well, or an interrupt."""
        ...

    # The loop.

    async def sleep(self, seconds: float) -> None:
        """The library's own sleep."""
        ...

    def future(self) -> Future[Any]:
        """A new one."""
        ...

    def soon(self, act: Callable[[], object]) -> None:
        """Has it done in the loop, from any thread. Where the loop is gone, so is whoever waited: then nothing is done."""
        ...

    def after(self, ms: int, act: Callable[[], object]) -> Cancellable:
        """Has it done in the loop in so many milliseconds."""
        ...

    def spawn(self, work: Callable[[], Coroutine[Any, Any, Any]], ended: Callable[[bool, Any], object]) -> Cancellable:
        """Does the work in a task of its own, in a copy of this context. `ended` gets its value or, after False, its error."""
        ...

    async def outlast(self, future: Future[T], cancelled: Callable[[BaseException], object]) -> T:
        """Waits for it in spite of the caller's cancellation, which is told at once."""
        ...

    def is_cancellation(self, error: object) -> bool:
        """Whether an error is a cancellation, of the library's kind or ours."""
        ...


def current() -> Task | None:
    """The running task; None outside of one, and in those of other libraries."""
    if is_trio():
        from seawall import _loop_trio

        return _loop_trio.TrioTask()
    from seawall import _loop_asyncio

    return _loop_asyncio.current()


def required(path: str) -> Task:
    """The running task. Raises `ConfigError` outside of one."""
    task = current()
    if task is None:
        raise outside(path)
    return task


def outside(path: str) -> ConfigError:
    """The error of what is in no task."""
    return ConfigError("what is async must be awaited in a task of asyncio or trio", path=path)


def is_trio() -> bool:
    """Whether trio runs this code. A program that uses trio has imported it, and said so where sniffio looks; so we import neither."""
    trio = sys.modules.get("trio")
    if trio is None:
        return False
    try:
        sniffio = sys.modules["sniffio"]
        name = sniffio.thread_local.name or sniffio.current_async_library_cvar.get()
    except (AttributeError, KeyError):
        name = None
    if name is not None:
        return bool(name == "trio")
    # A trio that does without sniffio, or is only being imported.
    lowlevel = getattr(trio, "lowlevel", None)
    in_task = getattr(lowlevel, "in_trio_task", None)
    return in_task is not None and bool(in_task())
