"""From what was written to what a call needs: parts, the spec that crosses the boundary, and the resolved plan."""

from __future__ import annotations

import threading
from collections.abc import Callable

from seawall import _asyncness, _classify, _native, _stale
from seawall._errors import ConfigError, from_native
from seawall._late import json
from seawall._record import record
from seawall._typing import Any

# Each strategy that classifies errors, with the bits of its `on` and `ignore`, and whether it does so per attempt.
_JUDGES = (
    ("retry", 1, 2, True),
    ("circuit_breaker", 4, 8, True),
    ("fallback", 16, 32, False),
    ("dead_letter", 64, 128, False),
)
# These inherit the policy's own `on` and `ignore`: they ask what a failure of the callee is.
_INHERIT = ("retry", "circuit_breaker")


@record
class Part:
    """One strategy as it was written: the data that crosses the boundary, and the callables that stay here."""

    strategy: str
    data: dict[str, Any]
    code: dict[str, Any]
    name: str | None = None
    key: object = None


@record
class Plan:
    """A resolved policy. `tests` and `late_tests` are the bits and tests for an attempt's error and for the final one."""

    native: _native.Policy
    label: str
    parts: dict[str, Any]
    code: dict[str, dict[str, Any]]
    steps: tuple[tuple[bool, Any], ...]
    tests: tuple[tuple[int, _classify.Test], ...]
    late_tests: tuple[tuple[int, _classify.Test], ...]
    result_tests: tuple[tuple[int, Callable[[Any], bool]], ...]
    is_threaded: bool
    keeps_stale: bool
    stale: _stale.Values
    loads: int
    resets: int

    def bits(self, error: BaseException) -> int:
        """Which `on` and `ignore` of retry and breaker match an attempt's error."""
        return sum(bit for bit, test in self.tests if test(error))

    def late_bits(self, error: BaseException) -> int:
        """Which `on` and `ignore` of fallback and dead letter match the error that will surface."""
        return sum(bit for bit, test in self.late_tests if test(error))

    def result_bits(self, result: object) -> int:
        """Which `on_result` rejects a result."""
        return sum(bit for bit, test in self.result_tests if test(result))


# What a bare name finds: the first definition of the name in code, for the same name with other data is an error anyway. Held, for its
# callables are needed as long as the name is known. Once all state was forgotten, names included, a definition counts from its next use.
_defined: dict[str, Written] = {}

# How often policy files were loaded, and how often all state was forgotten. A plan older than that is resolved again.
_loads = 0
_resets = 0


def note_load() -> None:
    """A policy file was loaded: named policies are to be resolved again."""
    global _loads
    _loads += 1
    _native.fast_stale()


def note_reset() -> None:
    """All state was forgotten: every policy is to be resolved again."""
    global _resets
    _resets += 1
    _native.fast_stale()
    _defined.clear()
    _stale.forget()


# Whether `testing.disabled()` is in force.
_disabled = False


def set_disabled(on: bool) -> bool:
    """Switches all policies off or on; gives what was before."""
    global _disabled
    before, _disabled = _disabled, on
    _native.fast_stale()
    return before


def is_disabled() -> bool:
    """Whether policies do nothing."""
    return _disabled


# Held while a policy is resolved, which happens once each. One for all, so that a fork finds nobody inside.
_lock = threading.RLock()


