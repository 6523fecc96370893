"""For tests: virtual time, a clean slate, and policies switched off."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager

from seawall import _clock, _native, _plan, _queues, _watch
from seawall._durations import Duration, to_ms

# Real seconds that `advance` waits for woken calls to come to rest: foreign code that blocks must not block it for ever.
_PATIENCE = 5.0
# Turns of an event loop without a list of ready callbacks that count as rest.
_TURNS = 50


class Clock:
    """Virtual time. `now` and `sleeps` are in seconds."""

    def __init__(self, virtual: _clock.VirtualTime) -> None:
        self._virtual = virtual

    @property
    def now(self) -> float:
        """Seconds since the clock was made."""
        return _native.clock_now() / 1e9

    @property
    def sleeps(self) -> list[float]:
        """The waits that policies asked for, in order: back-off, turns of a rate limit, latency of chaos."""
        return self._virtual.sleeps

    def advance(self, by: Duration) -> None:
        """Moves time on, from timer to timer, with woken calls of other threads at rest in between.

        In async code use `aadvance`, which lets tasks run in between.
        """
        target = self._target(by)
        while self._virtual.step(target):
            if not _in_loop():
                self._virtual.wait_for_rest(_PATIENCE)

    async def aadvance(self, by: Duration) -> None:
        """Moves time on, from timer to timer, with every task at rest in between."""
        target = self._target(by)
        await _settle(self._virtual)
        while self._virtual.step(target):
            await _settle(self._virtual)
        await _settle(self._virtual)

    def _target(self, by: Duration) -> int:
        return _native.clock_now() + to_ms(by, "advance") * _clock.MS


def _in_loop() -> bool:
    loops = sys.modules.get("seawall._loop")
    if loops is not None and loops.is_trio():
        return True
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _settle(virtual: _clock.VirtualTime) -> None:
    """Lets tasks run until none is ready and no thread works for one."""
    from seawall import _loop

    if _loop.is_trio():
        from seawall import _loop_trio

        await _loop_trio.rest(virtual)
        return
    import asyncio

    ready = getattr(asyncio.get_running_loop(), "_ready", None)
    turns = 0
    while virtual.is_busy or (turns < _TURNS if ready is None else bool(ready) or turns < 1):
        await asyncio.sleep(0)
        turns += 1


@contextmanager
def clock(auto_advance: bool = True, seed: int = 0) -> Generator[Clock, None, None]:
    """Virtual time for every policy and all threads, from 0: `with seawall.testing.clock() as c: ...`.

    auto_advance: a wait of ours moves the clock on at once; False: it lasts until somebody advances the clock.
    seed: what policies without a seed of their own draw from.

    Entry and exit reset all state. Inside, chaos is armed. Timers that race work fire only on `c.advance(…)`.
    """
    with _virtual(_clock.VirtualTime(auto_advance), seed) as made:
        yield made


@contextmanager
def _virtual(virtual: _clock.VirtualTime, seed: int | None) -> Generator[Clock, None, None]:
    before = _native.arm(True)
    _forget(seed)
    _native.clock_virtual(0)
    _clock.activate(virtual)
    try:
        yield Clock(virtual)
    finally:
        _clock.activate(None)
        _native.clock_real()
        _native.arm(before)
        _forget(None)


def reset() -> None:
    """Forgets every state, name and policy file, which is watched no longer."""
    _forget(None)


def _forget(seed: int | None) -> None:
    _watch.stop()
    _native.reset_all(seed)
    _queues.forget_queues()
    _plan.note_reset()


@contextmanager
def disabled() -> Generator[None, None, None]:
    """Policies do nothing: functions are called as if they were not guarded."""
    before = _plan.set_disabled(True)
    try:
        yield
    finally:
        _plan.set_disabled(before)
