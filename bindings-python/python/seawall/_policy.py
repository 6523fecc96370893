"""The policy: a decorator, a part of another policy, and a handle on shared state."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Coroutine, Generator, Iterable

from seawall import _argument, _asyncness
from seawall._argument import Picker
from seawall._breaker import Breaker
from seawall._call import View
from seawall._classify import Matcher
from seawall._durations import Duration
from seawall._errors import ConfigError
from seawall._guard import Guard
from seawall._lint import WorstCase, note, worst_case
from seawall._mode import Mode, set_mode
from seawall._plan import Part, Written
from seawall._snapshot import Snapshot, snapshot_of
from seawall._typing import Any, Generic, NoReturn, ParamSpec, TypeVar, cast, overload

P = ParamSpec("P")
R = TypeVar("R")
F_co = TypeVar("F_co", covariant=True)
F = TypeVar("F")
S = TypeVar("S")
Y = TypeVar("Y")
Z = TypeVar("Z")


class Policy(Generic[F_co]):
    """Strategies fused into one, in the canonical order, around any function.

    Decorate functions with it, or hand it one: `policy.call(fn, …)`. It holds the state (breaker, slots, budget): two
    functions decorated with one policy share it, and so do all policies of one name. It is resolved at its first call.
    The type parameter is what a fallback may return in place of the function's own result.
    """

    __slots__ = ("__weakref__", "_view", "_written")

    _written: Written
    _view: View

    def __init__(self, *args: object, **kwargs: object) -> None:
        raise ConfigError("make a policy with seawall.policy(…) or with a strategy such as seawall.retry(…)", path="Policy")

    @classmethod
    def _of_parts(
        cls,
        name: str | None,
        parts: list[Part],
        key: object = None,
        on: object = None,
        ignore: object = None,
        mode: object = None,
    ) -> Policy[Any]:
        made = object.__new__(cls)
        made._written = Written(name, parts, key, on, ignore, mode)
        made._view = View()
        return made

    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Callable[P, Coroutine[Any, Any, R | F_co]]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self: Policy[NoReturn], fn: Callable[P, R], /
    ) -> Callable[P, R]: ...
    @overload
    def __call__(
        self: Policy[Iterable[Z] | AsyncIterable[Z]], fn: Callable[P, AsyncGenerator[Y, S]], /
    ) -> Callable[P, AsyncGenerator[Y | Z, S]]: ...
    @overload
    def __call__(
        self: Policy[Iterable[Z] | AsyncIterable[Z]], fn: Callable[P, AsyncIterator[Y]], /
    ) -> Callable[P, AsyncIterator[Y | Z]]: ...
    @overload
    def __call__(self: Policy[Iterable[Z]], fn: Callable[P, Generator[Y, S, R]], /) -> Callable[P, Generator[Y | Z, S, R]]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> Callable[P, R | F_co]: ...
    def __call__(self, fn: Any, /) -> Any:
        """Guards a function. Its signature, docstring and kind stay; the result has `policy`."""
        if isinstance(fn, (classmethod, staticmethod)):
            return type(fn)(self(fn.__func__))
        self._check(fn)
        for strategy, part in self._written.parts.items():
            for option in ("capture", "idempotency_key", "stale_key"):
                _argument.check(part.code.get(option), fn, f"{strategy}.{option}")
        _argument.check(self._written.key, fn, "key")
        inner = policy_of(fn)
        note(self._written, fn, None if inner is None else inner._written)
        guarded: Any = self._guarded(fn)
        guarded.policy = self
        return guarded

    def _guarded(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        from seawall import _fast

        if _asyncness.is_async_generator(fn):
            # These import asyncio, or queues, and most programs decorate neither.
            from seawall import _astream

            return _astream.guard(self._written, self._view, fn)
        if _asyncness.is_async(fn):
            return _fast.guard_async(self._written, self._view, fn)
        timeout = self._written.parts.get("timeout")
        if "hedge" in self._written.parts and not (timeout and timeout.data.get("thread")):
            raise ConfigError("a hedge of a sync function needs timeout(thread=True)", path=f"{self._path}.hedge")
        if _asyncness.is_generator(fn):
            from seawall import _stream

            return _stream.guard(self._written, self._view, fn)
        return _fast.guard_sync(self._written, self._view, fn)

    def call(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R | F_co:
        """Calls a function under this policy. Raises `ConfigError` if it is async or gives an awaitable: use `acall`."""
        from seawall._sync import run

        self._check(fn)
        if _asyncness.is_async(fn):
            raise ConfigError("this function is async: await policy.acall(fn, …) instead of policy.call", path=self._path)
        return cast("R | F_co", run(self._written, self._view, fn, args, kwargs))

    @overload
    def acall(
        self, fn: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, R | F_co]: ...
    @overload
    def acall(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R | F_co]: ...
    async def acall(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Calls an async function, or one that gives an awaitable or a plain value, under this policy."""
        from seawall._async import run

        self._check(fn)
        return await run(self._written, self._view, fn, args, kwargs)

    def guard(self) -> Guard:
        """Guards a block: `with policy.guard(): …`, and `async with` in async code. One admission, the limits, one vote.

        Raises ConfigError where it is entered if the policy has a retry, a hedge, a fallback, `thread`, or a dead letter without
        `capture`, or if it has a key and none is named by `using(key=…)`.
        """
        return Guard(self._written, self._view)

    def using(self, *, key: str | None = None, idempotency_key: str | None = None) -> Policy[F_co]:
        """A view of this policy with the key or the idempotency key set, on the same state."""
        made: Policy[F_co] = object.__new__(type(self))
        made._written = self._written
        made._view = View(
            key=self._view.key if key is None else key,
            idempotency_key=self._view.idempotency_key if idempotency_key is None else idempotency_key,
        )
        return made

    @property
    def breaker(self) -> Breaker:
        """The circuit breaker. On a keyed policy say whose: `policy.using(key="a").breaker`."""
        return Breaker(self._written, self._view.key)

    @property
    def name(self) -> str | None:
        """The name that it shares its state by, or None."""
        return self._written.name

    def set_mode(self, mode: Mode, *, reason: str, author: str | None = None, expires_in: Duration | None = None) -> None:
        """Sets the mode by hand, over the policy's own `mode=`, until it is set again or for so long.

        "enforce"; "shadow": all is judged and reported, nothing waits, rejects, retries or times out; "disabled".
        """
        set_mode(self._written, mode, reason, author, expires_in)

    def worst_case(self) -> WorstCase:
        """The longest that a call may last and the most calls that it may make below, with the arithmetic."""
        return worst_case(self._written)

    def snapshot(self) -> Snapshot:
        """Counts, ratios, limits and the retry budget, as they are now; of one key with `using(key=…)`."""
        return snapshot_of(self._written, self._view.key)

    def __repr__(self) -> str:
        return f"<seawall policy {self._written.label or 'unnamed'}: {', '.join(self._written.parts) or 'by name'}>"

    @property
    def _path(self) -> str:
        return self._written.label or next(iter(self._written.parts), "policy")

    def _check(self, fn: object) -> None:
        if not callable(fn):
            raise ConfigError(
                f"expected a function, not {type(fn).__name__}; a strategy takes its options by name and in parentheses, "
                "as in @seawall.retry(max_attempts=3), and a function without being called, as in policy.call(fn, 1)",
                path=self._path,
            )


