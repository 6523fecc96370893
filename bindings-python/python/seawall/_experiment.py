"""Chaos that a test puts into policies that exist, and takes out again."""

from __future__ import annotations

from seawall import _lint, _native, _plan
from seawall._errors import ConfigError
from seawall._plan import Part, Written
from seawall._policy import Policy
from seawall._strategies import chaos
from seawall._typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seawall._durations import Duration
    from seawall._strategies import Fault

# Experiments must end; virtual time in one test does not come this far.
_LIFE = "30d"


class Experiments:
    """The experiments of one test."""

    def __init__(self) -> None:
        self._changed: list[Written] = []

    def start(
        self,
        policy: str | Policy[Any],
        *,
        fault: Fault | None = None,
        latency: Duration | None = None,
        rate: float | str = 1.0,
        seed: int = 0,
    ) -> None:
        """Puts chaos into a policy, or into every policy of a name, before its first call."""
        part = chaos(rate=rate, fault=fault, latency=latency, seed=seed, expires_in=_LIFE)._written.parts["chaos"]
        found = _named(policy) if isinstance(policy, str) else [policy._written]
        if not found:
            raise ConfigError(f"no policy is called {policy!r}", path="seawall_chaos")
        for written in found:
            if "chaos" in written.parts:
                raise ConfigError("the policy has chaos already", path=f"{written.label or 'policy'}.chaos")
            if written.is_resolved:
                raise ConfigError("start chaos before the first call", path=f"{written.label or 'policy'}.chaos")
        for written in found:
            self._change(written, part)

    def _change(self, written: Written, part: Part) -> None:
        written.put(part)
        self._changed.append(written)
        _native.fast_stale()

    def undo(self) -> None:
        """Takes all of it out, and forgets what the policies were resolved to."""
        for written in self._changed:
            written.take("chaos")
        self._changed.clear()
        _plan.note_reset()


def _named(name: str) -> list[Written]:
    # A name alone refers to the policy that others define.
    return [written for written in _lint.policies() if written.name == name and written.parts]
