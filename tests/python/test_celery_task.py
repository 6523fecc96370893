"""Celery's tasks under a policy, run as a worker runs them, in this process. With workers and a broker: `tests/examples/test_worker.py`."""

from __future__ import annotations

from typing import Any

import celery
import pytest
import seawall
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from seawall.celery import Task

pytestmark = pytest.mark.usefixtures("seawall_clock")


@pytest.fixture
def app() -> celery.Celery:
    app = celery.Celery("shop", broker="memory://", backend="cache+memory://", set_as_current=False)
    app.conf.task_store_eager_result = False
    return app


def policy(*parts: seawall.Policy[Any]) -> seawall.Policy[Any]:
    return seawall.policy(None, seawall.retry(max_attempts=3, base_delay="1s", jitter="none"), seawall.circuit_breaker(), *parts)


def test_the_policy_alone_retries(app: celery.Celery, seawall_clock: Any) -> None:
    attempts: list[int] = []

    @app.task(base=Task, policy=policy())
    def charge(order: str) -> str:
        attempts.append(seawall.current().attempt)
        if len(attempts) < 3:
            raise ConnectionError(order)
        return order

    assert charge.apply(args=("a",)).get() == "a"
    assert (attempts, seawall_clock.sleeps) == ([1, 2, 3], [1, 2])
    assert charge.acks_late and charge.reject_on_worker_lost


def test_a_task_given_up_leaves_a_letter_with_its_arguments(app: celery.Celery, store: str) -> None:
    @app.task(base=Task, bind=True, policy=policy(seawall.dead_letter("orders", store=store)))
    def charge(self: Any, order: str, *, cents: int) -> None:
        raise ConnectionError(f"{self.name} failed")

    ended = charge.apply(args=("a",), kwargs={"cents": 7}, task_id="task-1", headers={"x-correlation-id": "web-1"})
    assert ended.state == "FAILURE" and isinstance(ended.result, ConnectionError)
    [letter] = seawall.DeadLetterQueue("orders", store=store).peek()
    # The receiver is not captured, and the operation is the task's own function.
    assert (letter.args, letter.kwargs, letter.redrivable) == (["a"], {"cents": 7}, True)
    assert (letter.correlation_id, letter.idempotency_key, letter.attempt_count) == ("web-1", "task-1", 3)
    assert letter.origin["operation"].endswith("<locals>.charge")


def test_without_a_header_the_id_is_that_of_the_first_task(app: celery.Celery) -> None:
    @app.task(base=Task)
    def ids() -> tuple[str | None, str | None]:
        return seawall.correlation_id(), seawall.current().idempotency_key

    root, key = ids.apply(task_id="task-1").get()
    assert (root, key) == ("task-1", "task-1")
    assert ids.apply(headers={"x-correlation-id": "web-1", "idempotency-key": "order-1"}).get() == ("web-1", "order-1")
    assert seawall.correlation_id() is None


def test_called_as_a_function_it_stays_in_the_callers_context(app: celery.Celery) -> None:
    @app.task(base=Task, policy=policy())
    def ids() -> tuple[str | None, str | None]:
        return seawall.correlation_id(), seawall.current().idempotency_key

    with seawall.correlate("here"):
        assert ids() == ("here", None)


@pytest.mark.parametrize("said", [Ignore(), Reject("no", requeue=False)])
def test_what_a_task_says_to_its_worker_is_no_failure(app: celery.Celery, store: str, said: Exception) -> None:
    guard = policy(seawall.dead_letter("orders", store=store), seawall.fallback("never"))
    calls: list[int] = []

    @app.task(base=Task, policy=guard)
    def charge() -> None:
        calls.append(1)
        raise said

    with pytest.raises(type(said)):
        charge()
    assert calls == [1]
    assert guard.breaker.counts.total == 0
    assert seawall.DeadLetterQueue("orders", store=store).stats().ready == 0


def test_a_task_may_be_sent_again_by_itself(app: celery.Celery) -> None:
    runs: list[tuple[int, str | None]] = []

    @app.task(base=Task, bind=True, policy=policy())
    def later(self: Any) -> str:
        runs.append((self.request.retries, seawall.correlation_id()))
        if self.request.retries < 2:
            raise self.retry(countdown=0)
        return "done"

    assert later.apply(headers={"x-correlation-id": "web-1"}).get() == "done"
    assert runs == [(0, "web-1"), (1, "web-1"), (2, "web-1")]


def test_a_task_at_its_soft_time_limit_is_not_tried_again(app: celery.Celery, store: str) -> None:
    calls: list[int] = []

    @app.task(base=Task, policy=policy(seawall.dead_letter("orders", store=store)))
    def slow() -> None:
        calls.append(1)
        raise SoftTimeLimitExceeded

    assert isinstance(slow.apply().result, SoftTimeLimitExceeded)
    assert calls == [1]
    assert len(seawall.DeadLetterQueue("orders", store=store).peek()) == 1


def sent_headers(app: celery.Celery, task: Any, **options: Any) -> dict[str, Any]:
    """The headers of the message that sending a task gives."""
    task.apply_async(queue="sent", **options)
    with app.connection_for_read() as connection:
        message = connection.SimpleQueue("sent").get(timeout=5)
        message.ack()
        return dict(message.headers)


def test_a_message_tells_of_the_call_that_sends_it(app: celery.Celery) -> None:
    @app.task(base=Task)
    def ids() -> None:
        """Does nothing."""

    assert "x-correlation-id" not in sent_headers(app, ids)
    with seawall.receive({"x-correlation-id": "web-1", "idempotency-key": "order-1", "x-seawall-deadline-ms": "9"}, trust=True):
        sent = sent_headers(app, ids)
        own = sent_headers(app, ids, headers={"x-correlation-id": "own", "idempotency-key": "mine"})
    assert sent["x-correlation-id"] == "web-1"
    # Two tasks of one request are two pieces of work, and a deadline means nothing to who reads a message later.
    assert "idempotency-key" not in sent and "x-seawall-deadline-ms" not in sent
    assert (own["x-correlation-id"], own["idempotency-key"]) == ("own", "mine")


def test_a_redriven_letter_keeps_its_key_and_its_id(app: celery.Celery, store: str) -> None:
    @app.task(base=Task)
    def charge(order: str) -> None:
        """Does nothing."""

    queue = seawall.DeadLetterQueue("orders", store=store)
    with seawall.correlate("web-1"):
        queue.put({"order": "a"}, error=ConnectionError("no"), idempotency_key="task-1")
    found: list[dict[str, Any]] = []
    assert queue.redrive(lambda letter: found.append(sent_headers(app, charge, args=("a",)))).ok == 1
    assert found[0]["idempotency-key"] == "task-1"
    assert found[0]["x-correlation-id"] == "web-1"
