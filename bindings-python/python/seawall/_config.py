"""Policy files."""

from __future__ import annotations

import os

from seawall import _native, _watch
from seawall._errors import ConfigError, from_native


def load(path: str | os.PathLike[str] | None = None, *, env: str | None = None, watch: bool = False) -> None:
    """Loads a policy file, TOML or JSON. What it says of a name goes over what code says, option by option.

    Policies in use change too, all of them or none: thresholds and mode at the next judgement, retry and timeouts for calls that
    begin. A file that would change what a policy is, such as its set of strategies, is refused by the event `config.refused`.

    path: by default $SEAWALL_CONFIG.
    env: the `[env.NAME]` tables that go over the rest; by default $SEAWALL_ENV.
    watch: looks at the file about twice a second from now on, and loads it again when it has changed. A bad file is refused by the
        event `config.refused`, which says why, once; one that is gone changes nothing. It is watched until the next load.

    Raises `ConfigError` that names the place in the file; then nothing of it is taken.
    """
    chosen = os.fspath(path) if path is not None else os.environ.get("SEAWALL_CONFIG")
    if not chosen:
        raise ConfigError("name a file, or set SEAWALL_CONFIG", path="load.path")
    if not isinstance(watch, bool):
        raise ConfigError(f"expected True or False, not {watch!r}", path="load.watch")
    environment = env if env is not None else os.environ.get("SEAWALL_ENV")
    # Made before the file is loaded: a change in between is one that the watch is to see.
    watched = _native.Watch(chosen, environment) if watch else None
    try:
        records, woken = _watch.load(lambda: _native.load(chosen, environment), watched)
    except _native.NativeError as error:
        raise from_native(error) from None
    _watch.tell(records, woken)
