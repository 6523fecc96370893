"""Native queues, opened once per process."""

from __future__ import annotations

import threading

from seawall import _native
from seawall._errors import from_native

_queues: dict[tuple[str, str | None, str | None], _native.Queue] = {}
_queues_lock = threading.RLock()


def open_queue(name: str, store: str | None, keys: str | None = None) -> _native.Queue:
    """The queue of a name in a store, read by the keys of a source; opened once per process. Raises `StoreError` or `ConfigError`."""
    with _queues_lock:
        found = _queues.get((name, store, keys))
        if found is None:
            try:
                found = _queues[name, store, keys] = _native.Queue(name, store, keys)
            except _native.NativeError as error:
                raise from_native(error) from None
        return found


def forget_queues() -> None:
    """Closes what was opened, for tests."""
    with _queues_lock:
        _queues.clear()
