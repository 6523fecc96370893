"""What becomes of a letter beyond its store: memory, a log line, a hook; and what is done when the process ends."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Callable

from seawall import _events, _native, _queues
from seawall._durations import Duration, to_ms
from seawall._errors import ConfigError, StoreError
from seawall._late import json, logger, logging
from seawall._typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seawall._letter import DeadLetter

    OnLost = Callable[[DeadLetter], object]

# How long the end of a process waits for letters in memory.
_AT_EXIT_MS = 2_000

# By queue, for letters that are lost when nobody waits for them any more.
_hooks: dict[str, OnLost] = {}
_is_registered = False


def send(queue: str, store: str | None, letter: str, on_lost: OnLost | None) -> dict[str, Any]:
    """Writes a letter, or sends it along the chain. Says what became of it."""
    try:
        told = _queues.open_queue(queue, store).write(letter)
    except (StoreError, ConfigError):
        told = _native.write_closed(queue, store, letter)
    found: dict[str, Any] = json.loads(told)
    if found["step"] in ("queued", "memory"):
        if on_lost is not None:
            _hooks[queue] = on_lost
        _register()
    return found


def lost(what: dict[str, Any], on_lost: OnLost | None) -> None:
    """Leaves a line in the log, and calls the hook. Never raises."""
    logger.error("dead letter lost: %s", what["line"])
    if not _is_heard():
        print(f"seawall: dead letter lost: {what['line']}", file=sys.stderr)
    if on_lost is None:
        return
    try:
        # Imported here: nothing else of a letter is needed by programs that never lose one.
        from seawall._letter import DeadLetter

        on_lost(DeadLetter._of(what["letter"]))
    except Exception:
        logger.exception("dead_letter.on_lost raised")


def _is_heard() -> bool:
    """Whether the application has set up logging, so that a line goes somewhere."""
    at: logging.Logger | None = logging.getLogger("seawall")
    while at is not None:
        if any(not isinstance(handler, logging.NullHandler) for handler in at.handlers):
            return True
        at = at.parent if at.propagate else None
    return False


def _register() -> None:
    # At the first letter that needs it: the handlers of others, such as logging's, run after those that were registered later.
    global _is_registered
    if not _is_registered:
        _is_registered = True
        atexit.register(_end)


def _end() -> None:
    if _native.flush_letters(_AT_EXIT_MS):
        return
    for told in _native.abandon_letters():
        what = json.loads(told)
        letter = what["letter"]
        _events.emit_own(
            "dlq.lost", letter.get("policy") or "", letter.get("key"), letter.get("correlation_id"), queue=letter["queue"], error_type="exit"
        )
        lost(what, _hooks.get(letter["queue"]))


def flush(timeout: Duration = "5s") -> bool:
    """Waits until the dead letters in memory are written, at most `timeout`. Tells whether they are. A process that ends does so by itself, for 2 s."""
    return _native.flush_letters(to_ms(timeout, "flush.timeout"))


async def aflush(timeout: Duration = "5s") -> bool:
    """As `flush`, off the event loop."""
    # Imported at its first use, so that programs without asyncio never load it.
    from seawall import _offload

    return await _offload.run(lambda: flush(timeout))
