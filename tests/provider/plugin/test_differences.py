"""Where two declarations differ."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi_imagebuilder.plugin.differences import Kind, find_differences, with_replacement


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("a", "b", {"p": Kind.UPDATE}),
        (None, "b", {"p": Kind.ADD}),
        ("a", None, {"p": Kind.DELETE}),
        ({"amis": True}, {"amis": True, "snapshots": True}, {"p.snapshots": Kind.ADD}),
        ({"amis": {"isPublic": True}}, {"amis": {}}, {"p.amis.isPublic": Kind.DELETE}),
        ({"a": {"b": 1.0}}, {"a": {"b": 2}}, {"p.a.b": Kind.UPDATE}),
        ({"cost center": "a"}, {"cost center": "b"}, {'p["cost center"]': Kind.UPDATE}),
        (["a", "c"], ["a", "b", "c"], {"p[1]": Kind.ADD}),
        (["a", "b", "c"], ["a", "c"], {"p[1]": Kind.DELETE}),
        (["a"], ["b"], {"p[0]": Kind.UPDATE}),
        ([{"x": 1}], [{"x": 1}, {"x": 2}], {"p[1]": Kind.ADD}),
        ([1, 2], [1, 3], {"p[1]": Kind.UPDATE}),
        # What differs in nothing that is written: then the whole.
        ({"amis": False}, {}, {"p": Kind.UPDATE}),
    ],
)
def test_paths(old: Any, new: Any, found: dict[str, Any]) -> None:
    """Each difference is named where it is, with what happened there."""
    assert find_differences("p", old, new) == found


def test_replacement() -> None:
    """Each kind has one that replaces."""
    replacing = [with_replacement(kind) for kind in (Kind.ADD, Kind.DELETE, Kind.UPDATE)]
    assert replacing == [Kind.ADD_REPLACE, Kind.DELETE_REPLACE, Kind.UPDATE_REPLACE]
