"""Watching the policy file: a daemon thread that looks about twice a second, by real time also under virtual time.

It lives until the next load, until everything is forgotten, or until the interpreter exits, and keeps no process alive. A fork waits
until no file is being loaded, and a child watches on with a thread of its own.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Iterable

from seawall import _events, _native, _plan
from seawall._call import tickets

_INTERVAL = 0.5
# Real seconds that the exit waits for a look that is under way.
_PATIENCE = 1.0

# Held while a file is loaded, by hand or by the thread; never while hooks run. The lock of a process that forks may be taken by the
# thread that forks, so it is one that its owner may take again.
_lock = threading.RLock()
_current: _Watcher | None = None


class _Watcher:
    def __init__(self, watch: _native.Watch) -> None:
        self.watch = watch
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="seawall-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def join(self) -> None:
        self._thread.join(_PATIENCE)

    def _run(self) -> None:
        while not self._stopped.wait(_INTERVAL):
            with _lock:
                if self._stopped.is_set():
                    return
                records, woken = self.watch.look()
                if records:
                    _plan.note_load()
            tell(records, woken)


def load(read: Callable[[], tuple[list[str], list[int]]], watch: _native.Watch | None) -> tuple[list[str], list[int]]:
    """Loads a file by `read`, and then watches it instead of the one before, or none. If `read` raises, that one is watched on."""
    with _lock:
        loaded = read()
        _replace(watch)
        _plan.note_load()
    return loaded


def tell(records: Iterable[str], woken: Iterable[int]) -> None:
    """What is to be done after a load, outside of the lock: calls that were given a slot go on, and hooks hear of it."""
    for ticket in woken:
        tickets.wake(ticket)
    for record in records:
        _events.emit(record)


def stop() -> None:
    """Watches nothing any more."""
    with _lock:
        _replace(None)


def _replace(watch: _native.Watch | None) -> None:
    global _current
    if _current is not None:
        _current.stop()
    _current = None if watch is None else _Watcher(watch)


def _at_exit() -> None:
    # A daemon thread must not be inside the native module while the interpreter is taken down.
    watcher = _current
    if watcher is not None:
        watcher.stop()
        watcher.join()


def _after_fork_in_child() -> None:
    # The parent's thread is not here, and what it waited on is in a state that nobody knows.
    global _current
    if _current is not None:
        _current = _Watcher(_current.watch)
    _lock.release()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_after_fork_in_child)
