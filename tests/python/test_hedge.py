"""Several attempts at once: the first success wins, and the losers are cancelled and cleaned up."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import seawall

variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)


def hedged(**options: Any) -> seawall.Policy[Any]:
    return seawall.policy(None, seawall.hedge(delay="100ms", **options), seawall.circuit_breaker())


def test_the_first_success_wins_and_the_loser_has_cleaned_up() -> None:
    cleaned: list[int] = []
    policy = hedged()

    @policy
    async def work() -> int:
        attempt = seawall.current().attempt
        variable.set(variable.get() + 1)
        assert variable.get() == 1
        try:
            await (asyncio.Event().wait() if attempt == 1 else asyncio.sleep(0))
        finally:
            await asyncio.sleep(0)
            cleaned.append(attempt)
        return attempt

    async def main() -> None:
        with seawall.testing.clock() as clock:
            task = asyncio.ensure_future(work())
            await clock.aadvance("99ms")
            assert not task.done()
            await clock.aadvance("1ms")
            assert await task == 2
            assert sorted(cleaned) == [1, 2]
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert policy.breaker.counts.failures == 0

    asyncio.run(main())
    assert variable.get() == 0


def test_a_cancelled_caller_cancels_every_attempt() -> None:
    cleaned: list[int] = []

    @hedged()
    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(seawall.current().attempt)

    async def main() -> None:
        with seawall.testing.clock() as clock:
            task = asyncio.ensure_future(work())
            await clock.aadvance("1s")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert sorted(cleaned) == [1, 2]

    asyncio.run(main())


def test_when_all_fail_the_last_error_surfaces() -> None:
    @hedged()
    async def work() -> None:
        await asyncio.sleep(0)
        raise ConnectionError(seawall.current().attempt)

    async def main() -> None:
        with seawall.testing.clock():
            with pytest.raises(ConnectionError) as caught:
                await work()
            found = seawall.failure(caught.value)
            assert found is not None
            assert len(found.attempts) == 2

    asyncio.run(main())


def test_the_total_limit_cuts_every_attempt() -> None:
    cleaned: list[int] = []

    @seawall.policy(None, seawall.hedge(delay="100ms"), seawall.timeout(total="1s"))
    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(seawall.current().attempt)

    async def main() -> None:
        with seawall.testing.clock() as clock:
            task = asyncio.ensure_future(work())
            await clock.aadvance("1s")
            with pytest.raises(seawall.TimeoutExceededError):
                await task
            assert sorted(cleaned) == [1, 2]

    asyncio.run(main())


def test_sync_functions_need_a_thread() -> None:
    with pytest.raises(seawall.ConfigError, match="thread=True"):
        hedged()(lambda: 1)
    with pytest.raises(seawall.ConfigError, match="thread=True"):
        hedged().call(lambda: 1)


def test_in_threads_the_first_success_wins() -> None:
    release = threading.Event()
    started = threading.Event()
    results: list[int] = []

    @seawall.policy(None, seawall.hedge(delay="100ms"), seawall.timeout(total="1h", thread=True))
    def work() -> int:
        attempt = seawall.current().attempt
        if attempt == 1:
            started.set()
            release.wait(20)
        return attempt

    with seawall.testing.clock() as clock:
        caller = threading.Thread(target=lambda: results.append(work()))
        caller.start()
        assert started.wait(20)
        clock.advance("100ms")
        caller.join(20)
        release.set()
    assert results == [2]


def test_a_stream_is_hedged_until_its_first_item() -> None:
    closed: list[int] = []

    @hedged()
    async def numbers() -> AsyncGenerator[int, None]:
        attempt = seawall.current().attempt
        try:
            if attempt == 1:
                await asyncio.Event().wait()
            yield attempt
            yield attempt
        finally:
            closed.append(attempt)

    async def main() -> None:
        with seawall.testing.clock() as clock:
            stream = numbers()
            first = asyncio.ensure_future(stream.__anext__())
            await clock.aadvance("100ms")
            assert await first == 2
            assert [item async for item in stream] == [2]
            assert sorted(closed) == [1, 2]

    asyncio.run(main())
