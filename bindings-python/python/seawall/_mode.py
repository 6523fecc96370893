"""The mode of a policy, set by hand."""

from __future__ import annotations

from seawall import _events, _native
from seawall._durations import Duration, to_ms
from seawall._errors import ConfigError, from_native
from seawall._plan import Written
from seawall._typing import Literal

Mode = Literal["enforce", "shadow", "disabled"]


# Flags of a call.
_FLAGS = {"enforce": 0, "shadow": 4, "disabled": 8}


def flags(written: Written) -> int:
    """What a mode function says of a call that begins; without one the policy's own mode holds."""
    if written.mode_of is None:
        return 0
    said = written.mode_of()
    if said not in _FLAGS:
        raise ConfigError(f'the mode function gave {said!r}; "enforce", "shadow" or "disabled" would be right', path=f"{written.label}.mode")
    return _FLAGS[str(said)]


def set_mode(written: Written, mode: Mode, reason: str, author: str | None, expires_in: Duration | None) -> None:
    """Sets it, for so long or until it is set again, and tells of it."""
    ms = None if expires_in is None else to_ms(expires_in, "expires_in")
    try:
        record = written.plan(None).native.set_mode(mode, reason, author, ms)
    except _native.NativeError as error:
        raise from_native(error) from None
    _events.emit(record)
