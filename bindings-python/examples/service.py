"""A service that stands while the bank behind it does not.

    uvicorn bank:app --port 8001 &
    gunicorn service:app --workers 2 --worker-class uvicorn_worker.UvicornWorker
    curl -X POST localhost:8000/orders/a-7 -H 'x-correlation-id: me'

An order that cannot be charged now gets no receipt, and none is lost: `seawall dlq ls orders` shows what is still to be charged,
with the correlation id of the request.
"""

from __future__ import annotations

import logging
import os

import httpx
import seawall
from fastapi import FastAPI
from seawall.asgi import Middleware
from seawall.logging import CorrelationFilter

handler = logging.StreamHandler()
handler.setFormatter(logging.Formatter("%(levelname)s [%(correlation_id)s] %(message)s"))
handler.addFilter(CorrelationFilter())
logging.basicConfig(level=logging.INFO, handlers=[handler])

app = FastAPI()
app.add_middleware(Middleware)
bank = httpx.AsyncClient(base_url=os.environ.get("BANK_URL", "http://localhost:8001"))
payments = seawall.policy(
    "bank",
    seawall.fallback(None),
    seawall.dead_letter("orders", idempotency_key="order"),
    seawall.retry(max_attempts=3, base_delay="50ms"),
    seawall.bulkhead(max_concurrent=20),
    seawall.circuit_breaker(),
    seawall.timeout(attempt="2s", total="5s"),
)


@payments
async def charge(order: str) -> str:
    answer = await bank.post(f"/charges/{order}", headers=seawall.headers())
    receipt: str = answer.raise_for_status().json()["receipt"]
    return receipt


@app.post("/orders/{order}")
async def place(order: str) -> dict[str, str | None]:
    return {"order": order, "receipt": await charge(order)}


@app.get("/health")
async def health() -> dict[str, str | int]:
    return {"worker": os.getpid(), "bank": payments.breaker.state}
