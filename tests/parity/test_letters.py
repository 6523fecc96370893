"""A letter written in one language is redriven in the other, from the same directory, with nothing lost on the way."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import seawall
from servers import running

ROOT = Path(__file__).resolve().parents[2]

WRITE_IN_NODE = """
const { policy, deadLetter, retry, correlate } = require('./');
const store = process.argv[1];
class PaymentError extends Error { name = 'PaymentError'; code = 'card.declined'; }
const charge = policy('node-writer', deadLetter('orders', { store, idempotencyKey: (order) => order.id }),
  retry({ maxAttempts: 2, baseDelay: '1ms', on: ['card.declined'] }),
)(async (order) => { throw new PaymentError('declined by the bank'); });
correlate('trip-from-node', () => charge({ id: 'order-2', cents: 1250, note: 'Grüße, 世界' }))
  .then(() => process.exit(3), (error) => { console.log(error.code); });
"""

REDRIVE_IN_NODE = """
const { DeadLetterQueue, correlationId } = require('./');
const queue = new DeadLetterQueue('orders', { store: process.argv[1] });
(async () => {
  const seen = [];
  const report = await queue.redrive(async (letter) => {
    seen.push({
      id: letter.id, args: letter.args, attempts: letter.attempts.length, correlation: letter.correlationId, inside: correlationId(),
      idempotency: letter.idempotencyKey, type: letter.error.type, code: letter.error.code ?? null, message: letter.error.message,
    });
  });
  console.log(JSON.stringify({ seen, ok: report.ok, failed: report.failed, remaining: report.remaining }));
})();
"""


class PaymentError(Exception):
    code = "card.declined"


def node(script: str, *arguments: str) -> str:
    result = subprocess.run(
        ["node", "-e", script, "--", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(params=["sqlite", "postgres", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    # The same policy, with another store.
    seawall.testing.reset()
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'letters'}"
        return
    with running.any_url(request.param, tmp_path) as url:
        seawall.DeadLetterQueue("orders", store=url).purge(all=True)
        yield url


def test_python_writes_and_node_redrives(store: str) -> None:
    @seawall.policy(
        "python-writer",
        seawall.dead_letter("orders", store=store, idempotency_key=lambda order: order["id"]),
        seawall.retry(max_attempts=3, base_delay="1ms", on=[PaymentError]),
    )
    def charge(order: dict[str, Any]) -> None:
        raise PaymentError("declined by the bank")

    order = {"id": "order-1", "cents": 990, "note": "Grüße, 世界"}
    with seawall.correlate("trip-from-python"), pytest.raises(PaymentError):
        charge(order)

    told = json.loads(node(REDRIVE_IN_NODE, store))
    assert (told["ok"], told["failed"], told["remaining"]) == (1, 0, 0)
    (letter,) = told["seen"]
    assert letter.pop("id")
    assert letter == {
        "args": [order],
        "attempts": 3,
        "correlation": "trip-from-python",
        "inside": "trip-from-python",
        "idempotency": "order-1",
        "type": "PaymentError",
        "code": "card.declined",
        "message": "declined by the bank",
    }
    assert seawall.DeadLetterQueue("orders", store=store).stats().ready == 0


def test_node_writes_and_python_redrives(store: str) -> None:
    assert node(WRITE_IN_NODE, store).strip() == "card.declined"
    seen: list[tuple[Any, ...]] = []

    def handler(letter: Any) -> None:
        error = letter.error
        seen.append((letter.args, len(letter.attempts), letter.correlation_id, letter.idempotency_key))
        seen.append((error.type, error.code, error.message, seawall.correlation_id()))

    queue = seawall.DeadLetterQueue("orders", store=store)
    report = queue.redrive(handler)
    assert (report.ok, report.failed, report.remaining) == (1, 0, 0)
    order = {"id": "order-2", "cents": 1250, "note": "Grüße, 世界"}
    assert seen == [
        ([order], 2, "trip-from-node", "order-2"),
        ("PaymentError", "card.declined", "declined by the bank", "trip-from-node"),
    ]
    assert queue.stats().ready == 0


def test_a_letter_that_fails_again_in_node_is_still_there_for_python(store: str) -> None:
    queue = seawall.DeadLetterQueue("orders", store=store)
    letter_id = queue.put({"id": "order-3"}, error=PaymentError("declined by the bank"))
    failing = REDRIVE_IN_NODE.replace("seen.push({", "throw new Error('still down'); seen.push({")
    told = json.loads(node(failing, store))
    assert (told["ok"], told["failed"]) == (0, 1)
    letter = queue.get(letter_id)
    assert letter is not None
    assert (letter.payload, letter.redrives, letter.state) == ({"id": "order-3"}, 1, "ready")


BEGIN_IN_NODE = """
const { DeadLetterQueue } = require('./');
const queue = new DeadLetterQueue('orders', { store: process.argv[1] });
(async () => {
  const seen = [];
  const report = await queue.redrive(async (letter) => {
    seen.push(letter.payload.n);
    await queue.pause((await queue.jobs())[0].id);
    // Longer than it takes a runner to notice.
    await new Promise((resolve) => setTimeout(resolve, 300));
  }, { limit: null });
  console.log(JSON.stringify({ seen, stopped: report.stopped, remaining: report.remaining, job: report.job }));
})();
"""

GO_ON_IN_NODE = """
const { DeadLetterQueue } = require('./');
const queue = new DeadLetterQueue('orders', { store: process.argv[1] });
(async () => {
  const seen = [];
  const report = await queue.redrive(async (letter) => { seen.push(letter.payload.n); }, { resume: process.argv[2] });
  const [job] = await queue.jobs();
  console.log(JSON.stringify({ seen, arrived: report.arrived, state: job.state, ok: job.ok, total: job.total }));
})();
"""


def test_a_job_begun_in_one_language_is_gone_on_with_in_the_other(store: str) -> None:
    queue = seawall.DeadLetterQueue("orders", store=store)

    def put() -> None:
        for n in range(3):
            queue.put({"n": n})

    put()
    begun = json.loads(node(BEGIN_IN_NODE, store))
    assert (begun["seen"], begun["stopped"], begun["remaining"]) == ([0], "paused", 2)
    queue.put({"n": 9})
    seen: list[int] = []
    report = queue.redrive(lambda letter: seen.append(letter.payload["n"]), resume=begun["job"])
    (job,) = queue.jobs()
    assert (seen, report.arrived, job.state, job.ok, job.total) == ([1, 2], 1, "done", 3, 3)

    queue.purge(all=True)
    put()

    def stop(letter: seawall.DeadLetter) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        queue.redrive(stop, limit=None)
    told = json.loads(node(GO_ON_IN_NODE, store, queue.jobs()[0].id))
    assert told == {"seen": [0, 1, 2], "arrived": 0, "state": "done", "ok": 3, "total": 3}
