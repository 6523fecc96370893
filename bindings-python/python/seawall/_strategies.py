"""One word per strategy. Each call makes a decorator that is also a part of a policy."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from seawall._argument import OfArguments, Picker
from seawall._classify import Matcher
from seawall._durations import Duration, to_spec
from seawall._errors import ConfigError, InjectedFaultError
from seawall._late import datetime
from seawall._part import UNSET, Fn, Unset, bare, check_code, known, part_of
from seawall._plan import Part
from seawall._policy import Policy
from seawall._typing import Any, Literal, NoReturn, TypedDict, Union, overload


class AbortWhen(TypedDict, total=False):
    """What ends an experiment of chaos early."""

    breaker: Literal["open"]
    policy: str
    failure_ratio: float
    minimum_throughput: int


class RetryBudget(TypedDict, total=False):
    """How many retries the calls of the last ten seconds pay for: a share of them, and so many more per second."""

    ratio: float
    per_second: float


@overload
def retry(fn: Fn, /) -> Fn: ...
@overload
def retry(
    *,
    max_attempts: int | None = None,
    backoff: Literal["exponential", "linear", "constant"] | None = None,
    base_delay: Duration | None = None,
    factor: float | None = None,
    max_delay: Duration | None = None,
    jitter: Literal["full", "equal", "decorrelated", "none"] | None = None,
    on: Matcher | None = None,
    ignore: Matcher | None = None,
    on_result: Callable[[Any], object] | None = None,
    retry_after: Callable[[Any], object] | None = None,
    retry_after_max: Duration | None = None,
    wait_for_breaker: bool | None = None,
    retry_budget: RetryBudget | Literal[False] | Unset | None = ...,
    name: str | None = None,
    key: Picker | None = None,
    scope: Literal["process"] | None = None,
) -> Policy[NoReturn]: ...
def retry(
    fn: Any = None,
    /,
    *,
    name: str | None = None,
    key: Picker | None = None,
    scope: str | None = None,
    retry_budget: Any = UNSET,
    **options: Any,
) -> Any:
    """Calls again when a call fails in a way that may pass. Writing it declares that the call may be repeated.

    max_attempts: attempts in all, the first included; 3.
    backoff: how waits grow, "exponential" (base_delay x factor^n), "linear" or "constant"; "exponential".
    base_delay, max_delay: the first wait and the cap of a wait, both before jitter; "100ms" and "10s".
    factor: how much longer each exponential wait is than the one before; 2.
    jitter: how a wait is spread, "full", "equal", "decorrelated" or "none"; "full".
    on, ignore: what counts as a failure, and what does not; by default every error but programming errors, rejections by
        a policy and client errors.
    on_result: a predicate on results; a rejected one is retried, and returned in the end.
    retry_after: gives the server's wait in seconds (or a timedelta, or "never") from an error or a rejected result; by
        default it is read from `retry_after` or the Retry-After header.
    retry_after_max: the longest wait that a server may ask for; a longer one ends the call; "60s".
    wait_for_breaker: keep retrying when the circuit breaker inside has opened; False.
    retry_budget: how many retries the calls of the last ten seconds pay for; {"ratio": 0.2, "per_second": 1}; None: no limit.

    When retries are used up the callee's own error is raised. Raises ConfigError for what cannot work.
    """
    budget = {} if isinstance(retry_budget, Unset) else {"retry_budget": retry_budget or False}
    known("retry", options)
    return bare(fn, "retry", lambda: part_of("retry", name, key, scope, **budget, **options))


@overload
def circuit_breaker(fn: Fn, /) -> Fn: ...
@overload
def circuit_breaker(
    *,
    failure_ratio: float | None = None,
    minimum_throughput: int | None = None,
    sampling_duration: Duration | None = None,
    window_size: int | None = None,
    consecutive_failures: int | None = None,
    slow_call_duration: Duration | None = None,
    slow_call_ratio: float | None = None,
    break_duration: Duration | None = None,
    max_break_duration: Duration | None = None,
    break_jitter: float | None = None,
    reset_after: Duration | None = None,
    half_open_max_calls: int | None = None,
    half_open_successes: int | None = None,
    half_open_lease: Duration | None = None,
    throttle: bool | None = None,
    ramp: Duration | None = None,
    on: Matcher | None = None,
    ignore: Matcher | None = None,
    on_result: Callable[[Any], object] | None = None,
    name: str | None = None,
    key: Picker | None = None,
    scope: Literal["process"] | None = None,
) -> Policy[NoReturn]: ...
def circuit_breaker(
    fn: Any = None, /, *, name: str | None = None, key: Picker | None = None, scope: str | None = None, **options: Any
) -> Any:
    """Stops calling what keeps failing, and tries it again after a break.

    failure_ratio, minimum_throughput: opens when this share of at least so many calls in the window failed; 0.5 and 20.
    sampling_duration, window_size: the window, as a length of time or as the last so many calls; "30s".
    consecutive_failures: opens after so many failures in a row; by default five, below the minimum throughput.
    break_duration, max_break_duration, break_jitter: how long it stays open, doubling up to the cap, spread by a share of
        it; "5s", "60s", 0.2.
    reset_after: how long it must stay closed before breaks start short again; max_break_duration.
    half_open_max_calls, half_open_successes, half_open_lease: trial calls after a break, how many must succeed, and how
        long one may take; 3, 2, the attempt's limit or "10s".
    slow_call_duration, slow_call_ratio: opens when this share of the calls in the window took longer; off, 0.5.
    throttle: reject a share of the calls that grows with the failures, instead of opening; False.
    ramp: after a break, how long the share of calls let through takes to grow from a tenth to all; at once.
    on, ignore, on_result: what counts as a failure, as for `retry`.

    While it is open calls raise CircuitOpenError at once. Raises ConfigError for what cannot work.
    """
    known("circuit_breaker", options)
    return bare(fn, "circuit_breaker", lambda: part_of("circuit_breaker", name, key, scope, **options))


@overload
def bulkhead(fn: Fn, /) -> Fn: ...
@overload
def bulkhead(
    *,
    max_concurrent: int | None = None,
    max_queue: int | None = None,
    max_wait: Duration | None = None,
    adaptive: bool | None = None,
    min_limit: int | None = None,
    max_limit: int | None = None,
    name: str | None = None,
    key: Picker | None = None,
    scope: Literal["process"] | None = None,
) -> Policy[NoReturn]: ...
def bulkhead(
    fn: Any = None, /, *, name: str | None = None, key: Picker | None = None, scope: str | None = None, **options: Any
) -> Any:
    """Bounds how many attempts are in flight at once.

    max_concurrent: attempts in flight; 64.
    max_queue: calls that may wait for a slot, first come, first served; 0.
    max_wait: the longest wait in the queue; by default the call's total limit.
    adaptive: find the number of slots, from 16 on, by how long attempts take, in place of max_concurrent; False.
    min_limit, max_limit: the fewest and the most slots that adaptive may come to; 1 and 512.

    Beyond that calls raise BulkheadFullError. Raises ConfigError for what cannot work.
    """
    known("bulkhead", options)
    return bare(fn, "bulkhead", lambda: part_of("bulkhead", name, key, scope, **options))


def rate_limit(
    *,
    rate: str,
    burst: int | None = None,
    max_wait: Duration | None = None,
    name: str | None = None,
    key: Picker | None = None,
    scope: Literal["process"] | None = None,
) -> Policy[NoReturn]:
    """Bounds how many attempts start in a span of time.

    rate: "100/s", "5/m" or "1000/h".
    burst: how many may come at once after a pause; one second's worth, at least 1.
    max_wait: the longest wait for a turn; a longer one raises RateLimitedError at once; "0ms".

    Raises ConfigError for what cannot work.
    """
    return part_of("rate_limit", name, key, scope, rate=rate, burst=burst, max_wait=max_wait)


def timeout(
    *,
    attempt: Duration | None = None,
    total: Duration | None = None,
    idle: Duration | None = None,
    thread: bool | None = None,
    name: str | None = None,
    key: Picker | None = None,
    scope: Literal["process"] | None = None,
) -> Policy[NoReturn]:
    """Limits each attempt, the whole call with its retries and waits, or both. Raises TimeoutExceededError.

    attempt, total: the limits. Of a generator: to its first item, and the whole without the consumer's own time.
    idle: the limit of a generator between items, the consumer's own time aside.
    thread: run each attempt of a sync function in a thread that can be walked away from; False. Without it sync work is
        never cut: a late value is returned all the same, and counts as a failure for the circuit breaker.

    Raises ConfigError for what cannot work.
    """
    return part_of("timeout", name, key, scope, attempt=attempt, total=total, idle=idle, thread=thread)


def hedge(
    *,
    delay: Duration | None = None,
    max_hedges: int | None = None,
    name: str | None = None,
    key: Picker | None = None,
    scope: Literal["process"] | None = None,
) -> Policy[NoReturn]:
    """Starts a call again while it is still running, and takes whichever succeeds first. The others are cancelled.

    delay: how long the first attempt may take before the next is started; by default as long as 95 of 100 calls took of late.
    max_hedges: extra attempts; 1.

    Writing it declares that the call may be made twice. Of sync functions it needs `timeout(thread=True)`. Raises ConfigError for what
    cannot work.
    """
    return part_of("hedge", name, key, scope, delay=delay, max_hedges=max_hedges)


Fault = Union[type[BaseException], Callable[[], BaseException], str]


def chaos(
    *,
    rate: float | str,
    fault: Fault | Sequence[tuple[Fault, float]] | None = None,
    latency: Duration | None = None,
    outcome: object = UNSET,
    behavior: Callable[[], object] | None = None,
    seed: int | None = None,
    only: OfArguments | None = None,
    window: str | None = None,
    max_share: float | str | None = None,
    abort_when: AbortWhen | None = None,
    until: datetime.datetime | str | None = None,
    expires_in: Duration | None = None,
    name: str | None = None,
    key: Picker | None = None,
    scope: Literal["process"] | None = None,
) -> Policy[NoReturn]:
    """Injects faults and latency into a share of the attempts. Without effect unless the process was started with
    SEAWALL_CHAOS=allow, or under `seawall.testing.clock`.

    rate: the share of attempts struck, 0 to 1 or "30%".
    fault: the error to raise: a class, a function that makes one, a name for an InjectedFaultError, or a list of these with weights.
    latency: the delay to add, a duration or a range such as "200ms..800ms".
    outcome: what to return in place of the call: a value, a function that gives one, or a list of these with weights.
    behavior: a function, sync or async, that runs in each attempt struck, before the rest.
    seed: decides which attempts are struck; by default the policy object's own.
    only: a predicate on the call's arguments: only such calls may be struck.
    window: when it strikes: "2m every 10m", from the start of the process, or "Mon-Fri 09:00-17:00 Europe/Berlin".
    max_share: the most that is ever struck of any 100 attempts in a row, 0.01 to 1 or "20%", whatever `rate` and the draws say.
    abort_when: what ends it early: {"breaker": "open"}, the policy's own circuit opens, or that of the "policy" named;
        {"failure_ratio": 0.5}, so many of the last 50 calls failed, once there are "minimum_throughput" (20).
    until, expires_in: when it ends; one of them must be given.

    Raises ConfigError for what cannot work.
    """
    part = Part("chaos", {"rate": rate}, {}, name, key)
    if fault is not None:
        listed = list(fault) if isinstance(fault, Sequence) and not isinstance(fault, str) else None
        part.code["fault"] = tuple(_maker(one[0]) for one in listed) if listed is not None else (_maker(fault),)
        part.data["fault"] = {"faults": [one[1] for one in listed] if listed is not None else 1}
    if not isinstance(outcome, Unset):
        outcomes = _weighted(outcome)
        part.code["outcome"] = tuple((callable(what), what) for what, _ in outcomes)
        part.data["outcome"] = {"faults": [weight for _, weight in outcomes]}
    if behavior is not None:
        if not callable(behavior):
            raise ConfigError(f"expected a function, not {behavior!r}", path="chaos.behavior")
        part.code["behavior"] = behavior
    if only is not None:
        check_code("only", only, "chaos.only")
        part.code["only"] = only
    if isinstance(until, datetime.datetime):
        if until.tzinfo is None:
            raise ConfigError("an instant needs a time zone", path="chaos.until")
        until = until.isoformat()
    for option, value in (("latency", latency), ("seed", seed), ("window", window), ("max_share", max_share), ("abort_when", abort_when), ("until", until), ("expires_in", expires_in), ("scope", scope)):
        if value is not None:
            part.data[option] = to_spec(value, f"chaos.{option}")
    return Policy._of_parts(name, [part], key=key)


def _weighted(outcome: object) -> list[tuple[object, float]]:
    """The outcomes with their weights. A list of anything else than pairs is a value."""
    if isinstance(outcome, list) and outcome and all(isinstance(one, tuple) and len(one) == 2 for one in outcome):
        return outcome
    return [(outcome, 1)]


def _maker(fault: object) -> Callable[[], BaseException]:
    """A function that makes one fault."""
    if isinstance(fault, str):
        text = fault
        return lambda: InjectedFaultError(text)
    if isinstance(fault, type) and issubclass(fault, Exception):
        kind = fault
        return lambda: kind("injected by chaos")
    if callable(fault) and not isinstance(fault, type):
        return fault
    raise ConfigError(f"expected an exception class, a function that makes an error, or a name, not {fault!r}", path="chaos.fault")
