"""What counts as done."""

from __future__ import annotations

from typing import Any

import pytest

from core.aws.operations import OPERATIONS, holds


@pytest.mark.parametrize(
    ("found", "wanted", "same"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"rows": [{"w": 0.20000000298023224, "more": 1}]}, {"rows": [{"w": 0.2}]}, True),
        ({"rows": [{"w": 0.21}]}, {"rows": [{"w": 0.2}]}, False),
        ({"rows": [1, 2]}, {"rows": [1]}, False),
        ({"rows": None}, {"rows": [1]}, False),
        ({"Subnets": ["s-2", "s-1"]}, {"Subnets": ["s-1", "s-2"]}, True),
        ({"Subnets": ["s-1"]}, {"Subnets": ["s-1", "s-2"]}, False),
        ({"Subnets": None}, {"Subnets": ["s-1"]}, False),
        (None, {"a": 1}, False),
        (2, 2.0, True),
        ("2", 2.0, False),
    ],
)
def test_what_was_asked_for_is_found_among_more(found: Any, wanted: Any, same: bool) -> None:
    """A resource matches if it has all requested values; AWS's additions, rounding and order of IDs are ignored."""
    assert holds(found, wanted) is same


def test_whatever_makes_something_looks_first() -> None:
    """Each call that creates a named resource checks first, except a training job's: its name must be new."""
    makes = {operation for (_, operation), known in OPERATIONS.items() if known.first}
    assert makes == {
        "CreateModel",
        "CreateEndpointConfig",
        "CreateEndpoint",
        "UpdateEndpoint",
        "PutObject",
        "CreateRole",
        "PutRolePolicy",
    }
    deletes = {operation for (_, operation), known in OPERATIONS.items() if known.deletes}
    assert deletes == {name for _, name in OPERATIONS if name.startswith(("Delete", "Deregister"))}
