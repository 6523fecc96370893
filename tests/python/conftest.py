"""Every test starts from a clean slate."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import seawall
from slate import clean_slate, store

__all__ = ["clean_slate", "events", "store"]


@pytest.fixture
def events() -> Iterator[list[dict[str, object]]]:
    """Every event while the test runs."""
    seen: list[dict[str, object]] = []
    unsubscribe = seawall.on_event(seen.append)
    yield seen
    unsubscribe()
