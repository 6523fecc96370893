"""The correlation id on every line of the standard library's log: `handler.addFilter(seawall.logging.CorrelationFilter())`."""

from __future__ import annotations

import logging
from typing import Any

from seawall._context import current
from seawall._errors import ConfigError
from seawall._storms import storms

__all__ = ["CorrelationFilter", "limit_storms"]


def limit_storms(per_second: int | None) -> None:
    """Of one event of one policy so many lines a second, 10 if this is never called; None: all.

    The next line says in `dropped` how many there were besides. Hooks hear every event. An event is what the logger `seawall` says.
    """
    if per_second is not None and per_second < 1:
        raise ConfigError(f"expected a number from 1 on, or None, not {per_second!r}", path="limit_storms.per_second")
    storms.per_second = per_second


class CorrelationFilter(logging.Filter):
    """Lets every record pass, and sets what a format may name: `correlation_id`, `policy` and `attempt`.

    A record of the logger `seawall` has the id and the policy of its event. Any other has the id of the code that logged it, no
    policy, and the number of the attempt inside a guarded call. What is not known is `missing`.

    It belongs on a handler: a filter on a logger sees nothing of the loggers below it.
    """

    def __init__(self, missing: str = "-") -> None:
        super().__init__()
        self._missing = missing

    def filter(self, record: logging.LogRecord) -> bool:
        """True, always."""
        here = current()
        event: dict[str, Any] = getattr(record, "seawall", None) or {}
        known: dict[str, object] = {
            "correlation_id": event.get("correlation_id") or here.correlation_id,
            "policy": event.get("policy"),
            "attempt": event.get("attempt") or here.attempt,
        }
        for name, value in known.items():
            # What the application set itself stays.
            if getattr(record, name, None) is None:
                setattr(record, name, value or self._missing)
        return True
