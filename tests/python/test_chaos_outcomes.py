"""What chaos puts in place of a call, and what it has run inside one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import seawall


def broken() -> Any:
    raise ConnectionError


def test_an_injected_outcome_takes_the_place_of_the_call() -> None:
    with seawall.testing.clock():
        assert seawall.chaos(rate=1, outcome="instead", expires_in="1h").call(broken) == "instead"
        assert seawall.chaos(rate=1, outcome=lambda: ["made"], expires_in="1h").call(broken) == ["made"]
        weighted = seawall.chaos(rate=1, outcome=[("a", 1), ("b", 1)], expires_in="1h")
        assert {weighted.call(broken) for _ in range(50)} == {"a", "b"}
        plain = seawall.chaos(rate=1, outcome=[1, 2], expires_in="1h")
        assert plain.call(broken) == [1, 2]


def test_an_injected_outcome_is_judged_as_the_callees() -> None:
    with seawall.testing.clock():
        policy = seawall.policy(
            None,
            seawall.retry(max_attempts=2, on_result=lambda result: result == "bad"),
            seawall.chaos(rate=1, outcome="bad", expires_in="1h"),
        )
        assert policy.call(broken) == "bad"


def test_a_behaviour_runs_in_each_attempt_struck() -> None:
    struck: list[int] = []

    async def later() -> None:
        await asyncio.sleep(0)
        struck.append(seawall.current().attempt)

    with seawall.testing.clock():
        sync = seawall.chaos(rate=1, behavior=lambda: struck.append(seawall.current().attempt), expires_in="1h")
        assert sync.call(lambda: len(struck)) == 1
        asynchronous = seawall.chaos(rate=1, behavior=later, expires_in="1h")

        async def work() -> int:
            return len(struck)

        assert asyncio.run(asynchronous(work)()) == 2
    assert struck == [1, 1]


def test_what_a_behaviour_raises_is_injected() -> None:
    def fill_the_disk() -> None:
        raise OSError("disk full")

    with seawall.testing.clock():
        policy = seawall.policy(None, seawall.circuit_breaker(), seawall.chaos(rate=1, behavior=fill_the_disk, expires_in="1h"))
        with pytest.raises(OSError, match="disk full"):
            policy.call(lambda: 1)
        assert policy.breaker.counts.failures == 1


def test_an_experiment_keeps_within_its_window_and_its_share() -> None:
    with seawall.testing.clock() as clock:
        policy = seawall.chaos(rate=1, outcome="struck", window="1s every 10s", max_share="50%", expires_in="1h")
        drawn = [policy.call(lambda: "real") for _ in range(6)]
        assert drawn == ["real", "struck"] * 3
        clock.advance("1s")
        assert policy.call(lambda: "real") == "real"
        snapshot = policy.snapshot()["chaos"]
        assert snapshot == {"armed": True, "state": "waiting", "aborted": None, "attempts": 6, "struck": 3}


def test_a_circuit_that_opens_ends_the_experiment_and_says_so_once() -> None:
    events: list[Any] = []
    forget = seawall.on_event(events.append)
    with seawall.testing.clock():
        bank = seawall.policy("chaos-bank", seawall.circuit_breaker(consecutive_failures=1))
        own = seawall.policy(
            None, seawall.circuit_breaker(consecutive_failures=1), seawall.chaos(rate=1, fault="x", abort_when={"breaker": "open"}, expires_in="1h")
        )
        with pytest.raises(seawall.InjectedFaultError):
            own.call(lambda: 1)
        own.breaker.reset()
        assert own.call(lambda: 1) == 1
        far = seawall.chaos(rate=1, outcome=2, abort_when={"breaker": "open", "policy": "chaos-bank"}, expires_in="1h")
        assert far.call(lambda: 1) == 2
        with pytest.raises(ConnectionError):
            bank.call(broken)
        assert (far.call(lambda: 1), far.call(lambda: 1)) == (1, 1)
        snapshot = far.snapshot()["chaos"]
        assert snapshot is not None and (snapshot["state"], snapshot["aborted"]) == ("aborted", "breaker_open")
    forget()
    aborted = [event for event in events if event["event"] == "chaos.aborted"]
    assert [(event["severity"], event["reason"]) for event in aborted] == [("warning", "breaker_open")] * 2


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"window": "9 to 5"}, "chaos.window"),
        ({"max_share": 0.001}, "chaos.max_share"),
        ({"abort_when": {"failure_rate": 0.5}}, "chaos.abort_when"),
        ({"abort_when": {"failure_ratio": 2}}, "chaos.abort_when.failure_ratio"),
    ],
)
def test_bounds_that_cannot_work_name_their_place(options: Any, path: str) -> None:
    with pytest.raises(seawall.ConfigError) as caught:
        seawall.chaos(rate=1, fault="x", expires_in="1h", **options)
    assert caught.value.path == path


def test_what_chaos_made_up_is_no_good_value() -> None:
    with seawall.testing.clock() as clock:
        policy = seawall.policy(None, seawall.fallback(stale_if_error=True), seawall.chaos(rate=1, outcome="made up", expires_in="1s"))
        assert policy.call(broken) == "made up"
        clock.advance("1s")
        with pytest.raises(ConnectionError):
            policy.call(broken)
