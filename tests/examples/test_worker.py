"""Celery's workers, with a Redis between them and whoever orders."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import celery
import pytest
import seawall
from conftest import Bank, process, until
from servers import running


@dataclass
class Shop:
    """The example as whoever orders sees it, a worker with two processes, and their broker."""

    module: Any
    broker: running.Redis
    master: Any
    log: Path
    env: dict[str, str]

    @property
    def queue(self) -> seawall.DeadLetterQueue:
        return seawall.DeadLetterQueue("orders", store=self.env["SEAWALL_STORE"])

    def processes(self) -> list[int]:
        """The worker's processes, which run the tasks."""
        children = Path(f"/proc/{self.master.pid}/task/{self.master.pid}/children").read_text()
        return [int(pid) for pid in children.split()]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[running.Redis]:
    with running.redis(tmp_path) as server:
        yield server


@pytest.fixture
def shop(broker: running.Redis, bank: Bank, store: str, tmp_path: Path, example: Callable[[str], Any], monkeypatch: Any) -> Iterator[Shop]:
    env = {"BROKER_URL": broker.url, "BANK_URL": bank.url, "SEAWALL_STORE": store, "NO_PROXY": "*"}
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    log = tmp_path / "worker.log"
    with worker(log, env) as master:
        yield Shop(example("worker"), broker, master, log, env)


@contextmanager
def worker(log: Path, env: dict[str, str]) -> Iterator[Any]:
    """A worker of the example with two processes, when it is ready."""
    options = ["--concurrency", "2", "--loglevel", "info", "--without-mingle", "--without-gossip"]
    with process("-m", "celery", "--app", "worker", "worker", *options, log=log, env=env) as master:
        until(lambda: " ready." in log.read_text(), "the worker is ready")
        yield master


def test_an_order_is_charged_once_under_the_id_of_whoever_ordered(shop: Shop, bank: Bank) -> None:
    with seawall.correlate("web-1"):
        sent = shop.module.charge.delay("a", cents=450)
    until(lambda: bank.receipts, "the order is charged")
    assert list(bank.receipts) == [sent.id]
    assert bank.came("a", "x-seawall-attempt") == ["1", "2"]
    assert bank.came("a", "x-correlation-id") == ["web-1", "web-1"]
    assert bank.came("a", "idempotency-key") == [sent.id, sent.id]


def test_the_tasks_of_a_chain_share_the_id_of_the_first(shop: Shop, bank: Bank) -> None:
    steps = [shop.module.charge.si(order, cents=1) for order in ("a", "b", "c")]
    celery.chain(*steps[:2]).apply_async(link=steps[2])
    until(lambda: len(bank.receipts) == 3, "all are charged")
    ids = {id for order in ("a", "b", "c") for id in bank.came(order, "x-correlation-id")}
    assert len(ids) == 1 and ids <= set(bank.receipts)


def test_an_order_that_failed_for_good_is_on_record_and_charged_later(shop: Shop, bank: Bank) -> None:
    bank.is_open = False
    with seawall.correlate("web-1"):
        sent = shop.module.charge.delay("a", cents=450)
    [letter] = until(lambda: shop.queue.peek(), "the letter is written")
    assert (letter.args, letter.kwargs) == (["a"], {"cents": 450})
    assert (letter.correlation_id, letter.idempotency_key, letter.attempt_count) == ("web-1", sent.id, 3)
    bank.is_open = True
    assert shop.module.redrive().ok == 1
    until(lambda: bank.receipts, "the order is charged")
    assert list(bank.receipts) == [sent.id]
    assert set(bank.came("a", "x-correlation-id")) == {"web-1"}
    assert shop.queue.stats().ready == 0


def test_the_task_of_a_killed_process_is_delivered_again(shop: Shop, bank: Bank) -> None:
    bank.moving.clear()
    sent = shop.module.charge.delay("a", cents=450)
    until(lambda: bank.came("a", "x-seawall-attempt"), "the task is under way")
    for pid in shop.processes():
        os.kill(pid, signal.SIGKILL)
    bank.moving.set()
    until(lambda: sent.id in bank.receipts, "the order is charged")
    until(lambda: "succeeded" in shop.log.read_text(), "the task has ended")
    # The request of the dead process reached the bank too: the key tells that it is the same charge.
    assert list(bank.receipts) == [sent.id]


def test_orders_outlive_a_worker_and_a_broker_that_are_killed(shop: Shop, bank: Bank) -> None:
    os.killpg(shop.master.pid, signal.SIGKILL)
    shop.master.wait()
    # A broker that has not noticed yet would hand an order to the dead.
    shop.broker.stop()
    shop.broker.start()
    with seawall.correlate("web-1"):
        waiting = {shop.module.charge.delay(order, cents=1).id for order in ("a", "b", "c")}
    shop.broker.stop()
    shop.broker.start()
    with worker(shop.log, shop.env):
        until(lambda: len(bank.receipts) == 3, "all orders are charged")
    assert set(bank.receipts) == waiting
    assert {id for order in ("a", "b", "c") for id in bank.came(order, "x-correlation-id")} == {"web-1"}


def test_a_worker_that_is_asked_to_ends_its_task_and_goes(shop: Shop, bank: Bank) -> None:
    bank.moving.clear()
    sent = shop.module.charge.delay("a", cents=1)
    until(lambda: bank.came("a", "x-seawall-attempt"), "a task is under way")
    shop.master.send_signal(signal.SIGTERM)
    until(lambda: "Warm shutdown" in shop.log.read_text(), "the worker is going")
    bank.moving.set()
    assert shop.master.wait(timeout=60) == 0
    assert list(bank.receipts) == [sent.id]