class Written:
    """A policy as written, resolved at its first call. Thread-safe."""

    __slots__ = (
        "__weakref__", "_code", "_key", "_mode", "_mode_of", "_plan", "_results", "_tests", "label", "name", "parts"
    )

    def __init__(
        self, name: str | None, parts: list[Part], key: object, on: object, ignore: object, mode: object = None
    ) -> None:
        self.name = name
        # A function is asked at each call; a word is data.
        self._mode_of: Callable[[], object] | None = mode if callable(mode) else None
        self._mode = None if callable(mode) else mode
        self.parts = {part.strategy: part for part in parts}
        self._key = key
        self.label: str | None = name
        self._plan: Plan | None = None
        self._code = {strategy: dict(part.code) for strategy, part in self.parts.items()}
        self._inherit(on=on, ignore=ignore)
        self._tests = _compile(self._code)
        self._results = _compile_results(self._code)
        try:
            _native.check(self._spec())
        except _native.NativeError as error:
            raise from_native(error) from None
        self._define()

    def _define(self) -> None:
        if self.name is not None and self.parts and self.name not in _defined:
            _defined.setdefault(self.name, self)
            # A bare name may have taken the quick path of what it found before.
            _native.fast_stale()

    @property
    def defined(self) -> Written:
        """The definition in code that a bare name refers to, with its callables; else the policy itself."""
        if self.name is None or self.parts or self._mode is not None:
            return self
        return _defined.get(self.name, self)

    @property
    def key(self) -> object:
        """What finds a call's key; a bare name may bring its own."""
        return self.defined._key if self._key is None else self._key

    @property
    def mode_of(self) -> Callable[[], object] | None:
        """The function that is asked for the mode at each call; a bare name may bring its own."""
        return self.defined._mode_of if self._mode_of is None else self._mode_of

    def _inherit(self, **given: object) -> None:
        for option, value in given.items():
            if value is None:
                continue
            heirs = [strategy for strategy in _INHERIT if strategy in self._code]
            if not heirs:
                raise ConfigError("nothing here asks for it: add a retry or a circuit breaker", path=option)
            for strategy in heirs:
                self._code[strategy].setdefault(option, value)

    def _spec(self) -> str:
        parts: dict[str, dict[str, Any]] = {}
        for strategy, part in self.parts.items():
            options = dict(part.data)
            # What only code can give crosses as `true`; steps and faults as their number, put among the data already.
            options.update({name: True for name in self._code[strategy] if name not in ("steps", "fault", "outcome", "value")})
            parts[strategy] = options
        spec: dict[str, Any] = {
            "name": self.name,
            "dialect": "python",
            "keyed": self.key is not None,
            "parts": parts,
        }
        if self._mode is not None:
            spec["mode"] = self._mode
        try:
            return json.dumps(spec, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"an option has a value of the wrong type: {error}", path=self.label or "policy") from None

    def plan(self, fn: Callable[..., Any] | None) -> Plan:
        """What calls work with; resolved now if it is the first, or if a file was loaded or the state forgotten since."""
        defined = self.defined
        if defined is not self:
            return defined.plan(fn)
        plan = self._plan
        if plan is not None and plan.resets == _resets and (plan.loads == _loads or self.name is None):
            return plan
        with _lock:
            if self.label is None and fn is not None:
                self.label = label_of(fn)
            self._plan = plan = self._resolve()
        return plan

    @property
    def is_resolved(self) -> bool:
        """Whether calls work with a plan since all state was forgotten."""
        return self._plan is not None and self._plan.resets == _resets

    def put(self, part: Part) -> None:
        """Adds a strategy to a policy that is not resolved. For tests."""
        self.parts[part.strategy] = part
        self._code[part.strategy] = dict(part.code)

    def take(self, strategy: str) -> None:
        """Removes a strategy again; calls that come after a reset go without it. For tests."""
        del self.parts[strategy], self._code[strategy]
        self._plan = None

    def _resolve(self) -> Plan:
        loads, resets = _loads, _resets
        self._define()
        try:
            native = _native.resolve(self._spec())
        except _native.NativeError as error:
            raise from_native(error) from None
        if self.name is not None:
            _follow()
        elif self.label is not None:
            native.set_label(self.label)
        info = json.loads(native.info())
        effective = info["parts"]
        return Plan(
            native=native,
            label=info.get("label") or self.label or "",
            parts=effective,
            code=self._code,
            steps=_steps(self._code, effective.get("fallback") or {}),
            tests=tuple((bit, test) for bit, test, early in self._tests if early),
            late_tests=tuple((bit, test) for bit, test, early in self._tests if not early),
            result_tests=self._results,
            keeps_stale=bool(info.get("stale")),
            stale=_stale.values_of(self.name) if info.get("stale") else _stale.NONE,
            is_threaded=bool((effective.get("timeout") or {}).get("thread")),
            loads=loads,
            resets=resets,
        )


def _follow() -> None:
    # What has a name can be steered from outside. Imported here, for that module needs this one.
    from seawall import _control

    _control.follow()


def resolve_all() -> None:
    """Resolves whatever code has defined under a name."""
    for written in list(_defined.values()):
        written.plan(None)


def _steps(code: dict[str, dict[str, Any]], effective: dict[str, Any]) -> tuple[tuple[bool, Any], ...]:
    """The steps of a fallback, each with whether it is a function. Its value is the code's own object unless a policy file says otherwise."""
    given = code.get("fallback", {})
    steps: tuple[tuple[bool, Any], ...] = given.get("steps", ())
    if "value" not in effective:
        return steps
    found = effective["value"]
    in_code, own = given.get("value", (None, None))
    # As text, for in Python True is 1.
    is_own = "value" in given and json.dumps(in_code, sort_keys=True) == json.dumps(found, sort_keys=True)
    return (*steps, (False, own if is_own else found))


def _compile(code: dict[str, dict[str, Any]]) -> list[tuple[int, _classify.Test, bool]]:
    found = []
    for strategy, on_bit, ignore_bit, early in _JUDGES:
        for option, bit in (("on", on_bit), ("ignore", ignore_bit)):
            spec = code.get(strategy, {}).get(option)
            if spec is not None:
                found.append((bit, _classify.compile_matcher(spec, f"{strategy}.{option}"), early))
    return found


def _compile_results(code: dict[str, dict[str, Any]]) -> tuple[tuple[int, Callable[[Any], bool]], ...]:
    bits = {"retry": _classify.RETRY_RESULT, "circuit_breaker": _classify.BREAKER_RESULT}
    return tuple(
        (bit, _classify.compile_result_test(code[strategy]["on_result"], f"{strategy}.on_result"))
        for strategy, bit in bits.items()
        if code.get(strategy, {}).get("on_result") is not None
    )


def label_of(fn: Callable[..., Any]) -> str:
    """How an unnamed policy is called in events, metrics and errors: by the function that it guards."""
    fn = _asyncness.innermost(getattr(fn, "func", fn))
    name = getattr(fn, "__qualname__", type(fn).__qualname__)
    return f"{getattr(fn, '__module__', type(fn).__module__)}.{name}"
