"""Arguments as JSON, for dead letters. What cannot be encoded makes a letter that cannot be redriven."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from seawall._late import dataclasses, datetime, decimal, enum, inspect, uuid
from seawall._typing import Any

# Deeper than this is taken for a cycle.
_DEEPEST = 64
_LARGEST_INT = 2**63


class CannotEncode(Exception):
    """Something in the arguments has no JSON form."""


def encode(value: object, depth: int = 0) -> Any:
    """The JSON form of a value. Decimals, dates, UUIDs become strings, enums their values, dataclasses and models objects.

    Raises `CannotEncode` for what has none.
    """
    if depth > _DEEPEST:
        raise CannotEncode("nested too deeply, or in a circle")
    if value is None or type(value) in (bool, str):
        return value
    if isinstance(value, enum.Enum):
        return encode(value.value, depth + 1)
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        # Beyond 64 bits a number would not survive the other language; as text it does.
        return value if -_LARGEST_INT <= value < _LARGEST_INT else str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise CannotEncode(f"{value!r} is no JSON number")
        return value
    if isinstance(value, (decimal.Decimal, uuid.UUID)):
        return str(value)
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    return _encode_container(value, depth + 1)


def _encode_container(value: object, depth: int) -> Any:
    if isinstance(value, Mapping):
        return {_name(key): encode(item, depth) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(item, depth) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((encode(item, depth) for item in value), key=repr)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: encode(getattr(value, each.name), depth) for each in dataclasses.fields(value)}
    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return encode(dump(), depth)
    raise CannotEncode(f"a {type(value).__module__}.{type(value).__qualname__} has no JSON form")


def _name(key: object) -> str:
    found = encode(key)
    if not isinstance(found, (str, int)) or isinstance(found, bool):
        raise CannotEncode(f"{key!r} cannot be a name in JSON")
    return str(found)


def arguments(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The payload of a captured call, without the receiver of a method. Raises `CannotEncode`."""
    rest = args[1:] if args and has_receiver(fn) else args
    return {"args": [encode(value) for value in rest], "kwargs": {name: encode(value) for name, value in kwargs.items()}}


def has_receiver(fn: Callable[..., Any]) -> bool:
    """Whether the first argument is `self` or `cls`: a function written in a class, and not bound."""
    if inspect.ismethod(fn):
        return False
    qualified = getattr(fn, "__qualname__", "")
    owner = qualified.rpartition(".")[0]
    if not owner or owner.endswith("<locals>"):
        return False
    try:
        first = next(iter(inspect.signature(fn).parameters), None)
    except (TypeError, ValueError):
        return False
    return first in ("self", "cls", "mcs")
