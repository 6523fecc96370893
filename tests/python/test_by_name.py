"""A bare name finds the definition in code, functions included."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from typing import Any

import pytest
import seawall


def down(*_: object) -> str:
    raise ConnectionError


def loaded(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "seawall.toml"
    path.write_text(text)
    seawall.load(path)
    return path


@pytest.mark.parametrize("is_used_first", [True, False])
def test_its_fallback_answers(is_used_first: bool) -> None:
    defined = seawall.policy("shared", seawall.fallback(lambda *args: f"instead of {args}"))
    if is_used_first:
        assert defined.call(down, 1) == "instead of (1,)"
    bare: seawall.Policy[Any] = seawall.policy("shared")
    assert bare.call(down, 2) == "instead of (2,)"

    async def adown(*_: object) -> str:
        raise ConnectionError

    assert asyncio.run(bare.acall(adown, 3)) == "instead of (3,)"


def test_its_judges_say_what_counts() -> None:
    asked: list[str] = []

    def pushback(error: object) -> float:
        asked.append(type(error).__name__)
        return 2.0

    with seawall.testing.clock() as clock:
        seawall.policy("judged", seawall.retry(max_attempts=2, on=KeyError, retry_after=pushback, on_result=lambda it: it == "bad", jitter="none"))
        bare = seawall.policy("judged")
        with pytest.raises(ConnectionError):
            bare.call(down)
        assert clock.sleeps == []
        with pytest.raises(KeyError):
            bare.call({}.__getitem__, 1)
        assert "KeyError" in asked
        assert len(clock.sleeps) == 1 and clock.sleeps[0] >= 2
        assert bare.call(lambda: "bad") == "bad"
        assert len(clock.sleeps) == 2


def test_its_key_and_mode_hold_and_a_bare_name_may_bring_its_own() -> None:
    modes: list[str] = []

    def mode() -> Any:
        modes.append("asked")
        return "enforce"

    seawall.policy("keyed", seawall.circuit_breaker(consecutive_failures=1), key=lambda tenant: tenant, mode=mode)
    bare = seawall.policy("keyed")
    with pytest.raises(ConnectionError):
        bare.call(down, "a")
    assert (bare.using(key="a").breaker.state, bare.using(key="b").breaker.state) == ("open", "closed")
    assert modes == ["asked"]
    with pytest.raises(seawall.ConfigError, match="key"), bare.guard():
        pass
    other = seawall.policy("keyed", key=lambda tenant: tenant * 2, mode=lambda: "disabled")
    with pytest.raises(ConnectionError):
        other.call(down, "b")
    assert bare.using(key="bb").breaker.state == "closed"
    assert modes == ["asked"]


def test_its_letter_is_captured(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}"
    seawall.policy("kept", seawall.dead_letter("kept", store=store, capture=lambda order: {"order": order}))
    with pytest.raises(ConnectionError):
        seawall.policy("kept").call(down, 7)
    (letter,) = seawall.DeadLetterQueue("kept", store=store).peek()
    assert letter.payload == {"order": 7}


def test_a_definition_that_nobody_holds_is_found_while_the_name_is_known() -> None:
    seawall.policy("gone", seawall.fallback(str)).call(int)
    gc.collect()
    assert seawall.policy("gone").call(lambda text: down(), "x") == "x"
    seawall.testing.reset()
    gc.collect()
    with pytest.raises(ConnectionError):
        seawall.policy("gone").call(down)


def test_after_a_reset_a_definition_counts_from_its_next_use() -> None:
    held = seawall.policy("held", seawall.fallback(lambda: "held"))
    seawall.testing.reset()
    with pytest.raises(ConnectionError):
        seawall.policy("held").call(down)
    assert held.call(down) == "held"
    assert seawall.policy("held").call(down) == "held"
    seawall.testing.reset()
    new = seawall.policy("held", seawall.fallback(lambda: "new"))
    assert seawall.policy("held").call(down) == "new"
    assert (held.call(down), new.call(down)) == ("held", "new"), "callables belong to the object"


def test_a_definition_made_after_a_bare_name_was_used_is_found() -> None:
    bare: seawall.Policy[Any] = seawall.policy("later")
    with pytest.raises(ConnectionError):
        bare.call(down)
    defined = seawall.policy("later", seawall.fallback(lambda: "now"))
    assert (bare.call(down), defined.call(down)) == ("now", "now")


def test_it_is_found_by_a_function_that_a_bare_name_guards_already() -> None:
    calls: list[int] = []

    @seawall.policy("later")
    def work() -> str:
        calls.append(1)
        return "bad"

    assert [work() for _ in range(3)] == ["bad"] * 3
    defined = seawall.policy("later", seawall.retry(max_attempts=2, base_delay=0, on_result=lambda it: it == "bad"))
    assert work() == "bad"
    assert len(calls) == 5
    assert defined.name == "later"


def test_a_file_tunes_a_fallback(tmp_path: Path) -> None:
    loaded(tmp_path, '[policy.tuned]\nfallback = { value = "from the file" }\n')
    seawall.policy("tuned", seawall.fallback(value="from code"))
    bare: seawall.Policy[Any] = seawall.policy("tuned")
    assert bare.call(down) == "from the file"


def test_a_fallbacks_value_stays_the_codes_own_object(tmp_path: Path) -> None:
    loaded(tmp_path, "[policy.tuned]\nfallback = { max_age = '1m' }\n")
    for value in ({"b": 1, "a": [2, {}]}, object(), float("nan"), None):
        seawall.testing.reset()
        assert seawall.policy("tuned", seawall.fallback(value=value)).call(down) is value


@pytest.mark.parametrize("code", [(), (seawall.retry(base_delay=0),)])
def test_a_file_adds_no_fallback(tmp_path: Path, code: tuple[seawall.Policy[Any], ...]) -> None:
    path = loaded(tmp_path, '[policy.added]\nfallback = { value = "from the file" }\n')
    with pytest.raises(seawall.ConfigError, match="a file may tune a fallback") as caught:
        seawall.policy("added", *code).call(down)
    assert caught.value.path == f"{path}.policy.added.fallback"


@pytest.mark.parametrize(("option", "given"), [("chaos.fault", '"outage"'), ("chaos.outcome", "1"), ("fallback.steps", "1")])
def test_what_only_code_can_give_is_refused_in_a_file(tmp_path: Path, option: str, given: str) -> None:
    strategy, name = option.split(".")
    with pytest.raises(seawall.ConfigError, match="only code can give") as caught:
        loaded(tmp_path, f"[policy.added]\n{strategy} = {{ {name} = {given} }}\n")
    assert caught.value.path is not None and caught.value.path.endswith(f"policy.added.{option}")
