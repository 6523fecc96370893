"""A mailbox with one reader."""

from __future__ import annotations

import threading
from collections import deque

from seawall._typing import Generic, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    """Hands things from any thread to one reader, who may wait for a limited time.

    Not `queue.SimpleQueue`: its `get` may wait for ever where a short timeout passes between its own steps.
    """

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._lock = threading.Lock()
        # Held while nothing has come since the reader last looked.
        self._bell = threading.Lock()
        self._bell.acquire()

    def put(self, item: T) -> None:
        """Leaves something for the reader."""
        with self._lock:
            self._items.append(item)
            if self._bell.locked():
                self._bell.release()

    def take(self) -> T | None:
        """The oldest thing, or None."""
        return self._items.popleft() if self._items else None

    def wait(self, timeout: float) -> T | None:
        """The oldest thing, once there is one; None if so many seconds passed without, or for no reason at all."""
        if not self._items:
            self._bell.acquire(timeout=max(timeout, 0))
        return self.take()

    def is_empty(self) -> bool:
        """Whether nothing is left to be read."""
        return not self._items
