"""Plays the vectors through an async library: one task per open call, in one loop. `run_async.py` has asyncio's, `run_trio.py` trio's.

Each vector is played by the drivers, through `policy.acall`; and once more by a decorated function, which may take the fast path.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Protocol

import seawall
import vectors
from seawall import _clock, testing
from vectors import Step, Transcript, Vector


class Future(Protocol):
    """A value that comes once, or never if its waiter was cancelled."""

    def cancelled(self) -> bool: ...

    def set_result(self, value: Any, /) -> None: ...

    def __await__(self) -> Any: ...


class Call(Protocol):
    """A call in a task of its own."""

    def cancel(self) -> object: ...


class Library(Protocol):
    """What the player needs of the library."""

    cancellation: type[BaseException]

    def run(self, main: Callable[[], Awaitable[list[str]]]) -> list[str]:
        """Runs a loop to the end of it, and whatever it spawned."""

    def future(self) -> Future: ...

    def spawn(self, work: Callable[[], Awaitable[None]]) -> Call: ...

    async def join(self) -> None:
        """Waits until all that was spawned has ended."""


class Player:
    """One vector under way."""

    def __init__(self, library: Library, vector: Vector, clock: testing.Clock, is_fast: bool) -> None:
        self.library = library
        self.clock = clock
        self.virtual = clock._virtual
        self.vector = vector
        self.keys: dict[str, str] = {}
        self.policy = vectors.build(vector, self.keys, thread=False, behaves=self.behaved)
        self.decorated = self.policy(self.callee) if is_fast else None
        self.stream = self.policy(self.items) if vector.get("stream") else None
        # What the consumers of streams wait for that hold their item, and those that will hold the next.
        self.held: dict[str, Future] = {}
        self.holds: set[str] = set()
        self.transcript = Transcript(vector, self.policy, clock)
        self.tasks: dict[str, Call] = {}
        self.open: dict[tuple[str, int], Future] = {}
        self.latest: dict[str, int] = {}

    async def play(self, steps: list[Step]) -> list[str]:
        for step in steps:
            await getattr(self, vectors.kind_of(step))(step)
            await self.rest()
            self.transcript.step_ends()
        lines = list(self.transcript.lines)
        for task in self.tasks.values():
            task.cancel()
        await self.library.join()
        return lines

    async def start(self, step: Step) -> None:
        name = step["start"]
        if "key" in step:
            self.keys[name] = step["key"]
        self.transcript.begins(name, step.get("key"))
        self.tasks[name] = self.library.spawn(lambda: self.call(name))

    async def call(self, name: str) -> None:
        try:
            if self.stream is not None:
                with vectors.named(self.vector, name):
                    await self.consume(self.stream(name), name)
            else:
                with vectors.named(self.vector, name):
                    result = await (self.decorated(name) if self.decorated is not None else self.policy.acall(self.callee, name))
                self.transcript.returned(name, result)
        except self.library.cancellation:
            self.transcript.cancelled(name)
            raise
        except Exception as error:
            self.transcript.raised(name, error)

    def behaved(self, name: str, attempt: int) -> None:
        self.transcript.behaved(name, attempt)

    async def callee(self, name: str) -> Any:
        attempt = seawall.current().attempt
        self.transcript.entered(name, attempt)
        self.latest[name] = attempt
        ending = self.open[name, attempt] = self.library.future()
        return (await ending)()

    async def consume(self, stream: AsyncGenerator[Any, None], name: str) -> None:
        async for _ in stream:
            self.transcript.got(name)
            if name in self.holds:
                self.holds.discard(name)
                held = self.held[name] = self.library.future()
                if not await held:
                    await stream.aclose()
                    self.transcript.stopped(name)
                    return
        self.transcript.returned(name, None)

    async def items(self, name: str) -> AsyncGenerator[None, None]:
        """The callee of a stream."""
        attempt = seawall.current().attempt
        self.transcript.entered(name, attempt)
        self.latest[name] = attempt
        while True:
            ending = self.open[name, attempt] = self.library.future()
            if (await ending)() is not vectors.ITEM:
                return
            yield

    def release(self, name: str, step: Step, act: Callable[[], Any]) -> None:
        ending = self.open.pop((name, step.get("attempt", self.latest.get(name, 0))), None)
        # Nothing is left to end where the policy rejected the call or cut the attempt.
        if ending is not None and not ending.cancelled():
            ending.set_result(act)

    async def end(self, step: Step) -> None:
        self.release(step["end"], step, vectors.outcome_of(step))

    async def item(self, step: Step) -> None:
        if step.get("hold"):
            self.holds.add(step["item"])
        self.release(step["item"], step, lambda: vectors.ITEM)

    async def ask(self, step: Step) -> None:
        self.held.pop(step["ask"]).set_result(True)

    async def stop(self, step: Step) -> None:
        self.held.pop(step["stop"]).set_result(False)

    async def cancel(self, step: Step) -> None:
        self.tasks[step["cancel"]].cancel()

    async def advance(self, step: Step) -> None:
        target = round((self.clock.now * 1000 + vectors.milliseconds(step["advance"])) * _clock.MS)
        while self.virtual.step(target):
            await self.rest()

    async def admin(self, step: Step) -> None:
        self.transcript.concerns(step.get("key"))
        vectors.administer(self.policy, step)

    async def reload(self, step: Step) -> None:
        vectors.reload(self.vector, step)

    async def rest(self) -> None:
        await testing._settle(self.virtual)
        self.transcript.rests()


def play(library: Library, vector: Vector, is_fast: bool = False) -> list[str]:
    if vector.get("abandons"):
        raise vectors.DoesNotApply("work that was cut outlives its call; an async library awaits its cleanup instead")

    async def one() -> list[str]:
        with testing.clock(seed=vector.get("seed", 0)) as clock:
            player = Player(library, vector, clock, is_fast)
            lines = await player.play(vector["steps"])
            if is_fast:
                vectors.FAST.count(player.policy, vector)
            return lines

    return library.run(one)


def run(make: Callable[[], Library]) -> None:
    """Plays all vectors both ways, in a loop of its own each."""

    def fast(vector: Vector) -> list[str]:
        if vector.get("stream"):
            raise vectors.DoesNotApply("a stream is no ordinary call")
        return play(make(), vector, is_fast=True)

    vectors.run(lambda vector: play(make(), vector), fast)
