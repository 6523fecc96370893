"""Dispatch guarded by Seawall: the policy `payments` of the file that it shares with payments, and `redrive` for Node's letters."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import httpx
import seawall


def _log_events(path: str) -> None:
    """Seawall's events join the log through Python's logging, as JSON lines."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(seawall.JsonFormatter())
    logger = logging.getLogger("seawall")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


class GuardedDesk:
    """`log` takes one JSON line."""

    def __init__(self, client: httpx.AsyncClient, settings: dict[str, Any], log: Callable[[dict[str, Any]], None]) -> None:
        self.client, self.settings, self.log = client, settings, log
        _log_events(settings["log"])
        seawall.load(settings["policies"])
        self.send = seawall.policy("payments")(self._send)
        self.record = seawall.policy("redrive")(self._record)

    async def charge(self, order: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        with seawall.correlate(order["correlation_id"]):
            try:
                status, attempts = await self.send(order)
            except Exception as error:
                return self._given_up(order, error)
        outcome = "letter" if status == 202 else "charged"
        return outcome, {"attempts": attempts, "correlation_id": order["correlation_id"]}

    def _given_up(self, order: dict[str, Any], error: Exception) -> tuple[str, dict[str, Any]]:
        failure = seawall.failure(error)
        letter = failure.letter_id if failure else None
        facts = {"correlation_id": order["correlation_id"], "error_type": type(error).__name__, "letter": letter}
        return ("letter" if letter else "failed"), facts

    async def _send(self, order: dict[str, Any]) -> tuple[int, int]:
        """One attempt; gives the status and which attempt it was."""
        response = await self.client.post(
            f"{self.settings['payments']}/charge", json=order, headers={**seawall.headers(), "idempotency-key": order["key"]}
        )
        response.raise_for_status()
        return response.status_code, seawall.current().attempt

    async def _record(self, charge: dict[str, Any]) -> None:
        response = await self.client.post(
            f"{self.settings['ledger']}/charges",
            json={"order": charge["id"], "cents": charge["cents"], "authorisation": charge["authorisation"]},
            headers={**seawall.headers(), "idempotency-key": charge["key"]},
        )
        response.raise_for_status()

    async def redrive(self) -> dict[str, Any]:
        """Writes to the ledger what payments could not, from the letters that Node wrote, with the same key."""

        async def finish(letter: seawall.DeadLetter) -> None:
            (charge,) = letter.args or [None]
            await self.record(charge)
            facts = {"order": charge["id"], "letter_id": letter.id, "correlation_id": letter.correlation_id}
            self.log({"event": "letter.redriven", **facts})

        report = await seawall.DeadLetterQueue("charges").aredrive(finish, **self.settings["redrive"])
        return {"ok": report.ok, "failed": report.failed, "skipped": report.skipped, "remaining": report.remaining}
