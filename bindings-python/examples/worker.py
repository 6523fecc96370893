"""Orders that are charged in the background, by Celery's workers.

    redis-server & uvicorn bank:app --port 8001 &
    celery --app worker worker &
    python -c 'import worker; worker.charge.delay("a-7", cents=450)'

An order is charged or on record: a worker that dies gives its task back, and a task that failed for good leaves a letter, which
`redrive` sends to the workers again when the bank is back. The idempotency key is the same each time.
"""

from __future__ import annotations

import os

import celery
import httpx
import seawall
from seawall.celery import Task

BANK = os.environ.get("BANK_URL", "http://localhost:8001")

app = celery.Celery("shop", broker=os.environ.get("BROKER_URL", "redis://localhost"))
# Redis delivers again what was not acknowledged for so many seconds: longer than the longest task.
app.conf.broker_transport_options = {"visibility_timeout": 60}
app.conf.broker_connection_retry_on_startup = True

orders = seawall.policy(
    "orders",
    seawall.dead_letter(),
    seawall.retry(max_attempts=3, base_delay="50ms"),
    seawall.circuit_breaker(),
    seawall.timeout(attempt="5s", total="20s"),
)


@app.task(base=Task, policy=orders)
def charge(order: str, *, cents: int) -> None:
    httpx.post(f"{BANK}/charges/{order}", json={"cents": cents}, headers=seawall.headers(), timeout=5).raise_for_status()


def send_again(letter: seawall.DeadLetter) -> None:
    charge.apply_async(letter.args, letter.kwargs)


def redrive() -> seawall.RedriveReport:
    """Sends every order on record to the workers again."""
    return seawall.DeadLetterQueue("orders").redrive(send_again, limit=None)
