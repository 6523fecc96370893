"""A policy's circuit breaker, to be read and to be overridden by hand."""

from __future__ import annotations

from collections.abc import Callable

from seawall import _events, _native
from seawall._durations import Duration, to_ms
from seawall._errors import from_native
from seawall._plan import Written
from seawall._typing import Literal, NamedTuple, Optional, cast

State = Literal["closed", "open", "half_open", "isolated", "disabled"]


_Override = Callable[[Optional[str], str, Optional[str], Optional[int]], list[str]]


class Counts(NamedTuple):
    """What the breaker's window holds, and the calls that it rejected since its last transition."""

    total: int
    failures: int
    slow: int
    consecutive_failures: int
    rejected: int


class Breaker:
    """The circuit breaker of a policy, or of one key of it."""

    def __init__(self, written: Written, key: str | None) -> None:
        self._written = written
        self._key = key

    def _native(self) -> _native.Policy:
        return self._written.plan(None).native

    @property
    def state(self) -> State:
        """The state as it is judged now."""
        try:
            return cast(State, self._native().breaker_state(self._key))
        except _native.NativeError as error:
            raise from_native(error) from None

    @property
    def counts(self) -> Counts:
        """The counts of the present window."""
        try:
            return Counts(*self._native().breaker_counts(self._key))
        except _native.NativeError as error:
            raise from_native(error) from None

    def isolate(self, *, reason: str, author: str | None = None, expires_in: Duration | None = None) -> None:
        """Holds it open, until `reset` or for so long. Calls raise CircuitOpenError with code `circuit.isolated`."""
        self._override(self._native().breaker_isolate, reason, author, expires_in)

    def disable(self, *, reason: str, author: str | None = None, expires_in: Duration | None = None) -> None:
        """Lets every call through, whatever happens, until `reset` or for so long."""
        self._override(self._native().breaker_disable, reason, author, expires_in)

    def reset(self) -> None:
        """Closes it, with an empty window and short breaks."""
        try:
            records = self._native().breaker_reset(self._key)
        except _native.NativeError as error:
            raise from_native(error) from None
        for record in records:
            _events.emit(record)

    def _override(self, how: _Override, reason: str, author: str | None, expires_in: Duration | None) -> None:
        ms = None if expires_in is None else to_ms(expires_in, "expires_in")
        try:
            records = how(self._key, reason, author, ms)
        except _native.NativeError as error:
            raise from_native(error) from None
        for record in records:
            _events.emit(record)
