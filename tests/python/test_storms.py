"""Storms in the log, and what is never in it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import seawall
import seawall.logging


@pytest.fixture
def lines() -> Iterator[list[dict[str, object]]]:
    """Every line of the logger `seawall`, as its formatter writes it."""
    written: list[dict[str, object]] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(json.loads(self.format(record)))

    handler = Keep()
    handler.setFormatter(seawall.JsonFormatter())
    logger = logging.getLogger("seawall")
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.DEBUG)
    yield written
    logger.setLevel(level)
    logger.removeHandler(handler)
    seawall.logging.limit_storms(10)


def fail() -> None:
    raise ConnectionError("down")


def storm(policy: seawall.Policy[None], calls: int) -> None:
    for _ in range(calls):
        with pytest.raises(ConnectionError):
            policy.call(fail)


def stopped(lines: list[dict[str, object]], policy: str) -> list[object]:
    return [line.get("dropped") for line in lines if (line["event"], line["policy"]) == ("retry.stopped", policy)]


def test_a_storm_is_cut_and_the_next_line_says_by_how_much(lines: list[dict[str, object]], events: list[dict[str, object]]) -> None:
    with seawall.testing.clock() as clock:
        one, other = (seawall.policy(name, seawall.retry(max_attempts=1)) for name in ("one", "other"))
        storm(one, 1_000)
        storm(other, 3)
        assert stopped(lines, "one") == [None] * 10
        assert stopped(lines, "other") == [None] * 3
        clock.advance("1s")
        storm(one, 11)
        assert stopped(lines, "one")[10:] == [990] + [None] * 9
    heard = [event for event in events if (event["event"], event["policy"]) == ("retry.stopped", "one")]
    assert len(heard) == 1_011, "hooks hear every event"


def test_the_limit_is_the_applications(lines: list[dict[str, object]]) -> None:
    with seawall.testing.clock():
        policy = seawall.policy("one", seawall.retry(max_attempts=1))
        seawall.logging.limit_storms(2)
        storm(policy, 5)
        assert len(stopped(lines, "one")) == 2
        seawall.logging.limit_storms(None)
        storm(policy, 50)
        assert len(stopped(lines, "one")) == 52
    with pytest.raises(seawall.ConfigError):
        seawall.logging.limit_storms(0)


CANARY = "hunter2-canary"


def test_no_secret_is_ever_in_a_line_an_event_or_a_metric(
    lines: list[dict[str, object]], events: list[dict[str, object]], store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arguments, results, messages of errors, headers and the passwords of stores stay out of everything that is told."""
    seawall.logging.limit_storms(None)
    monkeypatch.setenv("BANK_TOKEN", CANARY)

    def charge(card: str, password: str) -> str:
        raise ConnectionError(f"no route to https://ada:{CANARY}@bank.test/?token={CANARY}")

    with seawall.testing.clock(), seawall.receive({"authorization": CANARY, "x-correlation-id": f"password={CANARY} !", "cookie": CANARY}, trust=True):
        parts = [seawall.fallback(lambda card, password: CANARY), seawall.dead_letter("orders", store=store)]
        parts += [seawall.retry(max_attempts=2), seawall.circuit_breaker(consecutive_failures=2), seawall.bulkhead(max_concurrent=1)]
        policy = seawall.policy("shop", *parts, seawall.timeout(total="10s"))
        for _ in range(3):
            assert policy.call(charge, CANARY, password=CANARY) == CANARY
        for url in (f"kafka://ada:{CANARY}@host/topic", f"postgresql://ada:{CANARY}@127.0.0.1:1/letters"):
            lost = seawall.policy(f"lost-{url[:5]}", seawall.dead_letter("orders", store=url))
            with pytest.raises(Exception, match="no route"):
                # A letter that is lost is one line of the log, whole, as it would have been written: secrets blanked.
                lost.call(charge, card="4111", password=CANARY)
    told = {str(line["event"]) for line in lines if "event" in line}
    assert {"attempt.failed", "retry.stopped", "breaker.opened", "call.rejected", "dlq.written", "fallback.used", "dlq.lost"} <= told
    for line in (*lines, *events):
        assert CANARY not in json.dumps(line), line
    assert CANARY not in seawall.metrics() and CANARY not in json.dumps(seawall.snapshot())
