"""Every error that Seawall raises, and what can be told about an error that came out of a guarded call."""

from __future__ import annotations

import math
import sys

from seawall import _native
from seawall._late import json
from seawall._record import record
from seawall._table import ERROR_CLASSES, ErrorCode, Reason
from seawall._typing import TYPE_CHECKING, Any

_FAILURE = "__seawall_failure__"
_NOTE = "seawall: "
# In place of a `Failure`: the call was turned away without an attempt, and the error itself says all there is.
_REFUSED = "refused"


class SeawallError(Exception):
    """The root of all errors of Seawall.

    `code` is one of `seawall.ErrorCode`, the same in every language. `policy` is the name of the policy, or for an
    unnamed one the first function that it guarded. `key` is the key of the call. `retry_after` is the number of
    seconds after which another call makes sense, or None.
    """

    code: ErrorCode = "result.rejected"

    def __init__(
        self,
        message: str = "",
        *,
        code: ErrorCode | None = None,
        policy: str = "",
        key: str | None = None,
        retry_after: float | None = None,
        correlation_id: str | None = None,
    ) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code
        self.policy = policy
        self.key = key
        self.retry_after = retry_after
        self.correlation_id = correlation_id

    def __reduce__(self) -> tuple[Any, ...]:
        # The id is asked for first: it may be made only now.
        return (_rebuild, (type(self), self.args, {"correlation_id": self.correlation_id, **self.__dict__}))


def _rebuild(kind: type[SeawallError], args: tuple[Any, ...], state: dict[str, Any]) -> SeawallError:
    """Makes an unpickled error. Past `__init__`, whose arguments are not those that an exception keeps."""
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class _LateId:
    """The correlation id of a call that was turned away at once: made when somebody asks."""

    def __get__(self, error: SeawallError | None, owner: type[SeawallError]) -> object:
        return self if error is None else error.__dict__.setdefault("correlation_id", _native.mint_id())


class RejectedError(SeawallError):
    """A policy refused the call, and the callee was not reached."""

    code: ErrorCode = "circuit.open"
    if not TYPE_CHECKING:
        correlation_id = _LateId()

    @property
    def http_status(self) -> int:
        """The status that a service would answer with: 503, or 429 for a rate limit."""
        return ERROR_CLASSES[self.code][1]

    @property
    def http_headers(self) -> dict[str, str]:
        """`retry-after` in whole seconds, rounded up, where it is known."""
        return {} if self.retry_after is None else {"retry-after": str(math.ceil(self.retry_after))}


class CircuitOpenError(RejectedError):
    """The circuit breaker is open (`circuit.open`) or somebody holds it open (`circuit.isolated`)."""

    code: ErrorCode = "circuit.open"


class BulkheadFullError(RejectedError):
    """Every slot of the bulkhead is in use, and the queue is full or the wait in it was too long."""

    code: ErrorCode = "bulkhead.full"


class RateLimitedError(RejectedError):
    """The rate limit would be exceeded, and waiting for a turn would take longer than allowed."""

    code: ErrorCode = "rate.limited"


if sys.version_info >= (3, 11):
    _TimeoutBase = TimeoutError
else:
    # Before 3.11 asyncio had a class of its own; `except asyncio.TimeoutError` must catch ours there too.
    from asyncio.exceptions import TimeoutError as _AsyncioTimeoutError

    class _TimeoutBase(TimeoutError, _AsyncioTimeoutError):
        pass


class TimeoutExceededError(SeawallError, _TimeoutBase):
    """A limit passed: of the attempt (`timeout.attempt`), of the call (`timeout.total`) or of a caller (`timeout.deadline`)."""

    code: ErrorCode = "timeout.attempt"


class InjectedFaultError(SeawallError):
    """A fault that chaos injected, where no class of your own was given."""

    code: ErrorCode = "chaos.injected"


class ConfigError(SeawallError, ValueError):
    """Something is written wrongly. `path` names the place, such as `retry.max_attempts`; the message says what would be right."""

    code: ErrorCode = "config.invalid"

    def __init__(self, message: str = "", *, path: str = "", **fields: Any) -> None:
        super().__init__(f"{path}: {message}" if path else message, **fields)
        self.path = path


