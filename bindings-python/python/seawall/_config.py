"""Policy files."""

from __future__ import annotations

import os

from seawall import _events, _native, _plan
from seawall._call import tickets
from seawall._errors import ConfigError, from_native


def load(path: str | os.PathLike[str] | None = None, *, env: str | None = None) -> None:
    """Loads a policy file, TOML or JSON. What it says of a name goes over what code says, option by option.

    Policies in use change too, all of them or none: thresholds and mode at the next judgement, retry and timeouts for calls that
    begin. A file that would change what a policy is, such as its set of strategies, is refused by the event `config.refused`.

    path: by default $SEAWALL_CONFIG.
    env: the `[env.NAME]` tables that go over the rest; by default $SEAWALL_ENV.

    Raises `ConfigError` that names the place in the file; then nothing of it is taken.
    """
    chosen = os.fspath(path) if path is not None else os.environ.get("SEAWALL_CONFIG")
    if not chosen:
        raise ConfigError("name a file, or set SEAWALL_CONFIG", path="load.path")
    try:
        records, woken = _native.load(chosen, env if env is not None else os.environ.get("SEAWALL_ENV"))
    except _native.NativeError as error:
        raise from_native(error) from None
    _plan.note_load()
    for ticket in woken:
        tickets.wake(ticket)
    for record in records:
        _events.emit(record)
