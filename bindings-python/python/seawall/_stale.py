"""The last good values of calls, for `fallback(stale_if_error=True)`.

Values stay here; how old they may get, how many there may be and which goes first is decided by the runtime, which names
the slot of each. One lock orders what it says with what is kept.
"""

from __future__ import annotations

import sys
import threading

from seawall import _argument, _encode, _events
from seawall._late import inspect, json
from seawall._typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seawall._call import Session
    from seawall._plan import Plan


# One for all values, held for moments, so that a fork finds nobody inside.
_lock = threading.RLock()


class Values:
    """The values of one policy, by slot. Thread-safe."""

    def __init__(self) -> None:
        self.by_slot: dict[int, Any] = {}
        self.has_told = False


# Those of policies that keep none.
NONE = Values()

_named: dict[str, Values] = {}


def values_of(name: str | None) -> Values:
    """Those of everybody who shares the name; without a name those of a new policy."""
    if name is None:
        return Values()
    with _lock:
        return _named.setdefault(name, Values())


def forget() -> None:
    """Forgets every value."""
    with _lock:
        _named.clear()


def key_of(session: Session) -> str | None:
    """The key of a call: what `stale_key` gives, else the function and all arguments by value, the receiver aside. None where that
    is impossible; then nothing is kept, and that is told once."""
    picker = session.plan.code.get("fallback", {}).get("stale_key")
    try:
        if picker is not None:
            found = _argument.read(picker, session.fn, session.args, session.kwargs, "fallback.stale_key")
            return None if found is None else json.dumps(["key", type(found).__name__, _encode.encode(found)], sort_keys=True)
        return json.dumps([_name(session.fn), _by_value(session)], sort_keys=True)
    except Exception as why:
        _tell(session, why)
        return None


def _name(fn: Any) -> str:
    return f"{getattr(fn, '__module__', '')}.{getattr(fn, '__qualname__', type(fn).__qualname__)}"


def _by_value(session: Session) -> Any:
    """The arguments in one form, however they were given: `f(1)` and `f(x=1)` are the same call."""
    args, kwargs = session.args, session.kwargs
    try:
        bound = inspect.signature(session.fn).bind(*args, **kwargs)
    except (TypeError, ValueError):
        return _encode.arguments(session.fn, args, kwargs)
    bound.apply_defaults()
    given = list(bound.arguments.items())
    if _encode.has_receiver(session.fn):
        del given[0]
    # With their types: the text "1" and the decimal 1 have one JSON form.
    return [[name, type(value).__qualname__, _encode.encode(value)] for name, value in given]


def _tell(session: Session, why: Exception) -> None:
    values = session.plan.stale
    with _lock:
        if values.has_told:
            return
        values.has_told = True
    _events.emit_own("fallback.stale_skipped", session.plan.label, session.key, session.correlation_id, reason=str(why))


def keep(plan: Plan, key: str, value: Any) -> None:
    """Keeps the value of a call that succeeded."""
    size = _size(value)
    values = plan.stale
    with _lock:
        slot, forgotten = plan.native.stale_put(key, size)
        for old in forgotten:
            values.by_slot.pop(old, None)
        if slot >= 0:
            values.by_slot[slot] = value


def find(plan: Plan, key: str) -> tuple[Any] | None:
    """The value kept for a call, in a tuple, or None."""
    values = plan.stale
    with _lock:
        slot = plan.native.stale_find(key)
        return (values.by_slot[slot],) if slot in values.by_slot else None


def _size(value: Any) -> int:
    """About how many bytes a value takes."""
    try:
        return len(json.dumps(_encode.encode(value)))
    except Exception:
        return sys.getsizeof(value)
