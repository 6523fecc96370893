"""The immutable values of the package: what dataclasses would have given."""

from __future__ import annotations

import copy
import pickle

import pytest
import seawall


def test_they_are_made_by_position_and_by_name_with_defaults() -> None:
    made = seawall.Current(2, key="a")
    assert (made.attempt, made.key, made.error) == (2, "a", None)
    assert repr(made).startswith("Current(attempt=2, key='a', idempotency_key=None")
    with pytest.raises(TypeError):
        seawall.Current(nothing=1)  # type: ignore[call-arg]


def test_they_compare_and_hash_by_value_and_match_by_place() -> None:
    assert seawall.Current(1) == seawall.Current(attempt=1) != seawall.Current(2)
    assert hash(seawall.Current(1)) == hash(seawall.Current(1))
    assert seawall.Current(1) != (1,)
    match seawall.Current(3):
        case seawall.Current(attempt):
            assert attempt == 3


def test_they_cannot_be_changed() -> None:
    made = seawall.Current()
    for change in (lambda: setattr(made, "attempt", 3), lambda: setattr(made, "other", 3), lambda: delattr(made, "attempt")):
        with pytest.raises(AttributeError):
            change()


def test_they_are_copied_and_pickled_by_value() -> None:
    made = seawall.Current(1, "a", correlation_id="id")
    for twin in (copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert twin == made and type(twin) is seawall.Current
