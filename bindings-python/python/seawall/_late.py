"""Modules of the standard library that take long to import and are needed late, or never: each is imported when something of it is asked for.

`import seawall` costs a few milliseconds for this. The names are used like the modules themselves: `from seawall._late import json`.
"""

from __future__ import annotations

from seawall._typing import TYPE_CHECKING

if TYPE_CHECKING:
    import base64 as base64
    import dataclasses as dataclasses
    import datetime as datetime
    import decimal as decimal
    from email import utils as _utils
    import enum as enum
    import inspect as inspect
    import json as json
    import logging as logging
    import traceback as traceback
    import uuid as uuid

    email_utils = _utils
    logger = logging.getLogger()
else:
    import sys

    class _Late:
        """Stands for a module until something is asked of it."""

        def __init__(self, name):
            self._name = name

        def __getattr__(self, attribute):
            __import__(self._name)
            found = getattr(sys.modules[self._name], attribute)
            # Found here from now on, without coming by.
            setattr(self, attribute, found)
            return found

    class _Logger:
        """Stands for the logger `seawall`, which says nothing unless the application hears it."""

        def __getattr__(self, attribute):
            import logging

            logger = logging.getLogger("seawall")
            if not logger.handlers:
                logger.addHandler(logging.NullHandler())
            found = getattr(logger, attribute)
            setattr(self, attribute, found)
            return found

    base64 = _Late("base64")
    dataclasses = _Late("dataclasses")
    datetime = _Late("datetime")
    decimal = _Late("decimal")
    email_utils = _Late("email.utils")
    enum = _Late("enum")
    inspect = _Late("inspect")
    json = _Late("json")
    logging = _Late("logging")
    traceback = _Late("traceback")
    uuid = _Late("uuid")
    logger = _Logger()
