"""Following the control file of the host: one daemon thread for the process, begun with the first policy that has a name.

It looks four times a second, by real time, and is never part of a call. `SEAWALL_CONTROL=off` in the environment leaves it out. A fork
finds it at rest: it is stopped before, and begun again on both sides after. A child that was forked by another thread than the main one
may end by that thread's return, which no other thread may outlive: there it is left out.
"""

from __future__ import annotations

import atexit
import os
import threading

from seawall import _late, _native, _watch

_INTERVAL = 0.25
# Real seconds that an exit or a fork waits for a look that is under way.
_PATIENCE = 1.0

# Held while a follower is begun, and over a fork, by the thread that forks; never by a follower.
_lock = threading.RLock()
_current: _Follower | None = None
_is_on = _native.control_is_on()
_forks_in_main = True


class _Follower:
    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="seawall-control", daemon=True)
        self._thread.start()

    @property
    def is_this_thread(self) -> bool:
        return threading.current_thread() is self._thread

    def stop(self) -> None:
        self._stopped.set()
        if not self.is_this_thread:
            self._thread.join(_PATIENCE)

    def _run(self) -> None:
        while not self._stopped.is_set():
            _watch.tell(*_native.control_look())
            self._stopped.wait(_INTERVAL)


def follow() -> None:
    """Begins to follow the file, unless this process does already, or is not to."""
    if _current is not None or not _is_on:
        return
    with _lock:
        if _current is None:
            _begin()


def _begin() -> None:
    global _current
    try:
        _current = _Follower()
    except RuntimeError:
        # The interpreter is being taken down, or has no thread to give: nobody can steer this process from outside.
        _current = None


def _at_exit() -> None:
    # A daemon thread must not be inside the native module while the interpreter is taken down.
    if _current is not None:
        _current.stop()


def _before_fork() -> None:
    global _forks_in_main
    _lock.acquire()
    _forks_in_main = threading.current_thread() is threading.main_thread()
    # A thread that forks while it follows, in a hook, goes on in the parent.
    if _current is not None and not _current.is_this_thread:
        _current.stop()
        # It may have imported something just now.
        _late.load(is_threaded=True)


def _after_fork_in_parent() -> None:
    if _current is not None and not _current.is_this_thread:
        _begin()
    _lock.release()


def _after_fork_in_child() -> None:
    global _current, _is_on
    _is_on = _is_on and _forks_in_main
    if _current is not None:
        _current = None
        if _is_on:
            _begin()
    _lock.release()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
