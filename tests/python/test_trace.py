"""`traceparent` and hostile ids."""

from __future__ import annotations

import re

import pytest
import seawall

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
HOSTILE = ["", "a b", "a\r\nset-cookie: x", "ü", "\0", "${jndi:ldap://x}", "<script>", "a" * 129, '"', "';--", "\x1b[2J"]


def sent_on(header: str, trust: bool = True) -> str | None:
    with seawall.receive({"traceparent": header}, trust=trust):
        return seawall.headers().get("traceparent")


def test_a_trusted_traceparent_goes_on_through_a_call() -> None:
    assert sent_on(TRACE) == TRACE
    assert sent_on(TRACE, trust=False) is None
    with seawall.receive({"traceparent": TRACE}, trust=True):
        assert seawall.retry(max_attempts=1)(seawall.headers)()["traceparent"] == TRACE
    assert "traceparent" not in seawall.headers()


@pytest.mark.parametrize(
    "header",
    [TRACE.upper(), TRACE + "0", TRACE.replace("00-", "ff-", 1), f"00-{'0' * 32}-{'1' * 16}-01", f"00-{'1' * 32}-{'0' * 16}-01",
     TRACE.replace("-", "0"), TRACE[:-3] + "\r\nx", "-" * 55, ""],
)  # fmt: skip
def test_a_bad_traceparent_is_dropped(header: str) -> None:
    assert sent_on(header) is None


@pytest.mark.parametrize("id", HOSTILE)
def test_a_hostile_id_is_replaced_from_wherever_it_comes(id: str) -> None:
    seen = []
    for name in ("x-correlation-id", "x-request-id"):
        with seawall.receive({name: id}):
            seen.append(seawall.correlation_id())
    with seawall.correlate(id) as chosen:
        seen += [chosen, seawall.correlation_id()]
    assert all(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{21}", one or "") for one in seen), seen


def test_the_attempt_of_a_trusted_caller_is_shown() -> None:
    for said, shown in {"3": 3, "-1": 0, "1e3": 0, "9999999": 0, "x": 0, "٣": 0}.items():
        with seawall.receive({"x-seawall-attempt": said}, trust=True):
            assert seawall.current().attempt == shown
            assert seawall.retry(max_attempts=1)(lambda: seawall.current().attempt)() == 1
        with seawall.receive({"x-seawall-attempt": said}):
            assert seawall.current().attempt == 0