@overload
def policy(
    name: str | None = None,
    /,
    *,
    key: Picker | None = None,
    on: Matcher | None = None,
    ignore: Matcher | None = None,
    mode: Mode | Callable[[], Mode] | None = None,
) -> Policy[NoReturn]: ...
@overload
def policy(
    name: str | None,
    /,
    *parts: Policy[F],
    key: Picker | None = None,
    on: Matcher | None = None,
    ignore: Matcher | None = None,
    mode: Mode | Callable[[], Mode] | None = None,
) -> Policy[F]: ...
def policy(
    name: str | None = None,
    /,
    *parts: Policy[Any],
    key: Picker | None = None,
    on: Matcher | None = None,
    ignore: Matcher | None = None,
    mode: Mode | Callable[[], Mode] | None = None,
) -> Any:
    """Fuses strategies into one policy, in the canonical order whatever order they are written in.

    name: shares the state with every policy of this name, and finds it in a policy file; None: nobody shares it.
    parts: strategies, each at most once. A name without parts refers to a policy defined elsewhere, or is the default policy.
    key: partitions the state (breaker, bulkhead, rate limit): a function of the call's arguments, or a path such as "order.tenant".
    on, ignore: what counts as a failure, for the retry and the breaker that say nothing themselves.
    mode: "enforce"; "shadow": all is judged and reported, nothing is enforced; "disabled"; or a function without arguments that
        gives one of these, asked at each call.

    Raises ConfigError for what cannot work together.
    """
    if isinstance(name, Policy):
        raise ConfigError("the first argument is the name, or None: seawall.policy('payments', seawall.retry())", path="policy")
    if name is not None and not isinstance(name, str):
        raise ConfigError(f"expected a name, not {name!r}", path="policy.name")
    _argument.check_form(key, "key")
    collected: dict[str, Part] = {}
    for part in parts:
        for one in _parts_of(part):
            if one.strategy in collected:
                raise ConfigError("written twice; nest two policies to have a strategy twice", path=f"policy.{one.strategy}")
            if one.key is not None:
                if key is not None and key is not one.key:
                    raise ConfigError("the policy has a key already", path=f"{one.strategy}.key")
                key = cast(Picker, one.key)
            collected[one.strategy] = one
    made = Policy._of_parts(name, list(collected.values()), key=key, on=on, ignore=ignore, mode=mode)
    note(made._written)
    return made


def _parts_of(part: object) -> list[Part]:
    if not isinstance(part, Policy):
        raise ConfigError(
            f"expected strategies such as seawall.retry(), not {part!r}; a strategy is written with parentheses", path="policy"
        )
    found = list(part._written.parts.values())
    if len(found) != 1:
        raise ConfigError("a whole policy cannot be a part of another; nest them by decorating twice", path="policy")
    if part._written.name is not None:
        raise ConfigError("the name stands on the policy, not on its parts", path=f"{found[0].strategy}.name")
    return found


def policy_of(fn: object) -> Policy[Any] | None:
    """The policy that guards a function, or None."""
    found = getattr(fn, "policy", None)
    return found if isinstance(found, Policy) else None
