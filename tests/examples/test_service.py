"""FastAPI under gunicorn, with two workers that share one store, and a bank that is not always there."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import seawall
from conftest import Bank, process, until


@dataclass
class Service:
    """The service, and a client of it that keeps no connection: any worker may answer."""

    master: Any
    url: str
    client: httpx.Client
    log: Path

    def workers(self) -> set[int]:
        """The processes that answer now."""
        return {self.client.get("/health").json()["worker"] for _ in range(8)}


def order(client: httpx.Client, name: str, id: str) -> str | None:
    """Orders something, and gives the receipt."""
    answer = client.post(f"/orders/{name}", headers={"x-correlation-id": id}).raise_for_status()
    assert answer.headers["x-correlation-id"] == id
    receipt: str | None = answer.json()["receipt"]
    return receipt


@pytest.fixture
def service(bank: Bank, store: str, tmp_path: Path) -> Iterator[Service]:
    log = tmp_path / "gunicorn.log"
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        command = ["--workers", "2", "--worker-class", "uvicorn_worker.UvicornWorker", "--graceful-timeout", "5"]
        bind = ["--bind", f"fd://{listening.fileno()}", "--worker-tmp-dir", str(tmp_path), "--no-control-socket"]
        env = {"BANK_URL": bank.url, "SEAWALL_STORE": store, "NO_PROXY": "*"}
        fds = (listening.fileno(),)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with (
            process("-m", "gunicorn", "service:app", *command, *bind, log=log, env=env, pass_fds=fds) as master,
            httpx.Client(base_url=url, limits=httpx.Limits(max_keepalive_connections=0), timeout=30, trust_env=False) as client,
        ):
            made = Service(master, url, client, log)
            until(lambda: answers(client), "the service answers")
            yield made


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/health").json()["bank"] == "closed"
    except httpx.TransportError:
        return False


def test_an_order_is_charged_by_a_second_attempt_under_one_id(service: Service, bank: Bank) -> None:
    assert order(service.client, "a", "web-1") == bank.receipts["a"]
    assert bank.came("a", "x-seawall-attempt") == ["1", "2"]
    assert bank.came("a", "x-correlation-id") == ["web-1", "web-1"]
    assert bank.came("a", "idempotency-key") == ["a", "a"]
    assert "[web-1] HTTP Request: POST" in service.log.read_text()


def test_a_killed_worker_leaves_nothing_wedged(service: Service, bank: Bank, store: str) -> None:
    until(lambda: len(service.workers()) == 2, "both workers answer")
    # One connection, hence one worker.
    with httpx.Client(base_url=service.url, timeout=30, trust_env=False) as client, ThreadPoolExecutor(1) as pool:
        bank.is_open = False
        assert order(client, "b", "web-2") is None
        victim = client.get("/health").json()["worker"]
        bank.moving.clear()
        under_way = pool.submit(order, client, "lost", "web-3")
        until(lambda: bank.came("lost", "x-seawall-attempt"), "a call is under way in that worker")
        os.kill(victim, signal.SIGKILL)
        with pytest.raises(httpx.TransportError):
            under_way.result()
        bank.moving.set()
    assert order(service.client, "c", "web-4") is None
    bank.is_open = True
    both = until(lambda: found if len(found := service.workers()) == 2 else None, "a new worker answers beside the other")
    assert victim not in both

    # The dead worker's letter is there beside the other's, and both are charged now.
    queue = seawall.DeadLetterQueue("orders", store=store)
    assert {letter.correlation_id: letter.args for letter in queue.peek()} == {"web-2": ["b"], "web-4": ["c"]}
    assert queue.redrive(lambda letter: order(service.client, letter.args[0], "again") or fail()).ok == 2
    assert bank.receipts.keys() == {"b", "c"}

    service.master.send_signal(signal.SIGTERM)
    assert service.master.wait(timeout=30) == 0


def fail() -> str:
    raise ConnectionError("no receipt")
