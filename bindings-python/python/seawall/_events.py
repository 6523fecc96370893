"""Events: to hooks, and to the logger `seawall`."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

from seawall import _asyncness, _native
from seawall._errors import ConfigError
from seawall._late import json, logger
from seawall._storms import storms
from seawall._table import EVENT_FIELDS, EventName
from seawall._typing import Any

Event = dict[str, Any]
Hook = Callable[[Event], object]

# The numbers of `logging`, which may not be loaded.
DEBUG, ERROR = 10, 40
_LEVELS = {"debug": DEBUG, "info": 20, "warning": 30, "error": ERROR}

_hooks: tuple[Hook, ...] = ()
_failed: set[int] = set()
# Whether this thread or task is telling of an event already: what a hook or a log handler causes reaches neither.
_telling: ContextVar[bool] = ContextVar("seawall_telling", default=False)


def on_event(hook: Hook) -> Callable[[], None]:
    """Calls `hook` with every event, a dict: `event`, `severity`, `policy`, `correlation_id` and the fields of the table.

    Hooks run on the calling thread, in the order of subscription. One that raises is reported once and hurts nobody.
    Gives a function that unsubscribes. Raises `ConfigError` for an async function.
    """
    global _hooks
    if not callable(hook):
        raise ConfigError(f"expected a function of the event, not {hook!r}", path="on_event")
    if _asyncness.is_async(hook):
        raise ConfigError("a hook cannot be async: hand the event to a queue, and await there", path="on_event")

    # A new function for each subscription, so that unsubscribing removes this one and not another of the same hook.
    def subscribed(event: Event) -> object:
        return hook(event)

    _hooks = (*_hooks, subscribed)
    _native.fast_hooks(True)

    def unsubscribe() -> None:
        global _hooks
        _hooks = tuple(each for each in _hooks if each is not subscribed)
        _native.fast_hooks(bool(_hooks))

    return unsubscribe


def emit(record: str) -> None:
    """Tells hooks and the log of an event that the native module made."""
    if not _hooks and not logger.isEnabledFor(DEBUG) and not _is_logged(record):
        return
    tell(json.loads(record), record)


def emit_own(event: EventName, policy: str, key: str | None, correlation_id: str | None, **fields: Any) -> None:
    """Tells of an event that arose on this side of the boundary."""
    made: Event = {"event": event, "severity": EVENT_FIELDS[event][0], "policy": policy}
    if key is not None:
        made["key"] = key
    if correlation_id is not None:
        made["correlation_id"] = correlation_id
    made.update(fields)
    tell(made, json.dumps(made))


def _is_logged(record: str) -> bool:
    # Only a debug event can be told apart without parsing, which is what most unheard events are.
    return '"severity":"debug"' not in record and logger.isEnabledFor(ERROR)


def tell(event: Event, record: str) -> None:
    """Hooks first, then the log. Never raises."""
    if _telling.get():
        return
    token = _telling.set(True)
    try:
        for hook in _hooks:
            _call(hook, event)
        _write(event, record)
    finally:
        _telling.reset(token)


def _call(hook: Hook, event: Event) -> None:
    try:
        hook(dict(event))
    except Exception:
        if id(hook) not in _failed:
            _failed.add(id(hook))
            logger.exception("a hook raised; this is said once")


def _write(event: Event, record: str) -> None:
    try:
        level = _LEVELS[event["severity"]]
        if logger.isEnabledFor(level):
            dropped = storms.pass_by(event)
            if dropped is None:
                return
            if dropped:
                event = {**event, "dropped": dropped}
                record = json.dumps(event)
            words = [f"{name}={value}" for name, value in event.items() if name not in ("event", "severity")]
            extra = {"seawall": event, "seawall_record": record, "correlation_id": event.get("correlation_id")}
            logger.log(level, "%s %s", event["event"], " ".join(words), extra=extra)
    except Exception:
        # A handler with raiseExceptions of its own; the call goes on.
        return
