"""What a fork needs of us, whatever the other threads are doing at that moment (docs/adr/0013-loops.md).

Before it, nobody may be inside of a lock of ours, of an import that a call may need, or at work with a queue: what another thread holds then is held in the child for ever.
In the child only the thread that forked goes on, so what the parent's other calls hold is free there, and nothing of them is waited for.
"""

from __future__ import annotations

import os

from seawall import _call, _context, _late, _native, _plan, _queues, _stale, _sync

# In the order in which threads take one inside of another. They may be held by the very thread that forks.
_LOCKS = (_queues._queues_lock, _plan._lock, _stale._lock, _call.tickets._lock, _sync._abandoned_lock)


def _before() -> None:
    _late.load()
    for lock in _LOCKS:
        lock.acquire()
    _native.fork_begins()


def _after() -> None:
    _native.fork_ended()
    for lock in reversed(_LOCKS):
        lock.release()


def _in_child() -> None:
    try:
        _native.fork_inherits(_context.current()._chain)
        _call.tickets.forget()
        _sync.forget_threads()
    finally:
        _after()


def register() -> None:
    """Once per process."""
    if hasattr(os, "register_at_fork"):
        _late.registers()
        os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_in_child)
