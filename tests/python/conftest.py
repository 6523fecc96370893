"""Every test starts from a clean slate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import seawall


@pytest.fixture(autouse=True)
def clean_slate() -> Iterator[None]:
    seawall.testing.reset()
    yield
    seawall.testing.reset()


@pytest.fixture
def store(tmp_path: Path) -> str:
    """The address of a store of its own."""
    return f"sqlite:///{tmp_path / 'letters'}"


@pytest.fixture
def events() -> Iterator[list[dict[str, object]]]:
    """Every event while the test runs."""
    seen: list[dict[str, object]] = []
    unsubscribe = seawall.on_event(seen.append)
    yield seen
    unsubscribe()
