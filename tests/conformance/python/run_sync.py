"""Plays the vectors through ordinary calls: one thread per open call.

Each vector is played by the drivers, through `policy.call`; and, where nothing has to be cut, once more by a decorated function, which may
take the fast path.

Unless a vector is cooperative its policy has `timeout(thread=True)`, so that callees that were walked away from stay open.
Rest is counted, not waited for: each thread of ours holds a token of the virtual clock while it works.
"""

from __future__ import annotations

import ctypes
import queue
import threading
from collections.abc import Callable, Generator
from typing import Any

import seawall
import vectors
from seawall import _clock, testing
from vectors import Step, Transcript, Vector

# Real seconds after which a vector that does not come to rest has failed.
_PATIENCE = 20.0


class Player:
    """One vector under way."""

    def __init__(self, vector: Vector, virtual: _clock.VirtualTime, clock: testing.Clock, is_fast: bool = False) -> None:
        self.virtual = virtual
        self.clock = clock
        self.is_cooperative = is_fast or bool(vector.get("cooperative"))
        self.vector = vector
        self.keys: dict[str, str] = {}
        self.policy = vectors.build(vector, self.keys, thread=not self.is_cooperative, behaves=self.behaved)
        self.decorated = self.policy(self.callee) if is_fast else None
        self.stream = self.policy(self.items) if vector.get("stream") else None
        # What the consumers of streams wait for that hold their item, and those that will hold the next.
        self.held: dict[str, queue.SimpleQueue[bool]] = {}
        self.holds: set[str] = set()
        self.transcript = Transcript(vector, self.policy, clock)
        self.threads: dict[str, threading.Thread] = {}
        self.open: dict[tuple[str, int], queue.SimpleQueue[Callable[[], Any]]] = {}
        self.latest: dict[str, int] = {}
        self.is_over = False

    def play(self, steps: list[Step]) -> list[str]:
        for step in steps:
            getattr(self, vectors.kind_of(step))(step)
            self.rest()
            self.transcript.step_ends()
        lines = list(self.transcript.lines)
        self.close()
        return lines

    def start(self, step: Step) -> None:
        name = step["start"]
        if "key" in step:
            self.keys[name] = step["key"]
        self.transcript.begins(name, step.get("key"))
        thread = threading.Thread(target=self.call, args=(name,), daemon=True)
        self.threads[name] = thread
        self.virtual.woken()
        thread.start()

    def call(self, name: str) -> None:
        try:
            if self.stream is not None:
                with vectors.named(self.vector, name):
                    self.consume(self.stream(name), name)
            else:
                with vectors.named(self.vector, name):
                    result = self.decorated(name) if self.decorated is not None else self.policy.call(self.callee, name)
                self.transcript.returned(name, result)
        except KeyboardInterrupt:
            self.transcript.cancelled(name)
        except BaseException as error:
            self.transcript.raised(name, error)
        finally:
            self.virtual.rests()

    def consume(self, stream: Generator[Any, None, None], name: str) -> None:
        for _ in stream:
            self.transcript.got(name)
            if name in self.holds:
                self.holds.discard(name)
                held = self.held[name] = queue.SimpleQueue()
                self.virtual.rests()
                if not held.get():
                    stream.close()
                    self.transcript.stopped(name)
                    return
        self.transcript.returned(name, None)

    def behaved(self, name: str, attempt: int) -> None:
        self.transcript.behaved(name, attempt)

    def callee(self, name: str) -> Any:
        return self.parked(name, self.enter(name))

    def items(self, name: str) -> Generator[Any, None, None]:
        """The callee of a stream."""
        attempt = self.enter(name)
        while self.parked(name, attempt) is vectors.ITEM:
            yield

    def enter(self, name: str) -> int:
        if self.is_over:
            raise KeyboardInterrupt
        attempt = seawall.current().attempt
        self.transcript.entered(name, attempt)
        self.latest[name] = attempt
        return attempt

    def parked(self, name: str, attempt: int) -> Any:
        """What the vector has the callee do next."""
        ending = self.open[name, attempt] = queue.SimpleQueue()
        self.virtual.rests()
        return ending.get()()

    def release(self, name: str, attempt: int, act: Callable[[], Any]) -> None:
        ending = self.open.pop((name, attempt), None)
        if ending is None:
            # The policy rejected the call, so that there is nothing to end.
            return
        # On behalf of the callee, which works again from here on.
        self.virtual.woken()
        ending.put(act)

    def end(self, step: Step) -> None:
        name = step["end"]
        self.release(name, step.get("attempt", self.latest.get(name, 0)), vectors.outcome_of(step))

    def item(self, step: Step) -> None:
        name = step["item"]
        if step.get("hold"):
            self.holds.add(name)
        self.release(name, step.get("attempt", self.latest.get(name, 0)), lambda: vectors.ITEM)

    def ask(self, step: Step) -> None:
        self.virtual.woken()
        self.held.pop(step["ask"]).put(True)

    def stop(self, step: Step) -> None:
        self.virtual.woken()
        self.held.pop(step["stop"]).put(False)

    def cancel(self, step: Step) -> None:
        name = step["cancel"]
        key = (name, self.latest.get(name, 0))
        if self.is_cooperative and key in self.open:
            self.release(*key, _interrupt)
        else:
            thread = self.threads[name]
            _raise_in(thread)
            thread.join(_PATIENCE)

    def advance(self, step: Step) -> None:
        target = round((self.clock.now * 1000 + vectors.milliseconds(step["advance"])) * _clock.MS)
        while self.virtual.step(target):
            self.rest()

    def admin(self, step: Step) -> None:
        self.transcript.concerns(step.get("key"))
        vectors.administer(self.policy, step)

    def reload(self, step: Step) -> None:
        vectors.reload(self.vector, step)

    def rest(self) -> None:
        self.virtual.wait_for_rest(_PATIENCE)
        if self.virtual.is_busy:
            raise TimeoutError("the vector does not come to rest")
        self.transcript.rests()

    def close(self) -> None:
        """Ends whatever the vector left open."""
        self.is_over = True
        for name, thread in self.threads.items():
            if thread.is_alive() and (not self.is_cooperative or (name, self.latest.get(name, 0)) not in self.open):
                _raise_in(thread)
        for held in self.held.values():
            self.virtual.woken()
            held.put(False)
        for key in list(self.open):
            self.release(*key, _interrupt)
        for thread in self.threads.values():
            thread.join(_PATIENCE)
        self.virtual.wait_for_rest(_PATIENCE)


def _interrupt() -> Any:
    raise KeyboardInterrupt


def _raise_in(thread: threading.Thread) -> None:
    """What Ctrl-C does, in a thread that is not the main one."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(KeyboardInterrupt))


def play(vector: Vector) -> list[str]:
    virtual = _clock.VirtualTime(auto_advance=True, is_strict=True)
    with testing._virtual(virtual, vector.get("seed", 0)) as clock:
        return Player(vector, virtual, clock).play(vector["steps"])


def play_fast(vector: Vector) -> list[str]:
    if vector.get("stream") or vector.get("abandons") or {"timeout", "hedge"} & set(vector["config"]):
        raise vectors.DoesNotApply("only a thread can be walked away from")
    virtual = _clock.VirtualTime(auto_advance=True, is_strict=True)
    with testing._virtual(virtual, vector.get("seed", 0)) as clock:
        player = Player(vector, virtual, clock, is_fast=True)
        lines = player.play(vector["steps"])
        vectors.FAST.count(player.policy, vector)
        return lines


if __name__ == "__main__":
    vectors.run(play, play_fast)
