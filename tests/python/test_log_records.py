"""The correlation id on every line of the standard library's log."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest
import seawall
from seawall.logging import CorrelationFilter


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What the root logger's handler writes."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logging.Formatter("%(correlation_id)s %(policy)s %(attempt)s %(message).12s"))
    handler.addFilter(CorrelationFilter())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield written
    root.removeHandler(handler)
    root.setLevel(level)


def test_every_line_has_the_id_of_the_code_that_wrote_it(lines: io.StringIO) -> None:
    logger = logging.getLogger("shop")

    @seawall.retry(max_attempts=2, base_delay="1s")
    def charge() -> None:
        logger.warning("charging")
        if seawall.current().attempt == 1:
            raise ConnectionError

    logger.info("outside")
    with seawall.testing.clock(), seawall.correlate("web-1"):
        logger.info("inside")
        charge()
    told = [line for line in lines.getvalue().splitlines() if not line.endswith("retry.scheduled"[:12])]
    assert told == ["- - - outside", "web-1 - - inside", "web-1 - 1 charging", "web-1 - 2 charging"]


def test_an_event_has_its_policy(lines: io.StringIO) -> None:
    bank = seawall.policy("bank", seawall.circuit_breaker(consecutive_failures=1))
    with seawall.testing.clock(), seawall.correlate("web-1"), pytest.raises(ConnectionError):
        bank.call(fail)
    assert "web-1 bank - breaker.open" in lines.getvalue()


def fail() -> None:
    raise ConnectionError


def test_what_the_application_set_itself_stays() -> None:
    record = logging.makeLogRecord({"msg": "hello", "correlation_id": "own", "policy": "mine"})
    with seawall.correlate("web-1"):
        assert CorrelationFilter(missing="?").filter(record)
    assert (record.correlation_id, record.policy, record.attempt) == ("own", "mine", "?")  # type: ignore[attr-defined]
