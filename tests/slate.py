"""Fixtures that every suite of Python tests has, each by its own conftest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import seawall


@pytest.fixture(autouse=True)
def clean_slate() -> Iterator[None]:
    """Nothing of a test reaches the next."""
    seawall.testing.reset()
    yield
    seawall.testing.reset()


@pytest.fixture
def store(tmp_path: Path) -> str:
    """The address of a store of its own."""
    return f"sqlite:///{tmp_path / 'letters'}"
