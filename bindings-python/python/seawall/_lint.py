"""What is allowed and yet likely a mistake, and how long a call may last at worst."""

from __future__ import annotations

import weakref
from collections.abc import Callable

from seawall import _native, _plan
from seawall._late import json
from seawall._plan import Written
from seawall._typing import Any, NamedTuple


class Finding(NamedTuple):
    """One warning. Its code stays; `lines` shows the arithmetic behind it."""

    code: str
    policy: str
    path: str
    message: str
    lines: tuple[str, ...]


class WorstCase(NamedTuple):
    """The longest that a call may last, and the most calls that it may make below; `lines` shows the arithmetic."""

    seconds: float | None
    """None if nothing bounds it."""
    unbounded: str | None
    """Why nothing bounds it."""
    calls: int
    lines: tuple[str, ...]


# Policies that are more than a part of another one.
_known: weakref.WeakSet[Written] = weakref.WeakSet()
# Policies that guard functions which a policy guarded already.
_inner: weakref.WeakKeyDictionary[Written, list[Written]] = weakref.WeakKeyDictionary()


def note(written: Written, fn: Callable[..., Any] | None = None, inner: Written | None = None) -> None:
    """A policy stands on its own, or guards a function, perhaps one that another policy guards inside."""
    _known.add(written)
    if fn is not None and written.label is None:
        written.label = _plan.label_of(fn)
    if inner is not None and inner is not written:
        _inner.setdefault(written, []).append(inner)


def policies() -> list[Written]:
    """Every policy that exists."""
    return list(_known)


def _resolve(written: Written, seen: set[int]) -> _native.Policy:
    native = written.plan(None).native
    if id(written) not in seen:
        seen.add(id(written))
        for inner in _inner.get(written, ()):
            native.note_inner(_resolve(inner, seen))
    return native


def lint() -> list[Finding]:
    """The warnings of all policies, and of those that only the loaded policy file defines. Errors are raised as they are written."""
    held = [_resolve(written, set()) for written in list(_known)]
    found = [Finding(**{**one, "lines": tuple(one["lines"])}) for one in json.loads(_native.lint())]
    del held
    return found


def worst_case(written: Written) -> WorstCase:
    """The worst case of one policy."""
    found = json.loads(_resolve(written, set()).worst_case())
    seconds = None if found["ms"] is None else found["ms"] / 1000
    return WorstCase(seconds, found["unbounded"], found["calls"], tuple(found["lines"]))
