"""Values as Pulumi passes them, and as messages show them."""

from __future__ import annotations

from typing import Any

import pulumi.runtime.rpc
from hypothesis import given
from hypothesis import strategies as st
from pulumi_imagebuilder.validation import UNKNOWN, unserializable
from pulumi_imagebuilder.validation.values import has_unknown, is_unserializable, show


def test_unknown_is_pulumis_value() -> None:
    """Validation imports no Pulumi, but has the same value for unknown."""
    assert pulumi.runtime.rpc.UNKNOWN == UNKNOWN


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_show_is_one_short_line(value: Any) -> None:
    """A message stays one line of printable characters, and short."""
    text = show(value)
    assert text.isprintable()
    assert len(text) <= 200 * len("\\u0000") + 3


def test_show_is_as_python_writes_it() -> None:
    """A person finds the value again in the program."""
    assert show(3.0) == "3"
    assert show(0.5) == "0.5"
    assert show(True) == "True"
    assert show(None) == "None"
    assert show('say "hi"\n\u2028\x85') == r'"say \"hi\"\n\u2028\u0085"'
    assert show({"a": [1.0, UNKNOWN, {"b": None}]}) == '{"a": [1, [unknown], {"b": None}]}'
    assert show(UNKNOWN) == "[unknown]"
    assert show(object()) == "object"


def test_has_unknown_at_any_depth() -> None:
    """One unknown value makes the whole unknown."""
    assert has_unknown(UNKNOWN)
    assert has_unknown({"a": [1, {"b": UNKNOWN}]})
    assert not has_unknown({"a": [1, {"b": UNKNOWN[:-1]}], "c": None})


def test_unserializable_shows_the_type() -> None:
    """A marker keeps the name of the type, for the message; an ordinary dict is no marker."""
    assert is_unserializable(unserializable("timedelta"))
    assert show(unserializable("timedelta")) == "timedelta"
    assert not is_unserializable({"__type": "x", "more": 1})
