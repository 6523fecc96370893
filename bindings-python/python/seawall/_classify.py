"""Facts about errors and results, as the engine wants them. What they mean is decided there, not here."""

from __future__ import annotations

import errno
import math
from collections.abc import Callable, Iterable

from seawall._durations import to_ms
from seawall._errors import (
    ConfigError,
    Failure,
    InjectedFaultError,
    RejectedError,
    SeawallError,
    TimeoutExceededError,
    failure,
)
from seawall._late import datetime, email_utils, logger
from seawall._record import record
from seawall._typing import Any, Union

# A class, a code string, a predicate, or an iterable of these.
Matcher = Union[type[BaseException], str, Callable[[BaseException], object], Iterable[Any]]

Test = Callable[[BaseException], bool]

SUCCESS, ERROR, PROGRAMMING, REJECTED, CONFIG, CANCELLED, INJECTED, TIMEOUT = range(8)
NOTHING, NEVER = -1, -2
RETRY_RESULT, BREAKER_RESULT = 256, 512

_PROGRAMMING = (TypeError, AttributeError, NameError, ImportError, SyntaxError, AssertionError, NotImplementedError)
_INJECTED = "__seawall_injected__"


@record
class Facts:
    """One outcome as it crosses the boundary."""

    kind: int
    bits: int = 0
    status: int = 0
    retry_after_ms: int = NOTHING
    error_type: str = ""


def kind_of(error: BaseException) -> int:
    """What kind of end an error is."""
    if not isinstance(error, Exception):
        # KeyboardInterrupt, SystemExit, GeneratorExit, asyncio's and trio's cancellation: none of them is a failure.
        return CANCELLED
    if isinstance(error, RejectedError):
        return REJECTED
    if isinstance(error, ConfigError):
        return CONFIG
    if isinstance(error, InjectedFaultError) or getattr(error, _INJECTED, False) is True:
        return INJECTED
    if isinstance(error, TimeoutExceededError):
        return TIMEOUT
    return PROGRAMMING if isinstance(error, _PROGRAMMING) else ERROR


def mark_injected(error: BaseException) -> None:
    """Marks an error that chaos made, so that every policy around it knows. Failing to is harmless."""
    try:
        setattr(error, _INJECTED, True)
    except Exception:
        return


def status_of(thing: object) -> int:
    """The HTTP status on an error or response, or on the response that an error carries; 0 if there is none.

    What one of our own errors would be answered with is not what a server said.
    """
    if isinstance(thing, SeawallError):
        return 0
    for holder in (thing, getattr(thing, "response", None)):
        for name in ("status_code", "status", "http_status"):
            value = getattr(holder, name, None)
            if isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599:
                return int(value)
    return 0


def pushback_of(thing: object, read: Callable[[Any], object] | None) -> int:
    """The wait that the server asked for, in milliseconds rounded up; -1 for none, -2 for never."""
    try:
        if read is not None:
            return _pushback(read(thing))
        own = getattr(thing, "retry_after", None)
        if own is not None:
            return _pushback(own)
        for holder in (thing, getattr(thing, "response", None)):
            headers = getattr(holder, "headers", None)
            if headers is not None:
                value = headers.get("retry-after") or headers.get("Retry-After")
                if value is not None:
                    return _header(str(value))
    except Exception:
        # An odd header or a failing reader says nothing; the call goes on with our own delay.
        logger.debug("a Retry-After could not be read", exc_info=True)
    return NOTHING


def _pushback(value: object) -> int:
    if value is None or isinstance(value, bool):
        return NOTHING
    if value == "never" or value == math.inf:
        return NEVER
    if isinstance(value, datetime.timedelta):
        value = value.total_seconds()
    if isinstance(value, (int, float)):
        return max(0, math.ceil(round(value * 1000, 6)))
    return to_ms(value, "retry_after") if isinstance(value, str) else NOTHING


def _header(text: str) -> int:
    text = text.strip()
    if text.isdigit():
        return int(text) * 1000
    moment = email_utils.parsedate_to_datetime(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.timezone.utc)
    left = (moment - datetime.datetime.now(datetime.timezone.utc)).total_seconds()
    return max(0, math.ceil(left * 1000))


def code_of(error: BaseException) -> str | None:
    """The code of an error: ours, its own `code`, or the name of its errno."""
    code = getattr(error, "code", None)
    if isinstance(code, str):
        return code
    number = getattr(error, "errno", None)
    return errno.errorcode.get(number) if isinstance(number, int) else None


def compile_matcher(spec: Matcher, path: str) -> Test:
    """Turns what stands at `on` or `ignore` into one test. Raises `ConfigError` for what cannot match."""
    tests = [_compile_one(item, path) for item in _flatten(spec)]
    if len(tests) == 1:
        return tests[0]
    return lambda error: any(test(error) for test in tests)


def _flatten(spec: Matcher) -> Iterable[object]:
    if isinstance(spec, (str, type)) or callable(spec):
        return (spec,)
    if isinstance(spec, Iterable):
        return [item for part in spec for item in _flatten(part)]
    return (spec,)


def _compile_one(item: object, path: str) -> Test:
    if isinstance(item, type):
        if not issubclass(item, BaseException):
            raise ConfigError(f"{item.__name__} is not an exception class", path=path)
        kind: type[BaseException] = item
        return lambda error: isinstance(error, kind)
    if isinstance(item, str):
        return _compile_code(item, path)
    if callable(item):
        return _guarded(item, path)
    raise ConfigError(f"expected an exception class, a code, a predicate, or several of these, not {item!r}", path=path)


def _compile_code(code: str, path: str) -> Test:
    if not code.startswith("http:"):
        return lambda error: code_of(error) == code
    status = code[len("http:") :]
    if len(status) == 3 and status[0] in "12345" and status[1:] == "xx":
        hundreds = int(status[0])
        return lambda error: status_of(error) // 100 == hundreds
    if len(status) == 3 and status.isdigit() and 100 <= int(status) <= 599:
        exact = int(status)
        return lambda error: status_of(error) == exact
    raise ConfigError(f"{code!r} is not an HTTP status; write one such as 'http:429' or 'http:5xx'", path=path)


def _guarded(predicate: Callable[..., object], path: str) -> Callable[[Any], bool]:
    """A predicate that raises matches nothing; that is said once."""
    told = False

    def test(thing: Any) -> bool:
        nonlocal told
        try:
            return bool(predicate(thing))
        except Exception:
            if not told:
                told = True
                logger.exception("%s raised; it is taken for no match", path)
            return False

    return test


def compile_result_test(predicate: object, path: str) -> Callable[[Any], bool]:
    """The test of `on_result`."""
    if not callable(predicate):
        raise ConfigError(f"expected a function of the result, not {predicate!r}", path=path)
    return _guarded(predicate, path)


def transient(thing: object) -> bool:
    """Whether an error or a response looks like something that passes: connection and time-out errors, the statuses 408,
    425, 429 and 5xx, and whatever carries a Retry-After. Strict: everything else is False."""
    status = status_of(thing)
    if status in (408, 425, 429) or status >= 500 or pushback_of(thing, None) >= 0:
        return True
    return isinstance(thing, (ConnectionError, TimeoutError))


def was_injected(error: BaseException) -> bool:
    """Whether chaos made this error."""
    found: Failure | None = failure(error)
    return kind_of(error) == INJECTED or (found is not None and found.injected)
