"""Dispatch as people write it: try, except, and three more tries at once."""

from __future__ import annotations

from typing import Any

import httpx

RETRIES = 3


class BareDesk:
    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self.client, self.url = client, url

    async def charge(self, order: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        for attempt in range(1, RETRIES + 2):
            try:
                response = await self.client.post(f"{self.url}/charge", json=order, headers={"idempotency-key": order["key"]})
                response.raise_for_status()
                return "charged", {"attempts": attempt}
            except httpx.HTTPError as error:
                last = error
        return "failed", {"attempts": RETRIES + 1, "error_type": type(last).__name__}

    async def redrive(self) -> None:
        """Nothing was kept, so there is nothing to do again."""
