"""Everything that can be called can be guarded, and stays what it was: a table, with the fast path and without it."""

from __future__ import annotations

import asyncio
import copy
import functools
import inspect
import pickle
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import seawall
from seawall import _fast

GUARDS: dict[str, Callable[[], Any]] = {
    "breaker": lambda: seawall.circuit_breaker(),
    "stack": lambda: seawall.policy(None, seawall.retry(), seawall.circuit_breaker(), seawall.bulkhead(), seawall.timeout(total="1m")),
}


@pytest.fixture(params=[True, False], ids=["fast", "drivers"], autouse=True)
def path(request: pytest.FixtureRequest) -> Iterator[None]:
    before = _fast.set_on(request.param and _fast._is_on)
    yield
    _fast.set_on(before)


@pytest.fixture(params=GUARDS)
def guard(request: pytest.FixtureRequest) -> Any:
    return GUARDS[request.param]()


def double(x: int, *, by: int = 2) -> int:
    """Doubles."""
    return x * by


async def adouble(x: int, *, by: int = 2) -> int:
    """Doubles, later."""
    return x * by


def items(x: int) -> Iterator[int]:
    """Counts."""
    yield from range(x)


async def aitems(x: int) -> AsyncIterator[int]:
    """Counts, later."""
    for n in range(x):
        yield n


class Thing:
    """Has one of each."""

    def __init__(self, by: int = 2) -> None:
        self.by = by

    def method(self, x: int) -> int:
        return x * self.by

    async def amethod(self, x: int) -> int:
        return x * self.by

    def stream(self, x: int) -> Iterator[int]:
        yield from range(x)

    @classmethod
    def of_class(cls, x: int) -> int:
        return x * 2

    @staticmethod
    def static(x: int) -> int:
        return x * 2

    def __call__(self, x: int) -> int:
        return x * self.by


class AsyncThing:
    async def __call__(self, x: int) -> int:
        return x * 2


class StreamThing:
    def __call__(self, x: int) -> Iterator[int]:
        yield from range(x)


# Called with 4, each gives 8, or the items of range(4).
SYNC: dict[str, Any] = {
    "function": double,
    "lambda": lambda x: x * 2,
    "bound method": Thing().method,
    "class method": Thing.of_class,
    "static method": Thing.static,
    "callable object": Thing(),
    "partial": functools.partial(double, by=2),
    "partial of a partial": functools.partial(functools.partial(double), by=2),
    "builtin": (2).__mul__,
    "cached": functools.lru_cache(double),
    "wrapped": functools.wraps(double)(lambda *args, **kwargs: double(*args, **kwargs)),
}
ASYNC: dict[str, Any] = {
    "async function": adouble,
    "async bound method": Thing().amethod,
    "async callable object": AsyncThing(),
    "partial of async": functools.partial(adouble, by=2),
}
STREAMS: dict[str, Any] = {
    "generator": items,
    "bound generator": Thing().stream,
    "partial of a generator": functools.partial(items),
    "generator object's __call__": StreamThing(),
}


@pytest.mark.parametrize("kind", SYNC)
def test_sync(guard: Any, kind: str) -> None:
    call = guard(SYNC[kind])
    assert call(4) == 8
    assert not inspect.iscoroutinefunction(call)
    assert seawall.policy_of(call) is guard and call.policy is guard
    assert guard.call(SYNC[kind], 4) == 8


@pytest.mark.parametrize("kind", ASYNC)
def test_async(guard: Any, kind: str) -> None:
    call = guard(ASYNC[kind])
    assert inspect.iscoroutinefunction(call)
    assert asyncio.run(as_coroutine(call, 4)) == 8
    assert asyncio.run(guard.acall(ASYNC[kind], 4)) == 8
    with pytest.raises(seawall.ConfigError, match="acall"):
        guard.call(ASYNC[kind], 4)


async def as_coroutine(call: Any, x: int) -> Any:
    return await call(x)


@pytest.mark.parametrize("kind", STREAMS)
def test_generators(guard: Any, kind: str) -> None:
    call = guard(STREAMS[kind])
    assert inspect.isgeneratorfunction(call)
    assert list(call(4)) == [0, 1, 2, 3]


