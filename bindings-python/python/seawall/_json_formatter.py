"""The log as JSON lines. A module of its own, for its base class needs `logging`."""

from __future__ import annotations

import json
import logging

from seawall import _native
from seawall._context import correlation_id
from seawall._typing import Any


class JsonFormatter(logging.Formatter):
    """Formats records of the logger `seawall` as JSON lines, the same in every language, and all others as JSON too, with the correlation id of the code that logged them."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON."""
        found = getattr(record, "seawall_record", None)
        if isinstance(found, str):
            return _native.event_line(found)
        line: dict[str, Any] = {"severity": record.levelname.lower(), "message": record.getMessage(), "logger": record.name}
        # That of the record stands first: another thread may do the writing.
        id = getattr(record, "correlation_id", None) or correlation_id()
        if id is not None:
            line["correlation_id"] = str(id)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _native.event_line(json.dumps(line))
