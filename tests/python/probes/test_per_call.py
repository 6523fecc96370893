"""What is known of a call lies in the decorated function, and threads and tasks overwrite each other's attempts and statistics."""

from __future__ import annotations

import asyncio
import threading

import pytest
import seawall
from crowd import PATIENCE, Down, threads
from seawall import testing


def test_two_threads_have_attempts_of_their_own() -> None:
    meeting = threading.Barrier(2)

    @seawall.retry(max_attempts=3, base_delay="1ms", retry_budget=None)
    def call(fails: int) -> list[int]:
        attempt = seawall.current().attempt
        meeting.wait(PATIENCE) if attempt == 1 else None
        if attempt <= fails:
            raise Down(f"{fails} of {attempt}")
        return [attempt]

    def work(n: int) -> object:
        try:
            return call(1 + 2 * n)
        except Down as error:
            return seawall.failure(error)

    with testing.clock():
        one, other = threads(2, work)
    assert one == [2]
    assert (len(other.attempts), other.reason, len(other.delays)) == (3, "attempts_exhausted", 2)


def test_tasks_have_attempts_of_their_own() -> None:
    @seawall.retry(max_attempts=5, base_delay="1ms", retry_budget=None)
    async def call(n: int) -> int:
        await asyncio.sleep(0)
        if seawall.current().attempt < n:
            raise Down
        await asyncio.sleep(0)
        return seawall.current().attempt

    async def main() -> list[int]:
        with testing.clock():
            return await asyncio.gather(*map(call, range(1, 6)))

    assert asyncio.run(main()) == [1, 2, 3, 4, 5]


def test_a_failure_is_of_its_own_call_even_if_the_error_is_one_object() -> None:
    error = Down("made once")

    @seawall.retry(max_attempts=2, base_delay="1ms", retry_budget=None)
    def call() -> None:
        raise error

    ids = set()
    with testing.clock():
        for _ in range(3):
            with pytest.raises(Down):
                call()
            found = seawall.failure(error)
            assert found is not None and len(found.attempts) == 2
            ids.add(found.correlation_id)
            assert len(getattr(error, "__notes__", [""])) == 1, "replaced, not appended"
    assert len(ids) == 3


def test_nothing_of_a_call_is_left_in_the_context() -> None:
    @seawall.policy(None, seawall.retry(), seawall.timeout(total="1m"))
    def call() -> int:
        return seawall.current().attempt

    @seawall.circuit_breaker()
    async def acall() -> int:
        return seawall.current().attempt

    async def main() -> tuple[int, int]:
        return await acall(), seawall.current().attempt

    assert (call(), seawall.current().attempt, seawall.correlation_id(), seawall.deadline()) == (1, 0, None, None)
    assert asyncio.run(main()) == (1, 0)
