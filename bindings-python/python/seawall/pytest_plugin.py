"""Fixtures for pytest: `seawall_clock`, `seawall_chaos` and `seawall_dlq`. pytest finds them once Seawall is installed.

pytest imports this module in every run, so it imports nothing of Seawall until a test asks for a fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from seawall import DeadLetterQueue
    from seawall._durations import Duration
    from seawall._policy import Policy
    from seawall._strategies import Fault
    from seawall.testing import Clock


class ChaosStarter(Protocol):
    """What `seawall_chaos` gives."""

    def __call__(
        self,
        policy: str | Policy[Any],
        *,
        fault: Fault | None = None,
        latency: Duration | None = None,
        rate: float | str = 1.0,
        seed: int = 0,
    ) -> None:
        """Makes attempts under a policy fail, or last longer, until the test ends.

        policy: the policy, or the name of policies that exist by now.
        fault: the error: a class, a function that makes one, or a name for an InjectedFaultError.
        latency: the delay before each attempt, a duration or a range such as "200ms..800ms".
        rate: the share of attempts struck. seed: decides which.

        Raises ConfigError for a name that no policy has, for a policy that was called in this test already, and for one that
        has chaos of its own.
        """


class QueueMaker(Protocol):
    """What `seawall_dlq` gives."""

    def __call__(self, name: str = "test", *, store: str = "memory:") -> DeadLetterQueue:
        """A queue that is emptied after the test. A store on disk goes to `f"sqlite:///{tmp_path}"`."""
        ...


@pytest.fixture
def seawall_clock() -> Iterator[Clock]:
    """Virtual time, from 0, that a wait of a policy moves on. State is reset before and after the test."""
    from seawall import testing

    with testing.clock(auto_advance=True, seed=0) as clock:
        yield clock


@pytest.fixture
def seawall_chaos(seawall_clock: Clock) -> Iterator[ChaosStarter]:
    """A function that injects a fault or a latency into a policy, under virtual time: `seawall_chaos("bank", fault=OSError)`."""
    from seawall._experiment import Experiments

    experiments = Experiments()
    try:
        yield experiments.start
    finally:
        experiments.undo()


@pytest.fixture
def seawall_dlq() -> Iterator[QueueMaker]:
    """A function that gives dead-letter queues, in memory by default, which are emptied after the test."""
    from seawall import DeadLetterQueue

    made: list[DeadLetterQueue] = []

    def make(name: str = "test", *, store: str = "memory:") -> DeadLetterQueue:
        made.append(DeadLetterQueue(name, store=store))
        return made[-1]

    yield make
    for queue in made:
        queue.purge(all=True)
