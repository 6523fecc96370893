"""What travels with a call: its correlation id, its deadline, and what `current()` shows."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token

from seawall import _native
from seawall._clock import MS
from seawall._errors import ConfigError
from seawall._record import record
from seawall._typing import Any, Optional, overload

_correlation: ContextVar[str | None] = ContextVar("seawall_correlation", default=None)
_deadline: ContextVar[_native.Due | None] = ContextVar("seawall_deadline", default=None)
# The trace that a trusted caller told of (W3C Trace Context).
_trace: ContextVar[str | None] = ContextVar("seawall_trace", default=None)
# Gives the trace of the span that this code runs in, where a tracer is instrumented: it stands before the caller's.
trace_source: Callable[[], str | None] | None = None
# The letter that is being redriven here, and how often it was redriven.
_redriven: ContextVar[tuple[str | None, int]] = ContextVar("seawall_redriven", default=(None, 0))


@record
class Current:
    """What is known inside a guarded call. Outside of one, `attempt` is 0 and all else that is not in the context is None.

    `attempt` counts from 1; outside of a call it is what a trusted caller said of its own. `key` and `idempotency_key` are those of the call. `error` is the error that a fallback
    stands in for. `correlation_id` is the id of the context, if it has one.
    """

    attempt: int = 0
    key: str | None = None
    idempotency_key: str | None = None
    error: BaseException | None = None
    correlation_id: str | None = None
    _deadline: int | None = None
    # Letters written inside a call that is being retried: where they lie, and by what call. None outside of one.
    _letters: list[Written] | None = None
    # The bulkhead slots that the attempts around this code hold.
    _chain: tuple[int, ...] = ()

    @property
    def remaining(self) -> float | None:
        """Seconds left of the attempt, the call or a caller's deadline, whichever is nearest; None where nothing limits it."""
        return _left(self._deadline)


# Queue, store, correlation id and operation of a letter.
Written = tuple[str, Optional[str], str, str]

_NONE = Current()
# What is said has a number before it, and later ones are greater. An async call on the fast path stands here for itself until somebody asks.
_current: ContextVar[Any] = ContextVar("seawall_current", default=_NONE)


def _due() -> int | None:
    """The deadline of this context, in nanoseconds of the clock."""
    found = _deadline.get()
    return None if found is None else found.ns


def _left(deadline: int | None) -> float | None:
    return None if deadline is None else max(0, deadline - _native.clock_now()) / 1e9


def current() -> Current:
    """The guarded call that this code runs in. Never None."""
    _settle()
    return _said()


def _said() -> Current:
    """What the context says."""
    return _or_none(_current.get())


def _say(here: Current) -> Token[Any]:
    return _current.set((_native.fast_serial(), here))


def say_again() -> None:
    """A context is entered again: what it says is of something inside the calls under way."""
    found = _current.get()
    if isinstance(found, tuple):
        _say(found[1])


def _or_none(found: Any) -> Current:
    """What is known where the context says `found`."""
    if found is _NONE or found is Token.MISSING:
        return Current(correlation_id=_correlation.get(), _deadline=_due())
    here: Current = found[1]
    return here


def correlation_id() -> str | None:
    """The correlation id of this context, or None. It never makes one."""
    _settle()
    return _correlation.get()


@contextmanager
def correlate(correlation_id: str) -> Generator[str, None, None]:
    """Gives everything inside this correlation id. An id that is not 1 to 128 safe characters is replaced by a new one."""
    _settle()
    chosen = _native.clean_id(correlation_id) or _native.mint_id()
    token = _correlation.set(chosen)
    try:
        yield chosen
    finally:
        _correlation.reset(token)


@overload
def deadline() -> float | None: ...
@overload
def deadline(default: float) -> float: ...
def deadline(default: float | None = None) -> float | None:
    """Seconds left of the nearest deadline that this code runs under, else `default`."""
    _settle()
    left = _left(_due())
    return default if left is None else left


def deadline_ms() -> int:
    """Whole milliseconds left of the context's deadline, rounded down; -1 if there is none."""
    found = _due()
    return -1 if found is None else max(0, found - _native.clock_now()) // MS


def headers() -> dict[str, str]:
    """Headers to send with a request, so that the next service continues this call: correlation id, deadline, attempt
    number, idempotency key and `traceparent`, each where it is known."""
    here = current()
    found: dict[str, str] = {}
    left = deadline_ms()
    if left >= 0:
        found["x-seawall-deadline-ms"] = str(left)
    if here.attempt:
        found["x-seawall-attempt"] = str(here.attempt)
    if here.correlation_id is not None:
        found["x-correlation-id"] = here.correlation_id
    if here.idempotency_key is not None:
        found["idempotency-key"] = here.idempotency_key
    trace = (trace_source() if trace_source is not None else None) or _trace.get()
    if trace is not None:
        found["traceparent"] = trace
    return found


def _clean_trace(header: str) -> str | None:
    """The header as it is, if it is one of the version that everybody reads; none of the zeros that stand for nothing."""
    if len(header) != 55 or not set(header) <= set("0123456789abcdef-"):
        return None
    version, trace, span, flags = (*header.split("-"), "", "", "")[:4]
    fits = (len(version), len(trace), len(span), len(flags)) == (2, 32, 16, 2)
    return header if fits and version != "ff" and int(trace, 16) and int(span, 16) else None


_LONGEST_MS = 86_400_000


