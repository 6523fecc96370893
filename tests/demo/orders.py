"""The orders of the demo: what one is, a generated day of them, and when each arrives in a run."""

from __future__ import annotations

import random
import uuid
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

DAY_ORDERS = 4577
FAST_ORDERS = 1500
MAX_PER_SECOND = 120
SEED = 20260313
DAY = "2026-03-13"

# Rides paid by card in a large city, per hour of a Friday: a trough before dawn, a morning shoulder, an evening peak.
HOURLY = (36, 25, 18, 13, 10, 12, 23, 38, 46, 46, 45, 47, 49, 49, 51, 50, 45, 53, 63, 64, 59, 59, 58, 50)
TIPS_PERCENT = (0, 10, 15, 20, 20, 25)
NAMESPACE = uuid.UUID("5b9f0a2e-6a3d-4c1b-9d57-0c8a1f4f7e21")


@dataclass(frozen=True)
class Order:
    """One charge that is due. `seconds` is its time on any scale that orders a day; `cents` is exact."""

    id: str
    time: str
    seconds: float
    cents: int

    @property
    def idempotency_key(self) -> str:
        """The same in both runs, safe in a header whatever the id holds."""
        return f"charge-{uuid.uuid5(NAMESPACE, self.id)}"


def generate(count: int = DAY_ORDERS) -> list[Order]:
    """The first `count` orders of one day, in order of time. The same on every machine: only `random()`, products and sums."""
    draw = random.Random(SEED)
    rides = sorted((_second_of_day(draw), _fare_cents(draw)) for _ in range(DAY_ORDERS))
    return [Order(f"ride-{n:04}", _clock(second), float(second), cents) for n, (second, cents) in enumerate(rides[:count], 1)]


def _second_of_day(draw: random.Random) -> int:
    edges = list(accumulate(HOURLY))
    hour = bisect_right(edges, int(draw.random() * edges[-1]))
    return hour * 3600 + int(draw.random() * 3600)


def _fare_cents(draw: random.Random) -> int:
    """Flag fall, distance in fifths of a mile with a long tail, waiting time, city surcharges, a tip; some airport flats."""
    if draw.random() < 0.03:
        fare = 7000
    else:
        u = draw.random()
        fifths = 3 + int(12 * u) + int(75 * u * u * u * u * u)
        fare = 300 + 70 * fifths + 70 * int(9 * draw.random())
    fare += 350 if draw.random() < 0.8 else 100
    tip = TIPS_PERCENT[int(draw.random() * len(TIPS_PERCENT))]
    return fare + (fare * tip + 50) // 100


def _clock(second: int) -> str:
    return f"{DAY} {second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"


def run_seconds(count: int, wanted: float) -> float:
    """How long a run of `count` orders takes: `wanted`, or longer, so that none of it exceeds the allowed rate."""
    return max(wanted, count / MAX_PER_SECOND)


def arrivals(orders: Sequence[Order], seconds: float) -> list[float]:
    """When each order arrives, in seconds from the start of a run.

    The day is shrunk to the run. Where its peaks would exceed the allowed rate, times are blended with an even spread,
    just as much as is needed: the shape stays, the peak fits.
    """
    first, last = orders[0].seconds, orders[-1].seconds
    span = (last - first) or 1.0
    day = [(order.seconds - first) / span for order in orders]
    even = [index / len(orders) for index in range(len(orders))]
    for percent in range(0, 101, 2):
        blend = percent / 100
        times = [seconds * (blend * e + (1 - blend) * d) for d, e in zip(day, even, strict=True)]
        if _peak(times) <= MAX_PER_SECOND:
            return times
    return [seconds * e for e in even]


def _peak(times: Sequence[float]) -> int:
    """The most arrivals in any one second."""
    most = start = 0
    for end, time in enumerate(times):
        while times[start] <= time - 1:
            start += 1
        most = max(most, end - start + 1)
    return most
