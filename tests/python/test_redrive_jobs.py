"""Bulk redrives on record, and redrives through the handler's own circuit breaker."""

from __future__ import annotations

import asyncio

import pytest
import seawall
from seawall import DeadLetter, DeadLetterQueue


def filled(store: str, letters: int = 4) -> DeadLetterQueue:
    queue = DeadLetterQueue("orders", store=store)
    for n in range(letters):
        queue.put({"n": n})
    return queue


def test_a_redrive_without_a_limit_is_a_job(store: str) -> None:
    queue = filled(store)
    queue.redrive(lambda letter: None, limit=1)
    assert queue.jobs() == []
    report = queue.redrive(lambda letter: None, limit=None)
    (job,) = queue.jobs()
    assert (report.job, report.arrived) == (job.id, 0)
    assert (job.state, job.total, job.ok, job.remaining, job.stopped) == ("done", 3, 3, 0, None)
    assert job.options["limit"] is None and job.started is not None and job.updated is not None


def test_an_open_circuit_stops_the_redrive_and_counts_against_no_letter(store: str, events: list[dict[str, object]]) -> None:
    queue = filled(store)

    @seawall.circuit_breaker(consecutive_failures=2)
    def deliver(letter: DeadLetter) -> None:
        raise ConnectionError("still down")

    report = queue.redrive(deliver, limit=None, stop_after_failures=None)
    assert (report.ok, report.failed, report.stopped, report.remaining) == (0, 2, "breaker", 2)
    assert [event["outcome"] for event in events if event["event"] == "dlq.redriven"] == ["failed", "failed", "released"]
    assert [letter.redrives for letter in queue.peek()] == [0, 0, 1, 1]
    (job,) = queue.jobs()
    assert (job.state, job.stopped) == ("stopped", "breaker")
    # The bank is back.
    seen: list[int] = []
    report = queue.redrive(lambda letter: seen.append(letter.payload["n"]), resume=job.id)
    assert (seen, report.ok, queue.jobs()[0].state) == ([2, 3], 2, "done")


def test_an_interrupted_redrive_is_paused_and_gone_on_with(store: str) -> None:
    queue = filled(store)

    def deliver(letter: DeadLetter) -> None:
        if letter.payload["n"] == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        queue.redrive(deliver, limit=None)
    (job,) = queue.jobs()
    assert (job.state, job.ok, job.remaining) == ("paused", 1, 3)
    seen: list[int] = []
    queue.redrive(lambda letter: seen.append(letter.payload["n"]), resume=job.id)
    assert seen == [1, 2, 3]
    with pytest.raises(seawall.ConfigError, match="has ended"):
        queue.redrive(deliver, resume=job.id)


def test_the_async_twins(store: str) -> None:
    queue = filled(store)

    async def main() -> list[int]:
        started = asyncio.Event()

        async def hang(letter: DeadLetter) -> None:
            started.set()
            await asyncio.Event().wait()

        task = asyncio.ensure_future(queue.aredrive(hang, limit=None))
        await started.wait()
        assert (await queue.ajobs())[0].state == "running"
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (job,) = await queue.ajobs()
        assert (job.state, job.remaining) == ("paused", 4)
        seen: list[int] = []
        await queue.aredrive(lambda letter: seen.append(letter.payload["n"]), resume=job.id)
        assert not await queue.apause(job.id) and not await queue.acancel(job.id)
        return seen

    assert asyncio.run(main()) == [0, 1, 2, 3]
    other = filled(store)
    with pytest.raises(KeyboardInterrupt):
        other.redrive(lambda letter: (_ for _ in ()).throw(KeyboardInterrupt), limit=None)
    assert other.cancel(other.jobs()[0].id)
    assert other.jobs()[0].state == "cancelled"
