"""The mode of a policy, set by hand."""

from __future__ import annotations

from typing import Literal

from seawall import _events, _native
from seawall._durations import Duration, to_ms
from seawall._errors import from_native
from seawall._plan import Written

Mode = Literal["enforce", "shadow", "disabled"]


def set_mode(written: Written, mode: Mode, reason: str, author: str | None, expires_in: Duration | None) -> None:
    """Sets it, for so long or until it is set again, and tells of it."""
    ms = None if expires_in is None else to_ms(expires_in, "expires_in")
    try:
        record = written.plan(None).native.set_mode(mode, reason, author, ms)
    except _native.NativeError as error:
        raise from_native(error) from None
    _events.emit(record)
