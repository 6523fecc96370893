"""What a queue does, it does in every store: memory, SQLite, and real servers."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import seawall
from seawall import DeadLetterQueue, StoreError
from servers import running, serve

KINDS = ["memory", "sqlite", "postgres", "redis"]
SERVERS = [kind for kind in KINDS if kind in serve.KINDS]


@pytest.fixture(scope="module", params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a store; a server runs for all of this module."""
    folder = tmp_path_factory.mktemp("store")
    if request.param in ("memory", "sqlite"):
        yield "memory:" if request.param == "memory" else f"sqlite:///{folder}"
        return
    with running.any_url(request.param, folder) as url:
        yield url


@pytest.fixture
def queue(place: str, request: pytest.FixtureRequest) -> DeadLetterQueue:
    found = DeadLetterQueue(request.node.name, store=place)
    found.purge(all=True)
    return found


class Refused(Exception):
    code = "card.refused"


def test_a_letter_is_put_found_and_counted(queue: DeadLetterQueue) -> None:
    id = queue.put({"order": 7, "note": "Grüße, 世界"}, error=Refused("no"), headers={"a": "1"})
    letter = queue.get(id)
    assert letter is not None and letter.error is not None
    assert (letter.payload, letter.error.code, letter.state) == ({"order": 7, "note": "Grüße, 世界"}, "card.refused", "ready")
    assert queue.get("018f3a3a-0000-7000-8000-000000000000") is None
    stats = queue.stats()
    assert (stats.ready, stats.parked, stats.archived) == (1, 0, 0)
    assert stats.bytes > 100


def test_letters_are_listed_filtered_and_grouped(queue: DeadLetterQueue) -> None:
    ids = [queue.put(n, error=Refused(f"order {n}")) for n in range(5)]
    queue.put(5, error=TimeoutError("late"))
    first = queue.peek(limit=4)
    assert [letter.payload for letter in first] == [5, 4, 3, 2]
    assert [letter.payload for letter in queue.peek(cursor=first[-1].id)] == [1, 0]
    assert [letter.payload for letter in queue.peek(error="TimeoutError")] == [5]
    assert [letter.id for letter in queue.peek(id=ids[2])] == [ids[2]]
    assert [group.count for group in queue.groups()] == [5, 1]
    assert queue.peek(older_than="1h") == []


def test_failures_of_one_key_are_one_letter(queue: DeadLetterQueue) -> None:
    ids = [queue.put(1, error=Refused(f"try {n}"), idempotency_key="k") for n in range(3)]
    found = {letter.id for letter in map(queue.get, ids) if letter is not None}
    assert found == {ids[0]}
    assert queue.stats().ready == 1


def test_letters_are_redriven_archived_put_back_and_parked(queue: DeadLetterQueue) -> None:
    for n in range(4):
        queue.put(n, error=Refused("no"))

    def handler(letter: seawall.DeadLetter) -> None:
        if letter.payload == 2:
            raise Refused("still no")

    report = queue.redrive(handler)
    assert (report.ok, report.failed, report.remaining) == (3, 1, 0)
    for _ in range(2):
        assert queue.redrive(handler).failed == 1
    (parked,) = queue.peek()
    assert (parked.payload, parked.state, parked.redrives) == (2, "parked", 3)
    assert queue.stats().archived == 3
    assert queue.redrive(handler).ok == 0


def test_a_bulk_redrive_is_a_job_that_can_be_paused(queue: DeadLetterQueue) -> None:
    for n in range(5):
        queue.put(n)

    def handler(letter: seawall.DeadLetter) -> None:
        if letter.payload == 1:
            assert queue.cancel(queue.jobs()[0].id)

    queue.redrive(handler, limit=None)
    (job,) = queue.jobs()
    # It looks four times a second, so that it may have delivered the rest before it heard of it.
    assert job.state == "cancelled"
    assert job.total == 5
    assert not queue.pause(job.id)


def test_letters_are_set_aside_and_removed(queue: DeadLetterQueue) -> None:
    ids = [queue.put(n) for n in range(4)]
    assert queue.park(id=ids[0]) == 1
    assert queue.stats().parked == 1
    assert queue.purge(dry_run=True, id=ids[1]) == 1
    assert queue.purge(id=ids[1]) == 1
    assert queue.purge(all=True) == 3
    assert queue.stats().bytes == 0