class StoreError(SeawallError):
    """The dead-letter store could not do what was asked (`store.failed`, `store.unsupported`, `store.schema`)."""

    code: ErrorCode = "store.failed"


_CLASSES: dict[str, type[SeawallError]] = {
    kind.__name__: kind
    for kind in (
        SeawallError,
        CircuitOpenError,
        BulkheadFullError,
        RateLimitedError,
        TimeoutExceededError,
        InjectedFaultError,
        ConfigError,
        StoreError,
    )
}


def refused_fields(error: SeawallError) -> dict[str, object]:
    """The fields of an error that alone tells of its call. Its id is made when somebody asks, if its context had none."""
    fields = {**error.__dict__, _FAILURE: _REFUSED}
    del fields["correlation_id"]
    return fields


def make(code: ErrorCode, message: str, **fields: Any) -> SeawallError:
    """The error of a code, of the class that the table names."""
    return _CLASSES[ERROR_CLASSES[code][0]](message, code=code, **fields)


def from_native(error: _native.NativeError) -> SeawallError:
    """The public error for one of the native module's, whose text is JSON."""
    said = json.loads(str(error))
    code: ErrorCode = said["code"]
    if code == "config.invalid":
        return ConfigError(said["message"], path=said.get("path") or "")
    return make(code, said["message"])


@record
class AttemptRecord:
    """One attempt of a call that failed. Times are in seconds, `started` counted from the start of the call."""

    number: int
    outcome: str
    error_type: str | None
    started: float
    duration: float
    delay: float | None


@record
class Failure:
    """What a policy knows about an error that came out of it.

    `delays` are the waits between the attempts, in seconds. `reason` says why no further attempt was made, None where
    nothing was to be retried. `letter_id` names the dead letter, and `injected` tells that chaos made the error.
    """

    attempts: tuple[AttemptRecord, ...]
    reason: Reason | None
    policy: str
    key: str | None
    correlation_id: str
    letter_id: str | None
    injected: bool

    @property
    def delays(self) -> tuple[float, ...]:
        """The waits between the attempts, in seconds."""
        return tuple(attempt.delay for attempt in self.attempts if attempt.delay is not None)


def failure(error: BaseException) -> Failure | None:
    """What is known about an error that came out of a policy, or None if none raised it."""
    found = getattr(error, _FAILURE, None)
    if found is _REFUSED and isinstance(error, SeawallError):
        return Failure((), None, error.policy, error.key, error.correlation_id or "", None, False)
    return found if isinstance(found, Failure) else None


def annotate(error: BaseException, report: dict[str, Any], letter_id: str | None) -> None:
    """Attaches the report to the error, and one note for a reader of the traceback. Failing to is harmless."""
    attempts = tuple(
        AttemptRecord(
            number=row["number"],
            outcome=row["outcome"],
            error_type=row.get("error_type"),
            started=row["started_ms"] / 1000,
            duration=(row.get("duration_ms") or 0) / 1000,
            delay=None if row.get("delay_ms") is None else row["delay_ms"] / 1000,
        )
        for row in report["attempts"]
    )
    found = Failure(
        attempts=attempts,
        reason=report.get("reason"),
        policy=report["policy"],
        key=report.get("key"),
        correlation_id=report["correlation_id"],
        letter_id=letter_id,
        injected=bool(report.get("injected")),
    )
    try:
        setattr(error, _FAILURE, found)
        _note(error, found)
    except Exception:
        return


def _note(error: BaseException, found: Failure) -> None:
    if not found.attempts or sys.version_info < (3, 11):
        return
    count = len(found.attempts)
    text = f"{_NOTE}policy {found.policy!r}, {count} attempt{'s' if count > 1 else ''}"
    if found.reason is not None:
        text += f", {found.reason}"
    notes = [note for note in getattr(error, "__notes__", ()) if not note.startswith(_NOTE)]
    # Replaced and not appended: the error may pass through several policies, or be raised again and again.
    error.__notes__ = [*notes, f"{text}, correlation id {found.correlation_id}"]
