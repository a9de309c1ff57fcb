"""Results that are kept as long as the readings they were computed from."""

from __future__ import annotations

import pandas as pd
import pytest

from pages.parts import elements
from pages.parts.derived import DerivedValues


def test_the_same_readings_are_computed_once() -> None:
    """A result is computed once for the same reading and equal settings."""
    values, reading, calls = DerivedValues(), (1, 2), []
    results = [
        values.get("sum", (reading,), lambda: calls.append(1) or sum(reading), "UTC") for _ in range(3)
    ]
    assert (results, len(calls)) == ([3, 3, 3], 1)


def test_a_new_reading_is_computed_anew() -> None:
    """A reading that equals the last one is still a new one: values are compared by identity."""
    values = DerivedValues()
    first, second = [1, 2], [1, 2]
    assert values.get("list", (first,), lambda: "first") == "first"
    assert values.get("list", (second,), lambda: "second") == "second"
    assert values.get("list", (first,), lambda: "third") == "first"


def test_other_settings_are_computed_anew() -> None:
    """Another setting, or another kind of result, has a result of its own."""
    values, reading = DerivedValues(), object()
    assert values.get("day", (reading,), lambda: 1, "UTC") == 1
    assert values.get("day", (reading,), lambda: 2, "Europe/Rome") == 2
    assert values.get("month", (reading,), lambda: 3, "UTC") == 3


def test_the_least_recently_used_is_dropped() -> None:
    """Of more results than may be kept, the least recently used is computed anew."""
    values, readings = DerivedValues(most=2), [object() for _ in range(3)]
    for place in (0, 1, 0, 2):
        values.get("place", (readings[place],), lambda place=place: place)
    assert values.get("place", (readings[0],), lambda: "anew") == 0
    assert values.get("place", (readings[1],), lambda: "anew") == "anew"


def test_a_failure_is_not_kept() -> None:
    """What could not be computed is computed again at the next look."""
    values, reading = DerivedValues(), object()
    outcomes = iter([ZeroDivisionError(), 7])

    def make() -> int:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    with pytest.raises(ZeroDivisionError):
        values.get("share", (reading,), make)
    assert values.get("share", (reading,), make) == 7


def test_a_prepared_table_is_escaped() -> None:
    """A prepared table holds the same escaped cells as one that is drawn at once."""
    frame = pd.DataFrame({"=1+1": ["=cmd()", "plain"], "list": [["=a"], ["b"]], "n": [1.5, None]})
    table = elements.prepared(frame).arrow
    assert table.to_pandas().to_dict("list").keys() == elements.guarded(frame).to_dict("list").keys()
    assert table.column(0).to_pylist() == elements.guarded(frame).iloc[:, 0].tolist()
    assert table.column(1).to_pylist() == [list(cell) for cell in elements.guarded(frame)["list"]]
    assert table.column(0).to_pylist()[0] != "=cmd()"
