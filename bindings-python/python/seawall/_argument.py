"""Reading something from a call's own arguments: `key`, `idempotency_key`, `capture`."""

from __future__ import annotations

from collections.abc import Callable

from seawall._errors import ConfigError
from seawall._late import inspect
from seawall._typing import Any, Protocol, Union



class OfArguments(Protocol):
    """A function of a call's own arguments, whatever they are. A protocol, so that checkers know a lambda's parameters."""

    def __call__(self, first: Any, /, *args: Any, **kwargs: Any) -> object: ...


# What picks a value from a call's own arguments: a function of them, or a dotted path such as "order.tenant".
Picker = Union[str, OfArguments]


def check(spec: object, fn: Callable[..., Any], path: str) -> None:
    """Raises `ConfigError` where a dotted path does not start with a parameter of the function."""
    if not isinstance(spec, str):
        return
    first = spec.split(".")[0]
    parameters = _parameters(fn)
    if parameters is not None and first not in parameters:
        names = ", ".join(parameters) or "none"
        raise ConfigError(f"{spec!r} starts with no parameter of {fn.__qualname__}; it has {names}", path=path)


def check_form(spec: object, path: str) -> None:
    """Raises `ConfigError` for what is neither a function nor a dotted path."""
    if spec is None or callable(spec):
        return
    if not isinstance(spec, str) or not all(part.isidentifier() for part in spec.split(".")):
        raise ConfigError(
            f"expected a function of the call's arguments or a path such as 'order.tenant', not {spec!r}", path=path
        )


def _parameters(fn: Callable[..., Any]) -> list[str] | None:
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):
        return None
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature.parameters.values()):
        return None
    return list(signature.parameters)


def read(spec: object, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], path: str) -> Any:
    """What the function or the dotted path gives for these arguments."""
    if callable(spec):
        return spec(*args, **kwargs)
    if not isinstance(spec, str):
        return None
    first, *rest = spec.split(".")
    if first in kwargs:
        value = kwargs[first]
    else:
        check(spec, fn, path)
        bound = inspect.signature(fn).bind(*args, **kwargs)
        bound.apply_defaults()
        if first not in bound.arguments:
            raise ConfigError(f"this call has no argument {first!r}", path=path)
        value = bound.arguments[first]
    for name in rest:
        value = value[name] if isinstance(value, dict) else getattr(value, name)
    return value
