"""What a failed call gets: a fallback, and a dead letter. Each call makes a decorator that is also a part of a policy."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from seawall import _argument
from seawall._argument import Picker
from seawall._classify import Matcher
from seawall._durations import Duration, to_spec
from seawall._encode import encode
from seawall._errors import ConfigError
from seawall._part import UNSET, Fn, Unset, bare, known, part_of
from seawall._plan import Part
from seawall._policy import Policy
from seawall._typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar, overload

if TYPE_CHECKING:
    from seawall._letter import DeadLetter

F = TypeVar("F")
G = TypeVar("G")


@overload
def fallback(
    step: Callable[..., Awaitable[F]],
    /,
    *,
    on: Matcher | None = None,
    ignore: Matcher | None = None,
    stale_if_error: bool | None = None,
    max_age: Duration | None = None,
    stale_key: Picker | None = None,
    max_entries: int | None = None,
    max_bytes: int | None = None,
    name: str | None = None,
    key: Picker | None = None,
    scope: Literal["process"] | None = None,
) -> Policy[F]: ...
@overload
def fallback(
    step: Callable[..., F],
    /,
    *,
    on: Matcher | None = None,
    ignore: Matcher | None = None,
    stale_if_error: bool | None = None,
    max_age: Duration | None = None,
    stale_key: Picker | None = None,
    max_entries: int | None = None,
    max_bytes: int | None = None,
    name: str | None = None,
    key: Picker | None = None,
    scope: Literal["process"] | None = None,
) -> Policy[F]: ...
@overload
def fallback(
    step: Callable[..., F],
    last: G,
    /,
    *,
    on: Matcher | None = None,
    ignore: Matcher | None = None,
    stale_if_error: bool | None = None,
    max_age: Duration | None = None,
    stale_key: Picker | None = None,
    max_entries: int | None = None,
    max_bytes: int | None = None,
    name: str | None = None,
    key: Picker | None = None,
    scope: Literal["process"] | None = None,
) -> Policy[F | G]: ...
@overload
def fallback(
    *,
    stale_if_error: Literal[True],
    max_age: Duration | None = None,
    stale_key: Picker | None = None,
    max_entries: int | None = None,
    max_bytes: int | None = None,
    on: Matcher | None = None,
    ignore: Matcher | None = None,
    name: str | None = None,
    key: Picker | None = None,
    scope: Literal["process"] | None = None,
) -> Policy[NoReturn]: ...
@overload
def fallback(
    *values: F,
    on: Matcher | None = None,
    ignore: Matcher | None = None,
    stale_if_error: bool | None = None,
    max_age: Duration | None = None,
    stale_key: Picker | None = None,
    max_entries: int | None = None,
    max_bytes: int | None = None,
    name: str | None = None,
    key: Picker | None = None,
    scope: Literal["process"] | None = None,
) -> Policy[F]: ...
@overload
def fallback(
    *,
    value: F,
    on: Matcher | None = None,
    ignore: Matcher | None = None,
    stale_if_error: bool | None = None,
    max_age: Duration | None = None,
    stale_key: Picker | None = None,
    max_entries: int | None = None,
    max_bytes: int | None = None,
    name: str | None = None,
    key: Picker | None = None,
    scope: Literal["process"] | None = None,
) -> Policy[F]: ...
def fallback(
    *values: Any,
    value: Any = UNSET,
    on: Matcher | None = None,
    ignore: Matcher | None = None,
    stale_if_error: bool | None = None,
    max_age: Duration | None = None,
    stale_key: Picker | None = None,
    max_entries: int | None = None,
    max_bytes: int | None = None,
    name: str | None = None,
    key: Picker | None = None,
    scope: str | None = None,
) -> Any:
    """Answers in place of an error: with a value, or with a function that is called exactly like the callee.

    Several are tried in order. Inside a function the error is `seawall.current().error`. A list is a value.

    value: the value, by name; for one that is itself a function.
    on, ignore: which final errors are answered; by default all but cancellation and programming errors.
    stale_if_error: answer first with the last good result of the same call, if it is at most `max_age` old; False and "5m".
    stale_key: what makes calls the same, a function of the arguments or a path; by default all arguments by value.
    max_entries, max_bytes: how many results are kept, and about how much memory they take; 1000 and 10000000.

    If every step fails the original error is raised. Raises ConfigError for what cannot work.
    """
    steps = [(callable(step), step) for step in values]
    if not isinstance(value, Unset):
        if steps:
            raise ConfigError("give either positional steps or value=, not both", path="fallback.value")
    elif not steps and not stale_if_error:
        raise ConfigError("give a value or a function to fall back on", path="fallback")
    part = Part("fallback", {}, {"steps": tuple(steps)}, name, key)
    if steps:
        part.data["steps"] = len(steps)
    if not isinstance(value, Unset):
        part.data["value"] = _as_data(value)
        part.code["value"] = (part.data["value"], value)
    for option, given in (
        ("stale_if_error", stale_if_error), ("max_age", max_age), ("max_entries", max_entries), ("max_bytes", max_bytes)
    ):
        if given is not None:
            part.data[option] = to_spec(given, f"fallback.{option}") if option == "max_age" else given
    if stale_key is not None:
        _argument.check_form(stale_key, "fallback.stale_key")
        part.code["stale_key"] = stale_key
    for option, matcher in (("on", on), ("ignore", ignore)):
        if matcher is not None:
            part.code[option] = matcher
    if scope is not None:
        part.data["scope"] = scope
    return Policy._of_parts(name, [part], key=key)


def _as_data(value: object) -> Any:
    """How a value crosses the boundary, where a policy file may put another in its place; one without a JSON form by its type."""
    try:
        return encode(value)
    except Exception:
        # A model's own code may raise anything.
        return f"<{type(value).__qualname__}>"


@overload
def dead_letter(fn: Fn, /) -> Fn: ...
@overload
def dead_letter(
    queue: str | None = None,
    /,
    *,
    store: str | None = None,
    capture: Picker | Callable[[], object] | None = None,
    idempotency_key: Picker | None = None,
    redact: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    encrypt: str | Callable[[], str] | None = None,
    write_timeout: Duration | None = None,
    durability: Literal["fsync", "os"] | None = None,
    await_durable: bool | None = None,
    second_store: str | None = None,
    max_letters: int | None = None,
    max_bytes: int | None = None,
    max_age: Duration | None = None,
    retention: Duration | None = None,
    min_free: int | None = None,
    when_full: Literal["reject", "drop_oldest"] | None = None,
    on_lost: Callable[[DeadLetter], object] | None = None,
    on: Matcher | None = None,
    ignore: Matcher | None = None,
    name: str | None = None,
    key: Picker | None = None,
    scope: Literal["process"] | None = None,
) -> Policy[NoReturn]: ...
def dead_letter(
    queue: Any = None, /, *, name: str | None = None, key: Picker | None = None, scope: str | None = None, **options: Any
) -> Any:
    """Records a call that failed for good, with its arguments, so that it can be redriven.

    queue: the queue's name; by default the policy's.
    store: where it lives, "sqlite:///directory", "postgresql://…", "redis://…" or "memory:"; by default $SEAWALL_STORE.
    capture: gives the payload from the call's arguments, a function of them or a path; by default the arguments. For a guarded
        block a function without arguments.
    idempotency_key: gives the key under which receivers recognise the call, likewise.
    redact: takes the record and returns it without what must not be kept.
    encrypt: the keys under which payload, headers, messages and stacks are encrypted, as a text of `id:key` with each key 32 bytes as base64:
        "env:NAME", "file:PATH", or a function that gives the text, called for each record. The first key writes, all of them read.
    write_timeout: how long the caller waits for the record to be written; "250ms".
    durability: what a written record outlives: "fsync" the machine, "os" only the process.
    await_durable: False lets a thread write the record, from memory that is bounded; `flush` waits for it.
    second_store: where a record goes that the store does not take. After that memory is left, and the log.
    max_letters, max_bytes: what the queue holds at most, the records of all states together.
    max_age, retention: records are removed when they are older, or were recovered so long ago.
    min_free: the bytes that stay free on the store's disk.
    when_full: "reject" sends the record on along the chain, "drop_oldest" removes old ones, and says so.
    on_lost: called with a record that could not be kept anywhere.
    on, ignore: which final errors are recorded; by default all but cancellation.

    A record that cannot be written never replaces the call's own error. Raises ConfigError for what cannot work.
    """
    known("dead_letter", options)
    if queue is None or isinstance(queue, str):
        return part_of("dead_letter", name, key, scope, queue=queue, **options)
    return bare(queue, "dead_letter", lambda: part_of("dead_letter", name, key, scope, **options))
