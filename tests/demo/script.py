"""The script of a run: which process does what when, and what the city goes through, as shares of the run."""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orders import NAMESPACE, Order
from processes import HERE, START_SECONDS, Child, RunError, node, reserve_port

SEED = 5
FAULT_SHARE = 0.3
LATENCY = "200ms..800ms"
# Redrives are limited, so that what was spared while it was down is not flooded when it is back.
REDRIVES_PER_SECOND = 150
REDRIVE_CONCURRENCY = 16
# A letter that fails again stays in its queue: a later round takes it up.
REDRIVE_ROUNDS = 3
# After its last arrival a bare run may wait for the five seconds of its client, four times over.
DRAIN_SECONDS = 60.0


@dataclass(frozen=True)
class Phase:
    name: str
    begin: float
    end: float


PHASES = (
    Phase("calm", 0.0, 0.2),
    Phase("bank sick", 0.2, 0.5),
    Phase("ledger dead", 0.5, 0.66),
    Phase("recovery", 0.66, 1.0),
)
SICK, DEAD = PHASES[1], PHASES[2]


@dataclass(frozen=True)
class Facts:
    """What a run says of itself; everything else is read from the books and logs in `folder`. Instants are Unix seconds."""

    mode: str
    folder: Path
    seconds: float
    started: float
    killed: float
    restarted: float
    redriven: dict[str, dict[str, Any]]


class Run:
    """One run of one mode, `bare` or `seawall`. `show` gets a progress line a few times a second."""

    def __init__(
        self, mode: str, orders: Sequence[Order], offsets: Sequence[float], seconds: float, folder: Path, show: Callable[[str], None]
    ) -> None:
        self.mode, self.orders, self.offsets, self.seconds, self.folder = mode, orders, offsets, seconds, folder
        self.show = show
        self.children: list[Child] = []
        self.port_guard = reserve_port()
        self.redriving = ""

    def play(self) -> Facts:
        self.folder.mkdir(parents=True)
        try:
            self._start()
            return self._perform()
        finally:
            for child in self.children:
                child.kill()
            self.port_guard.close()

    # The cast

    def _start(self) -> None:
        bank = self._add(
            node(
                "bank",
                {"book": self._path("bank.jsonl"), "seed": SEED, "latency": LATENCY, "faults": FAULT_SHARE},
                self.folder,
                {"SEAWALL_CHAOS": "allow"},
            )
        )
        self.bank, self.ledger = bank, self._ledger()
        self.urls = {"bank": self._url(bank), "ledger": self._url(self.ledger)}
        redrive = {"limit": None, "rate": f"{REDRIVES_PER_SECOND}/s", "concurrency": REDRIVE_CONCURRENCY}
        shared = {**self.urls, "mode": self.mode, "policies": str(HERE / "seawall.toml"), "redrive": redrive}
        store = {"SEAWALL_STORE": f"sqlite:///{(self.folder / 'letters').resolve()}"}
        self.payments = self._add(node("payments", {**shared, "log": self._path("payments.log.jsonl")}, self.folder, store))
        shared["payments"] = self._url(self.payments)
        settings = {**shared, "log": self._path("dispatch.log.jsonl"), "orders": self._write_orders()}
        self.dispatch = self._add(Child("dispatch", [sys.executable, str(HERE / "dispatch.py")], settings, self.folder, store))
        self.dispatch.hear("ready", START_SECONDS)

    def _add(self, child: Child) -> Child:
        self.children.append(child)
        return child

    def _ledger(self) -> Child:
        port = self.port_guard.getsockname()[1]
        return self._add(node("ledger", {"book": self._path("ledger.jsonl"), "port": port}, self.folder, {}))

    def _url(self, child: Child) -> str:
        return f"http://127.0.0.1:{child.hear('port', START_SECONDS)}"

    def _path(self, name: str) -> str:
        return str(self.folder / name)

    def _write_orders(self) -> str:
        path = self.folder / "orders.json"
        rows = [
            {
                "id": order.id,
                "cents": order.cents,
                "key": order.idempotency_key,
                "correlation_id": str(uuid.uuid5(NAMESPACE, f"trip {order.id}")),
                "arrival": offset,
            }
            for order, offset in zip(self.orders, self.offsets, strict=True)
        ]
        path.write_text(json.dumps(rows), encoding="utf-8")
        return str(path)

    # The play

    def _perform(self) -> Facts:
        self.started = time.time() + 0.3
        self.dispatch.tell({"start": self.started})
        self._until(SICK.begin)
        self.bank.tell({"sick": True})
        self._until(SICK.end)
        self.bank.tell({"sick": False})
        self.ledger.kill()
        self.children.remove(self.ledger)
        killed = time.time()
        self._until(DEAD.end)
        self.ledger = self._ledger()
        if self._url(self.ledger) != self.urls["ledger"]:
            raise RunError("the ledger came back on another port")
        restarted = time.time()
        self._until(1.0)
        self.dispatch.hear("done", DRAIN_SECONDS, self._progress)
        redriven = self._redrive() if self.mode == "seawall" else {}
        self.payments.tell({"flush": True})
        self.payments.hear("flushed", START_SECONDS)
        return Facts(self.mode, self.folder, self.seconds, self.started, killed, restarted, redriven)

    def _redrive(self) -> dict[str, dict[str, Any]]:
        """First the letters that Python wrote, redriven by Node; then those that Node wrote, redriven by Python."""
        patience = DRAIN_SECONDS + len(self.orders) / REDRIVES_PER_SECOND
        redriven: dict[str, dict[str, Any]] = {}
        for who, child, whose in (("node", self.payments, "Python's"), ("python", self.dispatch, "Node's")):
            self.redriving = f"{who.capitalize()} redrives {whose} letters"
            for _ in range(REDRIVE_ROUNDS):
                child.tell({"redrive": True})
                report = redriven[who] = child.hear("redriven", patience, self._progress)
                if not report["remaining"]:
                    break
        return redriven

    def _until(self, share: float) -> None:
        """Waits for a share of the run, and shows how it goes."""
        end = self.started + share * self.seconds
        while (left := end - time.time()) > 0:
            for child in self.children:
                child.check()
            self._progress()
            time.sleep(min(0.2, left))

    def _progress(self) -> None:
        elapsed = max(0.0, time.time() - self.started)
        phase = next((p.name for p in PHASES if elapsed < p.end * self.seconds), self.redriving or "last answers")
        counts = self.dispatch.progress
        told = ", ".join(
            f"{counts.get(what, 0)} {word}"
            for what, word in (("charged", "charged"), ("letter", "in letters"), ("failed", "lost"))
            if what != "letter" or self.mode == "seawall"
        )
        self.show(
            f"{self.mode:7} {elapsed:5.1f} s of {self.seconds:.0f}  {phase:14} {counts.get('arrived', 0)}/{len(self.orders)} arrived: {told}"
        )
