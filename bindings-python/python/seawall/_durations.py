"""Durations as people write them in Python, made ready for the native module, which alone decides what they mean."""

from __future__ import annotations

import math

from seawall._errors import ConfigError
from seawall._late import datetime
from seawall._typing import Union

# "250ms", "1m30s", seconds as a number, or a timedelta.
Duration = Union[str, float, "datetime.timedelta"]


def to_spec(value: object, path: str) -> object:
    """A duration as it crosses the boundary: text, or seconds as a number. Anything else stays, to be refused natively."""
    if isinstance(value, str):
        return value
    if isinstance(value, datetime.timedelta):
        micros = value // datetime.timedelta(microseconds=1)
        if micros % 1000:
            raise ConfigError(f"{value!r} is not a whole number of milliseconds", path=path)
        return f"{micros // 1000}ms"
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"a duration must be finite, not {value!r}; write a string such as '2s'", path=path)
    return value


_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def to_ms(value: Duration, path: str) -> int:
    """A duration in whole milliseconds, for the few places that are not part of a policy."""
    spec = to_spec(value, path)
    if isinstance(spec, bool) or not isinstance(spec, (str, int, float)):
        raise ConfigError(f"expected a duration such as '2s', not {value!r}", path=path)
    if isinstance(spec, str):
        return _parse(spec, path)
    ms = spec * 1000
    if ms < 0 or abs(ms - round(ms)) > 1e-6:
        raise ConfigError(f"{value!r} s is not a whole number of milliseconds", path=path)
    return round(ms)


def _parse(text: str, path: str) -> int:
    total, rest = 0, text
    while rest:
        digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
        rest = rest[len(digits) :]
        unit = rest[: len(rest) - len(rest.lstrip("abcdefghijklmnopqrstuvwxyz"))]
        rest = rest[len(unit) :]
        if not digits or unit not in _UNITS:
            raise ConfigError(f"{text!r} is not a duration; write one such as '250ms', '2s' or '1m30s'", path=path)
        total += int(digits) * _UNITS[unit]
    if not text:
        raise ConfigError("a duration must not be empty; write one such as '2s'", path=path)
    return total