def test_threads_at_once_lose_and_double_nothing(queue: DeadLetterQueue) -> None:
    async def all_of_them() -> list[str]:
        return await asyncio.gather(*(queue.aput(n) for n in range(60)))

    ids = asyncio.run(all_of_them())
    seen: list[object] = []
    report = queue.redrive(lambda letter: seen.append(letter.payload), concurrency=8)
    assert (report.ok, report.remaining, len(set(ids))) == (60, 0, 60)
    assert sorted(seen) == list(range(60))  # type: ignore[type-var]


def test_a_policy_writes_within_its_limits(place: str, queue: DeadLetterQueue) -> None:
    part = seawall.dead_letter(queue.name, store=place, max_letters=2, when_full="drop_oldest")

    @seawall.policy("limited", part)
    def charge(n: int) -> None:
        raise Refused("no")

    for n in range(4):
        with pytest.raises(Refused):
            charge(n)
    assert [letter.args for letter in queue.peek()] == [[3], [2]]


@pytest.mark.parametrize("kind", SERVERS)
def test_a_server_that_stands_still_or_is_gone_never_replaces_the_error(
    kind: str, tmp_path: Path, events: list[dict[str, object]], capfd: pytest.CaptureFixture[str]
) -> None:
    with running.a_server(kind, tmp_path) as server:
        part = seawall.dead_letter("orders", store=server.url, write_timeout="300ms")

        @seawall.policy("away", part)
        def charge(n: int) -> None:
            raise Refused("no")

        def fails(n: int) -> None:
            with pytest.raises(Refused):
                charge(n)

        fails(0)
        server.signal(signal.SIGSTOP)
        fails(1)
        server.signal(signal.SIGCONT)
        server.signal(signal.SIGKILL)
        fails(2)
        with pytest.raises(StoreError) as caught:
            DeadLetterQueue("orders", store=server.url).stats()
        assert caught.value.code == "store.failed"
        secretless(repr(caught.value), str(caught.value), json.dumps(events, default=str), seawall.metrics())
        server.start()
        assert seawall.flush("30s")
        assert sorted((letter.args or [None])[0] for letter in DeadLetterQueue("orders", store=server.url).peek()) == [0, 1, 2]
        fallbacks = [event for event in events if event["event"] == "dlq.fallback"]
        # A server that stands still is busy, one that is gone has failed; which is seen first depends on the connection.
        assert len(fallbacks) == 2 and {event["cause"] for event in fallbacks} <= {"store.busy", "store.failed"}
    secretless(*capfd.readouterr())


def secretless(*texts: str) -> None:
    for text in texts:
        assert serve.PASSWORD not in text


def shown(part: seawall.Policy[Any]) -> Iterator[Callable[[], object]]:
    guard = seawall.policy("shown", part)
    yield lambda: (repr(guard), repr(part), str(guard))
    for name in ("snapshot", "explain", "describe"):
        if hasattr(guard, name):
            yield getattr(guard, name)


def test_a_password_is_shown_nowhere(events: list[dict[str, object]]) -> None:
    store = f"postgresql://ada:{serve.PASSWORD}@127.0.0.1:1/none"
    part = seawall.dead_letter("orders", store=store)
    for show in shown(part):
        secretless(repr(show()))
    queue = DeadLetterQueue("orders", store=store)
    with pytest.raises(StoreError) as caught:
        queue.put(1)
    secretless(repr(queue), repr(caught.value), str(caught.value))
    kept = seawall.policy("twice", part)(lambda: 1)
    assert kept() == 1
    for wrong in (f"postgresql://ada:{serve.PASSWORD}@", f"postgresql://ada:{serve.PASSWORD}@h/x?sslmode=never", f"kafka://:{serve.PASSWORD}@h"):
        with pytest.raises(seawall.SeawallError) as told:
            DeadLetterQueue("orders", store=wrong)
        secretless(str(told.value))
        with pytest.raises(ZeroDivisionError):
            seawall.policy(f"wrong {len(wrong)}", seawall.dead_letter("orders", store=wrong))(lambda: 1 / 0)()
        with pytest.raises(seawall.ConfigError, match="defined twice") as told:
            seawall.policy("twice", seawall.dead_letter("orders", store=wrong))(lambda: None)()
        secretless(str(told.value))
    secretless(json.dumps(events, default=str))
