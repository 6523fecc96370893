"""Letters on disk: written by failing calls, read, redriven, parked and purged."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import json
import os
import threading
import uuid
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import pytest
import seawall
from seawall import DeadLetterQueue


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Order:
    id: str
    amount: Decimal
    at: datetime
    colour: Colour


class Unencodable:
    pass


def down(*args: Any, **kwargs: Any) -> None:
    raise ConnectionError("down")


def test_a_failed_call_is_recorded_with_its_arguments(store: str, events: list[dict[str, object]]) -> None:
    @seawall.policy("pay", seawall.dead_letter("orders", store=store), seawall.retry(max_attempts=2, base_delay="1ms"))
    def charge(order: Order, *, note: str) -> None:
        raise ConnectionError("the bank is down")

    order = Order("o-1", Decimal("9.90"), datetime(2026, 1, 2, tzinfo=timezone.utc), Colour.RED)
    with seawall.correlate("trip-1"), pytest.raises(ConnectionError) as caught:
        charge(order, note="Grüße")
    (letter,) = DeadLetterQueue("orders", store=store).peek()
    assert letter.args == [{"id": "o-1", "amount": "9.90", "at": "2026-01-02T00:00:00+00:00", "colour": "red"}]
    assert letter.kwargs == {"note": "Grüße"}
    assert letter.error is not None
    assert (letter.error.type, letter.error.message, letter.attempt_count) == ("ConnectionError", "the bank is down", 2)
    assert letter.error.stack is not None and "charge" in letter.error.stack and "_sync.py" not in letter.error.stack
    assert (letter.correlation_id, letter.policy, letter.state, letter.redrivable) == ("trip-1", "pay", "ready", True)
    assert letter.origin["operation"].endswith("charge")
    found = seawall.failure(caught.value)
    assert found is not None and found.letter_id == letter.id
    assert events[-1] | {"letter_id": letter.id, "queue": "orders"} == events[-1]
    assert events[-1]["event"] == "dlq.written"


def test_receivers_are_not_captured(store: str) -> None:
    class Till:
        @seawall.dead_letter("till", store=store)
        def charge(self, amount: int) -> None:
            raise ConnectionError

    with pytest.raises(ConnectionError):
        Till().charge(5)
    assert DeadLetterQueue("till", store=store).peek()[0].args == [5]


def test_what_cannot_be_encoded_is_recorded_but_not_redrivable(store: str, events: list[dict[str, object]]) -> None:
    with pytest.raises(ConnectionError):
        seawall.dead_letter("odd", store=store).call(down, Unencodable(), float("nan"))
    queue = DeadLetterQueue("odd", store=store)
    (letter,) = queue.peek()
    assert not letter.redrivable
    assert "dlq.unredrivable" in [event["event"] for event in events]
    report = queue.redrive(lambda letter: None)
    assert (report.ok, report.skipped) == (0, 1)


def test_capture_idempotency_key_and_redaction(store: str) -> None:
    def without_note(record: dict[str, Any]) -> dict[str, Any]:
        record["payload"].pop("note")
        return record

    guard = seawall.dead_letter(
        "picked", store=store, capture=lambda order: order, idempotency_key=lambda order: order["id"], redact=without_note
    )
    for _ in range(2):
        with pytest.raises(ConnectionError):
            guard.call(down, {"id": "o-1", "note": "private", "password": "hunter2"})
    (letter,) = DeadLetterQueue("picked", store=store).peek()
    assert letter.idempotency_key == "o-1"
    assert "note" not in letter.payload
    assert "hunter2" not in json.dumps(letter.payload)


def test_a_redaction_that_fails_lets_nothing_through(store: str) -> None:
    def broken(record: dict[str, Any]) -> dict[str, Any]:
        raise LookupError("in the redaction")

    def leaks(secret: str) -> None:
        raise ConnectionError(secret)

    with pytest.raises(ConnectionError):
        seawall.dead_letter("bare", store=store, redact=broken).call(leaks, "hunter2")
    (letter,) = DeadLetterQueue("bare", store=store).peek()
    assert letter.error is not None and letter.error.type == "ConnectionError"
    assert not letter.redrivable and "hunter2" not in repr(letter)


def test_hooks_hear_of_letters_on_the_calling_thread(store: str) -> None:
    heard: list[tuple[object, str]] = []
    unsubscribe = seawall.on_event(lambda event: heard.append((event["event"], threading.current_thread().name)))

    async def fails() -> None:
        raise ConnectionError

    async def play() -> None:
        with pytest.raises(ConnectionError):
            await seawall.dead_letter("heard", store=store).acall(fails)
        await DeadLetterQueue("heard", store=store).aredrive(lambda letter: None)

    asyncio.run(play())
    unsubscribe()
    here = threading.current_thread().name
    assert heard == [("attempt.failed", here), ("dlq.written", here), ("dlq.redriven", here)]


@pytest.mark.parametrize("attempts", [2, 3])
def test_attempts_inside_an_outer_retry_are_one_letter_that_its_success_recovers(store: str, attempts: int) -> None:
    calls: list[int] = []

    @seawall.dead_letter("inner", store=store)
    def charge(order: str) -> str:
        calls.append(1)
        if len(calls) < 3:
            raise ConnectionError("down")
        return order

    outer = seawall.retry(max_attempts=attempts, base_delay="1ms")
    queue = DeadLetterQueue("inner", store=store)
    if attempts == 3:
        assert outer.call(charge, "o-1") == "o-1"
        assert (queue.stats().ready, queue.stats().archived) == (0, 1)
    else:
        with pytest.raises(ConnectionError):
            outer.call(charge, "o-1")
        (letter,) = queue.peek()
        assert (letter.state, letter.attempt_count) == ("ready", 2)


def test_an_outer_retry_recovers_in_async_code_too(store: str) -> None:
    calls: list[int] = []

    @seawall.dead_letter("ainner", store=store)
    async def charge() -> str:
        calls.append(1)
        if len(calls) < 2:
            raise ConnectionError("down")
        return "ok"

    assert asyncio.run(seawall.retry(base_delay="1ms").acall(charge)) == "ok"
    assert DeadLetterQueue("ainner", store=store).stats().archived == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_parent_and_child_write_after_a_fork(store: str) -> None:
    queue = DeadLetterQueue("forked", store=store)
    queue.put("before")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            queue.put("child")
            status = 0
        finally:
            os._exit(status)
    queue.put("parent")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert sorted(letter.payload for letter in queue.peek()) == ["before", "child", "parent"]


def test_a_store_that_fails_never_hides_the_calls_own_error(events: list[dict[str, object]]) -> None:
    with pytest.raises(ConnectionError):
        seawall.dead_letter("lost", store="kafka://nowhere").call(down)
    assert events[-1]["event"] == "dlq.lost"
    with pytest.raises(seawall.StoreError) as caught:
        DeadLetterQueue("lost", store="kafka://nowhere")
    assert caught.value.code == "store.unsupported"


def test_redrive_runs_in_the_letters_own_context(store: str, events: list[dict[str, object]]) -> None:
    queue = DeadLetterQueue("work", store=store)
    with seawall.correlate("trip-2"):
        queue.put({"n": 1}, error=ConnectionError("down"), idempotency_key="once", headers={"source": "test"})
    seen: list[tuple[object, ...]] = []

    def handler(letter: seawall.DeadLetter) -> None:
        seen.append((letter.payload, seawall.correlation_id(), seawall.current().idempotency_key, letter.headers))

    report = queue.redrive(handler)
    assert (report.ok, report.failed, report.remaining) == (1, 0, 0)
    assert seen == [({"n": 1}, "trip-2", "once", {"source": "test"})]
    assert events[-1]["event"] == "dlq.redriven" and events[-1]["correlation_id"] == "trip-2"
    assert (queue.stats().ready, queue.stats().archived) == (0, 1)


def test_a_letter_that_keeps_failing_is_parked(store: str) -> None:
    queue = DeadLetterQueue("poison", store=store)
    letter_id = queue.put("x")
    for _ in range(3):
        assert queue.redrive(down).failed == 1
    letter = queue.get(letter_id)
    assert letter is not None
    assert (letter.state, letter.redrives) == ("parked", 3)
    assert letter.error is not None and letter.error.type == "ConnectionError"


def test_redrive_in_threads_handles_each_letter_once(store: str) -> None:
    queue = DeadLetterQueue("many", store=store)
    ids = {queue.put(n) for n in range(12)}
    seen: list[str] = []
    report = queue.redrive(lambda letter: seen.append(letter.id), concurrency=4)
    assert (report.ok, sorted(seen)) == (12, sorted(ids))


def test_redrive_stops_after_failures_and_may_only_count(store: str) -> None:
    queue = DeadLetterQueue("stops", store=store)
    for n in range(5):
        queue.put(n, error=ConnectionError("down"))
    dry = queue.redrive(down, dry_run=True)
    assert (dry.remaining, dry.groups[0].count) == (5, 5)
    report = queue.redrive(down, stop_after_failures=2)
    assert (report.failed, report.stopped) == (2, "failures")


def test_redrive_is_paced_on_virtual_time(store: str) -> None:
    with seawall.testing.clock() as clock:
        queue = DeadLetterQueue("paced", store=store)
        for n in range(3):
            queue.put(n)
        assert queue.redrive(lambda letter: None, rate="2/s").ok == 3
        assert clock.sleeps == [0.5, 0.5]


def test_filters_groups_parking_and_purging(store: str) -> None:
    queue = DeadLetterQueue("sorted", store=store)
    queue.put(1, error=ConnectionError("down"))
    queue.put(2, error=ValueError("bad"))
    assert [letter.payload for letter in queue.peek(error="ValueError")] == [2]
    assert {group.count for group in queue.groups()} == {1}
    assert queue.park(error="ValueError") == 1
    assert (queue.stats().ready, queue.stats().parked) == (1, 1)
    assert [letter.payload for letter in queue.peek(state="parked")] == [2]
    with pytest.raises(seawall.ConfigError):
        queue.purge()
    assert queue.purge(state="parked", dry_run=True) == 1
    assert queue.purge(state="parked") == 1
    assert queue.purge(all=True) == 1
    assert queue.peek() == []
    with pytest.raises(seawall.ConfigError, match="colour"):
        queue.peek(colour="red")  # type: ignore[call-arg]


def test_bytes_and_pages(store: str) -> None:
    queue = DeadLetterQueue("pages", store=store)
    queue.put(b"\x00\xff")
    queue.put(uuid.UUID(int=1))
    first = queue.peek(limit=1)
    second = queue.peek(limit=1, cursor=first[0].id)
    assert [first[0].payload, second[0].payload] == [str(uuid.UUID(int=1)), b"\x00\xff"]


def test_the_async_twins(store: str) -> None:
    async def play() -> None:
        queue = DeadLetterQueue("twins", store=store)
        letter_id = await queue.aput({"n": 1}, error=ConnectionError("down"))
        found = await queue.aget(letter_id)
        assert found is not None and found.payload == {"n": 1}
        assert len(await queue.apeek()) == 1 and len(await queue.agroups()) == 1

        async def handler(letter: seawall.DeadLetter) -> None:
            await asyncio.sleep(0)
            seen.append(letter.id)

        seen: list[str] = []
        report = await queue.aredrive(handler, concurrency=2)
        assert (report.ok, seen) == (1, [letter_id])
        assert (await queue.astats()).archived == 1
        assert await queue.apark() == 0
        assert await queue.apurge(all=True) == 1

    asyncio.run(play())


def test_an_async_call_writes_off_the_loop_and_shielded(store: str) -> None:
    async def fails() -> None:
        raise ConnectionError("down")

    async def play() -> None:
        guard = seawall.dead_letter("shielded", store=store)
        with pytest.raises(ConnectionError):
            await guard.acall(fails)

    asyncio.run(play())
    assert DeadLetterQueue("shielded", store=store).stats().ready == 1


def test_a_failure_inside_a_redrive_adds_to_the_same_letter(store: str) -> None:
    guard = seawall.dead_letter("again", store=store)
    with pytest.raises(ConnectionError):
        guard.call(down, 1)
    queue = DeadLetterQueue("again", store=store)
    report = queue.redrive(lambda letter: guard.call(down, *(letter.args or [])))
    assert report.failed == 1
    (letter,) = queue.peek()
    assert letter.redrives == 1
