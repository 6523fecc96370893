"""What the words of all strategies share: from arguments to a policy of one part."""

from __future__ import annotations

from collections.abc import Callable

from seawall import _argument
from seawall._argument import Picker
from seawall._durations import to_spec
from seawall._errors import ConfigError
from seawall._plan import Part
from seawall._policy import Policy
from seawall._typing import Any, Final, TypeVar

Fn = TypeVar("Fn", bound=Callable[..., object])


class Unset:
    """Stands for an argument that was not given, where None means something."""


UNSET: Final = Unset()

_DURATIONS = frozenset(
    "base_delay max_delay retry_after_max sampling_duration break_duration max_break_duration reset_after half_open_lease "
    "max_wait attempt total idle write_timeout expires_in ramp slow_call_duration delay max_age retention".split()
)
_PICKERS = frozenset(("capture", "idempotency_key", "key"))
_CODE = frozenset(("on", "ignore", "on_result", "retry_after", "capture", "idempotency_key", "redact", "only", "on_lost", "steps"))


def part_of(strategy: str, name: str | None, key: Picker | None, scope: str | None, **options: Any) -> Policy[Any]:
    data: dict[str, Any] = {} if scope is None else {"scope": scope}
    code: dict[str, Any] = {}
    for option, value in options.items():
        path = f"{strategy}.{option}"
        if value is None:
            continue
        if option in _CODE or (option == "encrypt" and callable(value)):
            check_code(option, value, path)
            code[option] = value
        elif option in _DURATIONS:
            data[option] = to_spec(value, path)
        else:
            data[option] = value
    if key is not None:
        _argument.check_form(key, f"{strategy}.key")
    return Policy._of_parts(name, [Part(strategy, data, code, name, key)], key=key)


def check_code(option: str, value: object, path: str) -> None:
    if option in _PICKERS:
        _argument.check_form(value, path)
    elif option in ("on_result", "retry_after", "redact", "only", "on_lost") and not callable(value):
        raise ConfigError(f"expected a function, not {value!r}", path=path)


def bare(fn: object, word: str, make: Callable[[], Policy[Any]]) -> Any:
    """`@retry` without parentheses: the strategy with its defaults, around the function."""
    if fn is None:
        return make()
    if not callable(fn) and not isinstance(fn, (classmethod, staticmethod)):
        raise ConfigError(f"expected options by name, as in {word}(…), or a function, not {fn!r}", path=word)
    return make()(fn)  # type: ignore[arg-type]


def known(strategy: str, options: dict[str, Any]) -> None:
    """Raises `ConfigError` for an option that the strategy does not have, naming the nearest one."""
    import difflib

    from seawall._table import OPTIONS

    for option in options:
        if option not in OPTIONS[strategy]:
            near = difflib.get_close_matches(option, [*OPTIONS[strategy], *OPTIONS["*"]], n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(OPTIONS[strategy])}"
            raise ConfigError(f"there is no such option; {hint}", path=f"{strategy}.{option}")
