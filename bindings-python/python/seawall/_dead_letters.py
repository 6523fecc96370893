"""Dead-letter queues: to read, redrive, park and purge the calls that failed for good."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta

from seawall import _letters, _native, _queues, _redrive
from seawall._errors import ConfigError, from_native
from seawall._letter import DeadLetter, Group, RedriveJob, RedriveReport, Stats
from seawall._typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, Union

if TYPE_CHECKING:
    from typing_extensions import Unpack

T = TypeVar("T")

# An age such as "1h" or timedelta(hours=1), or an instant.
Moment = Union[str, timedelta, datetime]


class Filter(TypedDict, total=False):
    """Which letters; what is given must all match.

    `group` is a fingerprint out of `groups`, `error` an error's type or code. `older_than` and `newer_than` take an age or
    an instant.
    """

    id: str
    group: str
    error: str
    policy: str
    key: str
    correlation_id: str
    state: Literal["ready", "leased", "parked", "archived"]
    older_than: Moment
    newer_than: Moment


def _filter(given: Mapping[str, Any]) -> str:
    return json.dumps({name: _moment(value, name) for name, value in given.items() if value is not None})


def _moment(value: Any, name: str) -> Any:
    if isinstance(value, timedelta):
        return f"{round(value.total_seconds() * 1000)}ms"
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ConfigError("an instant needs a time zone", path=f"filter.{name}")
        return value.isoformat()
    return value


def _native_call(work: Callable[[], T]) -> T:
    try:
        return work()
    except _native.NativeError as error:
        raise from_native(error) from None


async def _off_the_loop(work: Callable[[], T]) -> T:
    # Imported at its first use, so that programs without asyncio never load it.
    from seawall import _offload

    return await _offload.run(work)


class DeadLetterQueue:
    """One queue of dead letters. Every method has an async twin, with an `a` before its name, that works off the event loop.

    name: the queue's name, as `dead_letter` has it.
    store: where it lives, "sqlite:///directory", "postgresql://…", "redis://…" or "memory:"; by default $SEAWALL_STORE.
    encrypt: the keys of its letters, as `dead_letter` takes them; what is put here is encrypted too. Without it, letters are opened by the keys
        in $SEAWALL_KEYS.

    Raises `ConfigError` for a bad name, `StoreError` for what the store cannot do.
    """

    def __init__(self, name: str, *, store: str | None = None, encrypt: str | Callable[[], str] | None = None) -> None:
        if not isinstance(name, str):
            raise ConfigError(f"expected a queue's name, not {name!r}", path="DeadLetterQueue.name")
        self.name = name
        self._store = store
        if encrypt is not None and not isinstance(encrypt, str) and not callable(encrypt):
            raise ConfigError("expected 'env:NAME', 'file:PATH' or a function", path="DeadLetterQueue.encrypt")
        self._keys = _native_call(lambda: _letters.keys_of(encrypt))
        self._queue = _queues.open_queue(name, store, self._keys)

    def put(
        self,
        payload: object,
        *,
        error: BaseException | None = None,
        idempotency_key: str | None = None,
        headers: Mapping[str, str | Sequence[str]] | None = None,
    ) -> str:
        """Writes a letter and gives its id. A ready letter of the same idempotency key takes this one in."""
        letter = _letters.by_hand(payload, error, idempotency_key, headers)
        if self._keys is not None:
            letter["encrypt"] = self._keys
        return _native_call(lambda: self._queue.put(json.dumps(letter)))

    def get(self, id: str) -> DeadLetter | None:
        """The letter of an id, or None."""
        found = _native_call(lambda: self._queue.get(id))
        return None if found is None else DeadLetter._of(json.loads(found))

    def peek(self, limit: int = 50, cursor: str | None = None, **filter: Unpack[Filter]) -> list[DeadLetter]:
        """Up to `limit` letters, newest first, from the one after `cursor`, the last id seen. Archived ones only if asked for."""
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise ConfigError(f"expected a number of at least 1, not {limit!r}", path="peek.limit")
        found = _native_call(lambda: self._queue.peek(_filter(filter), limit, cursor))
        return [DeadLetter._of(each) for each in json.loads(found)]

    def groups(self, **filter: Unpack[Filter]) -> list[Group]:
        """Letters that failed alike, largest group first."""
        return [Group._of(each) for each in json.loads(_native_call(lambda: self._queue.groups(_filter(filter))))]

    def stats(self) -> Stats:
        """How many letters there are, by state."""
        return Stats._of(json.loads(_native_call(self._queue.stats)))

    def park(self, **filter: Unpack[Filter]) -> int:
        """Sets ready letters aside, so that redrives pass them by. Gives how many."""
        found: int = json.loads(_native_call(lambda: self._queue.park(_filter(filter))))["parked"]
        return found

    def purge(self, *, all: bool = False, dry_run: bool = False, **filter: Unpack[Filter]) -> int:
        """Removes letters for good, or counts them in a dry run. Gives how many. `ConfigError` with neither filter nor `all`."""
        found: int = json.loads(_native_call(lambda: self._queue.purge(_filter(filter), all, dry_run)))["purged"]
        return found

    def redrive(
        self,
        handler: Callable[[DeadLetter], object],
        *,
        limit: int | None = 100,
        rate: str | None = None,
        concurrency: int = 1,
        stop_after_failures: int | None = 10,
        dry_run: bool = False,
        job: bool | None = None,
        resume: str | None = None,
        **filter: Unpack[Filter],
    ) -> RedriveReport:
        """Gives ready letters to `handler`, oldest first, each at least once. A handler that returns has done the work.

        limit: the most letters; None: all that are there now.
        rate: at most so many, as in "10/s".
        concurrency: handlers at once, in threads.
        stop_after_failures: stops after so many; None: never.
        dry_run: only counts.
        job: whether it goes on record, so that others see it in `jobs`, and can pause it; by default if there is no limit.
        resume: the id of a job to go on with, by the options that it was begun with.

        It stops when the handler's circuit is open: that letter is given back uncounted. The handler runs in the letter's correlation id and idempotency key. A letter that fails three times is parked.
        """
        plan = _redrive.Plan(self._queue, self.name, _options(limit, rate, stop_after_failures, dry_run, job, resume, filter))
        return _redrive.run(plan, handler, _at_least_one(concurrency))

    def jobs(self) -> list[RedriveJob]:
        """The redrives on record, newest first."""
        return [RedriveJob._of(each) for each in json.loads(_native_call(self._queue.jobs))]

    def pause(self, job: str) -> bool:
        """Pauses a job after the deliveries under way; `redrive(resume=…)` goes on with it. False if it has ended."""
        return _native_call(lambda: self._queue.pause(job))

    def cancel(self, job: str) -> bool:
        """Cancels a job for good, after the deliveries under way. False if it has ended."""
        return _native_call(lambda: self._queue.cancel(job))

    async def aput(
        self,
        payload: object,
        *,
        error: BaseException | None = None,
        idempotency_key: str | None = None,
        headers: Mapping[str, str | Sequence[str]] | None = None,
    ) -> str:
        """As `put`."""
        return await _off_the_loop(
            lambda: self.put(payload, error=error, idempotency_key=idempotency_key, headers=headers)
        )

    async def aget(self, id: str) -> DeadLetter | None:
        """As `get`."""
        return await _off_the_loop(lambda: self.get(id))

    async def apeek(self, limit: int = 50, cursor: str | None = None, **filter: Unpack[Filter]) -> list[DeadLetter]:
        """As `peek`."""
        return await _off_the_loop(lambda: self.peek(limit, cursor, **filter))

    async def agroups(self, **filter: Unpack[Filter]) -> list[Group]:
        """As `groups`."""
        return await _off_the_loop(lambda: self.groups(**filter))

    async def astats(self) -> Stats:
        """As `stats`."""
        return await _off_the_loop(self.stats)

    async def apark(self, **filter: Unpack[Filter]) -> int:
        """As `park`."""
        return await _off_the_loop(lambda: self.park(**filter))

    async def apurge(self, *, all: bool = False, dry_run: bool = False, **filter: Unpack[Filter]) -> int:
        """As `purge`."""
        return await _off_the_loop(lambda: self.purge(all=all, dry_run=dry_run, **filter))

    async def ajobs(self) -> list[RedriveJob]:
        """As `jobs`."""
        return await _off_the_loop(self.jobs)

    async def apause(self, job: str) -> bool:
        """As `pause`."""
        return await _off_the_loop(lambda: self.pause(job))

    async def acancel(self, job: str) -> bool:
        """As `cancel`."""
        return await _off_the_loop(lambda: self.cancel(job))

    async def aredrive(
        self,
        handler: Callable[[DeadLetter], Awaitable[object] | object],
        *,
        limit: int | None = 100,
        rate: str | None = None,
        concurrency: int = 1,
        stop_after_failures: int | None = 10,
        dry_run: bool = False,
        job: bool | None = None,
        resume: str | None = None,
        **filter: Unpack[Filter],
    ) -> RedriveReport:
        """As `redrive`, with a handler that may be async; `concurrency` handlers run as tasks."""
        options = _options(limit, rate, stop_after_failures, dry_run, job, resume, filter)
        from seawall import _aredrive

        plan = await _off_the_loop(lambda: _redrive.Plan(self._queue, self.name, options))
        return await _aredrive.run(plan, handler, _at_least_one(concurrency))

    def __repr__(self) -> str:
        return f"<seawall dead-letter queue {self.name!r}>"


def _options(
    limit: int | None,
    rate: str | None,
    stop_after_failures: int | None,
    dry_run: bool,
    job: bool | None,
    resume: str | None,
    filter: Mapping[str, Any],
) -> str:
    options = {"limit": limit, "rate": rate, "stop_after_failures": stop_after_failures, "dry_run": dry_run}
    options |= {"job": job, "resume": resume}
    try:
        return json.dumps({**options, "filter": json.loads(_filter(filter))})
    except TypeError as error:
        raise ConfigError(str(error), path="redrive") from None


def _at_least_one(concurrency: int) -> int:
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
        raise ConfigError(f"expected a number of at least 1, not {concurrency!r}", path="redrive.concurrency")
    return concurrency
