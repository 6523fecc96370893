"""What the tests of the fast path share."""

from __future__ import annotations

from typing import Any

import pytest
from seawall import _fast

NEEDED = pytest.mark.skipif(not (_fast._is_here and _fast._is_on), reason="there is no fast path, or it is switched off")


def quick(fn: Any) -> int:
    """How many calls of a policy the fast path has served."""
    return int(fn.policy._written.plan(None).native.quick_calls())