@contextmanager
def receive(headers: Mapping[str, str], trust: bool = False) -> Generator[None, None, None]:
    """Continues what the headers of a request tell: `with seawall.receive(request.headers): ...`.

    The correlation id is always taken (`x-correlation-id`, else `x-request-id`); the deadline, the attempt, the idempotency
    key and the `traceparent` only with `trust=True`, for callers of your own. Without an id one is made. Bad values are ignored.
    """
    if not isinstance(headers, Mapping) and not hasattr(headers, "items"):
        raise ConfigError(f"expected a mapping of headers, not {type(headers).__name__}", path="receive.headers")
    _settle()
    lower = {_text(name).lower(): _text(value) for name, value in headers.items()}
    id_header = lower.get("x-correlation-id") or lower.get("x-request-id") or ""
    id_token = _correlation.set(_native.clean_id(id_header) or _native.mint_id())
    limit = lower.get("x-seawall-deadline-ms", "") if trust else ""
    limit_token = key_token = None
    if limit.isascii() and limit.isdigit():
        due = _native.clock_now() + min(int(limit[:12]), _LONGEST_MS) * MS
        before = _due()
        limit_token = _deadline.set(_native.Due(due if before is None else min(due, before)))
    key = _native.clean_id(lower.get("idempotency-key", "")) if trust else None
    attempt = lower.get("x-seawall-attempt", "") if trust else ""
    number = int(attempt) if attempt.isascii() and attempt.isdigit() and len(attempt) <= 6 else 0
    if key is not None or number:
        key_token = _say(Current(attempt=number, idempotency_key=key, correlation_id=_correlation.get(), _deadline=_due()))
    trace = _clean_trace(lower.get("traceparent", "")) if trust else None
    trace_token = _trace.set(trace) if trace is not None else None
    try:
        yield
    finally:
        if trace_token is not None:
            _trace.reset(trace_token)
        if key_token is not None:
            _current.reset(key_token)
        if limit_token is not None:
            _deadline.reset(limit_token)
        _correlation.reset(id_token)


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


class Frame:
    """A call on the fast path that was said for real: its contexts, and what to take back of them."""

    __slots__ = ("here", "letters", "tokens")

    def __init__(self, here: Current, letters: list[Written] | None) -> None:
        self.here = here
        # Those of calls inside, if a retry of its own collects them.
        self.letters = letters
        self.tokens: list[tuple[Token[Any], Token[str | None], Token[_native.Due | None] | None]] = []


def _settle() -> None:
    """Calls on the fast path say nothing of themselves in the context. This says it for those under way on this thread."""
    _native.fast_settle(_current.get())


def enter_frame(retries: bool, slot: int, around: Frame | Current | None, due: int) -> Frame:
    """What a call on the fast path is, inside of another, of what a context said, or of what the context says now. `due`: its limit, or 0."""
    outer = around.here if isinstance(around, Frame) else _said() if around is None else _or_none(around)
    letters: list[Written] | None = [] if retries else None
    here = Current(
        attempt=1,
        idempotency_key=outer.idempotency_key,
        correlation_id=outer.correlation_id or _native.mint_id(),
        # Inside a limit of somebody else's no call is on the fast path.
        _deadline=due or outer._deadline,
        _letters=letters if retries else outer._letters,
        _chain=outer._chain if slot < 0 else (*outer._chain, slot),
    )
    return Frame(here, letters)


def enter_again(frame: Frame) -> None:
    """Says for real, in a context that does not know it yet, that the call is under way."""
    due = frame.here._deadline
    limit = None if due is None or due == _due() else _deadline.set(_native.Due(due))
    frame.tokens.append((_say(frame.here), _correlation.set(frame.here.correlation_id), limit))


def leave_frame(frame: Frame) -> bool:
    """The call is over. True if letters were written inside of it that its success recovers."""
    for current, correlation, limit in reversed(frame.tokens):
        try:
            if limit is not None:
                _deadline.reset(limit)
            _correlation.reset(correlation)
            _current.reset(current)
        except ValueError:
            # Said in a context that was copied inside the call, and is not this one.
            continue
    frame.tokens.clear()
    return bool(frame.letters)


class attempt_context:
    """Runs an attempt, or a fallback, where `current()` and `deadline()` speak of it.

    A class and not a generator, because `contextlib` sets attributes on errors that pass, and some errors refuse that.
    """

    def __init__(self, here: Current) -> None:
        self._here = here

    def __enter__(self) -> None:
        here = self._here
        due = None if here._deadline is None else _native.Due(here._deadline)
        self._tokens = (_say(here), _correlation.set(here.correlation_id), _deadline.set(due))

    def __exit__(self, *error: object) -> None:
        current, correlation, deadline = self._tokens
        _deadline.reset(deadline)
        _correlation.reset(correlation)
        _current.reset(current)


def redrives() -> int:
    """How often the letter was redriven whose handler runs here; 0 outside of one."""
    return _redriven.get()[1]


def redriven_id() -> str | None:
    """The letter whose handler runs here: a call that fails in it adds to that letter."""
    return _redriven.get()[0]


@contextmanager
def redriving(letter_id: str, redrives: int, correlation_id: str | None, idempotency_key: str | None) -> Generator[None, None, None]:
    """Runs the handler of a letter in the letter's own context."""
    _settle()
    here = Current(idempotency_key=idempotency_key, correlation_id=correlation_id or _correlation.get(), _deadline=_due())
    token = _redriven.set((letter_id, redrives))
    try:
        with attempt_context(here):
            yield
    finally:
        _redriven.reset(token)