def test_async_generators(guard: Any) -> None:
    call = guard(aitems)
    assert inspect.isasyncgenfunction(call)

    async def main() -> list[int]:
        return [item async for item in call(4)]

    assert asyncio.run(main()) == [0, 1, 2, 3]


@pytest.mark.parametrize("order", ["outside", "inside"])
def test_class_methods_and_static_methods_either_way_round(guard: Any, order: str) -> None:
    def kind(cls: type) -> str:
        return cls.__name__

    def free(x: int) -> int:
        return x * 2

    body = {
        "kind": guard(classmethod(kind)) if order == "outside" else classmethod(guard(kind)),
        "free": guard(staticmethod(free)) if order == "outside" else staticmethod(guard(free)),
    }
    made: Any = type("Made", (), body)
    derived: Any = type("Derived", (made,), {})
    assert (made.kind(), made().kind(), derived.kind(), made.free(4), made().free(4)) == ("Made", "Made", "Derived", 8, 8)


def test_methods_share_the_policy_and_keep_their_own_receivers(guard: Any) -> None:
    class Till:
        def __init__(self, rate: int) -> None:
            self.rate = rate

        @guard
        def charge(self, amount: int, tip: int = 0) -> int:
            return amount * self.rate + tip

        @guard
        async def acharge(self, amount: int) -> int:
            return amount * self.rate

    one, two = Till(1), Till(2)
    assert (one.charge(3), two.charge(3, tip=1), Till.charge(two, 3)) == (3, 7, 6)
    bound = two.charge
    assert bound(4) == 8 and bound.__self__ is two and inspect.ismethod(bound)
    assert asyncio.run(as_coroutine(two.acharge, 4)) == 8
    assert str(inspect.signature(two.charge)) == "(amount: 'int', tip: 'int' = 0) -> 'int'"


@pytest.mark.parametrize("fn", [double, adouble, items, aitems], ids=lambda fn: fn.__name__)
def test_what_tools_look_at_stays(guard: Any, fn: Any) -> None:
    call = guard(fn)
    for name in ("__name__", "__qualname__", "__doc__", "__module__"):
        assert getattr(call, name) == getattr(fn, name)
    assert inspect.signature(call) == inspect.signature(fn)
    assert call.__annotations__ == fn.__annotations__
    assert call.__wrapped__ is fn and inspect.unwrap(call) is fn
    assert inspect.isroutine(call) and callable(call)
    assert inspect.getsource(call) == inspect.getsource(fn)
    assert weakref.ref(call)() is call and hash(call) == hash(call)
    assert copy.copy(call) is call and copy.deepcopy({"fn": call})["fn"] is call
    call.mine = 1
    assert call.mine == 1


# Kept in the module under its own name, as decorated functions are; made anew for either path below.
def by_name(x: int) -> int:
    return x * 2


def test_it_is_pickled_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    call = seawall.circuit_breaker()(by_name)
    monkeypatch.setitem(globals(), "by_name", call)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(call, protocol)) is call


@pytest.mark.parametrize("thing", [5, "text", None, [], {}, object()], ids=lambda thing: type(thing).__name__)
def test_what_cannot_be_called_is_refused_where_it_is_decorated(guard: Any, thing: object) -> None:
    for refused in (lambda: guard(thing), lambda: guard.call(thing), lambda: asyncio.run(guard.acall(thing))):
        with pytest.raises(seawall.ConfigError, match="parentheses"):
            refused()


def test_a_coroutine_in_place_of_its_function_is_refused(guard: Any) -> None:
    coroutine = adouble(4)
    with pytest.raises(seawall.ConfigError, match="parentheses"):
        guard(coroutine)
    coroutine.close()


def test_a_class_is_called_like_a_function(guard: Any) -> None:
    made = guard(Thing)(3)
    assert isinstance(made, Thing) and made.by == 3
    assert not inspect.iscoroutinefunction(guard(AsyncThing))


def test_what_a_mock_says_of_itself_is_believed(guard: Any) -> None:
    from unittest.mock import AsyncMock, Mock

    assert guard(Mock(return_value=8, __name__="mock"))(4) == 8
    assert asyncio.run(as_coroutine(guard(AsyncMock(return_value=8)), 4)) == 8
