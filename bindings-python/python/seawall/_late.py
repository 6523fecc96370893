"""Modules of the standard library that take long to import and are needed late, or never: each is imported when something of it is asked for.

`import seawall` costs a few milliseconds for this. The names are used like the modules themselves: `from seawall._late import json`.
"""

from __future__ import annotations

import sys
import threading

from seawall._typing import TYPE_CHECKING, Any

_MODULES = (
    "base64", "dataclasses", "datetime", "decimal", "email.utils", "enum", "inspect", "json", "logging", "queue", "tokenize", "traceback", "uuid",
    "seawall._dead_letters", "seawall._fast", "seawall._stream",
)  # fmt: skip
_ASYNC = ("seawall._aguard", "seawall._astream", "seawall._async", "seawall._loop_asyncio", "seawall._offload", "seawall._tasks")

if TYPE_CHECKING:
    import base64 as base64
    import dataclasses as dataclasses
    import datetime as datetime
    import decimal as decimal
    from email import utils as _utils
    import enum as enum
    import inspect as inspect
    import json as json
    import logging as logging
    import traceback as traceback
    import uuid as uuid

    email_utils = _utils
    logger = logging.getLogger()
else:
    class _Late:
        """Stands for a module until something is asked of it."""

        def __init__(self, name):
            self._name = name

        def __getattr__(self, attribute):
            __import__(self._name)
            found = getattr(sys.modules[self._name], attribute)
            # Found here from now on, without coming by.
            setattr(self, attribute, found)
            return found

    class _Logger:
        """Stands for the logger `seawall`, which says nothing unless the application hears it."""

        def __getattr__(self, attribute):
            import logging

            logger = logging.getLogger("seawall")
            if not logger.handlers:
                logger.addHandler(logging.NullHandler())
            found = getattr(logger, attribute)
            setattr(self, attribute, found)
            return found

    base64 = _Late("base64")
    dataclasses = _Late("dataclasses")
    datetime = _Late("datetime")
    decimal = _Late("decimal")
    email_utils = _Late("email.utils")
    enum = _Late("enum")
    inspect = _Late("inspect")
    json = _Late("json")
    logging = _Late("logging")
    traceback = _Late("traceback")
    uuid = _Late("uuid")
    logger = _Logger()


# Whether it registered for forks before us, so that it comes after us when one begins.
_logging_is_older = False


def registers() -> None:
    """Says that the package registers for forks now."""
    global _logging_is_older
    _logging_is_older = "logging" in sys.modules


def load(is_threaded: bool = False) -> None:
    """Imports all of them, and what else a call may import late, when a fork begins and another thread could be at it.

    An import holds a lock until it is over. In a forked child the thread that held it is gone, and whoever imports the same waits for ever: so
    nothing must be left to import there, and no import of these be under way.

    is_threaded: whether there was another thread a moment ago.
    """
    if not is_threaded and threading.active_count() < 2:
        return
    for name in _MODULES:
        __import__(name)
    if "asyncio" in sys.modules or "trio" in sys.modules:
        for name in _ASYNC:
            __import__(name)
    if not _logging_is_older:
        _take_lock_of_logging()


def _take_lock_of_logging() -> None:
    """`logging` takes its lock before a fork and gives it back after. Loaded since this one began, it would only give it back."""
    lock: Any = getattr(sys.modules["logging"], "_lock", None)
    if hasattr(lock, "_is_owned") and not lock._is_owned():
        lock.acquire()
