"""What only tests need stays out of what is shipped."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROWS = 'seawall-engine feature "rows"'


def features_of_the_engine(package: str) -> str:
    command = ["cargo", "tree", "--locked", "--package", package, "--edges", "features", "--invert", "seawall-engine"]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("package", ["seawall", "seawall-python", "seawall-node"])
def test_no_product_counts_the_rows_it_takes(package: str) -> None:
    assert ROWS not in features_of_the_engine(package)


def test_the_test_kit_counts_them() -> None:
    assert ROWS in features_of_the_engine("seawall-testkit")
