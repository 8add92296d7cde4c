"""What is written is read back unchanged by the strict loader."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medaudit.policy.strict import parse
from medaudit.policy.write import dump, flow, scalar

texts = st.text(max_size=40)
tricky = st.sampled_from(
    ["no", "012", "12:30", "1e3", "0x1F", "1_000", "~", "null", "true", "- a", "a: b", "a #b", "#",
     "'", '"', "a\nb", " a", "a ", "=", "<<", "!x", "&a", "*a", "%", "@", "`", "2024-01-01", "1.",
     "+1", "", "?", ":", "80%", "0.05 mV", "a, b", "{a}", "[a]", "\x1b[31m", "\u202e", "\u2028",
     "\x85", "\x7f", "\ufeff", "\U0001f600", "5 mV", "1/min", "8-bit gray level", "|", ">"]
)  # fmt: skip
numbers = st.one_of(st.integers(-(10**30), 10**30), st.floats(allow_nan=False, allow_infinity=False))
values = st.one_of(texts, tricky, numbers, st.booleans(), st.none())
lists = st.lists(values, max_size=4)
small = st.dictionaries(st.one_of(tricky, st.text(min_size=1, max_size=20)), values, max_size=4)


def back(data: dict[str, Any]) -> Any:
    """Written and read again."""
    return parse(dump(data)).data


@given(value=values)
def test_scalars(value: Any) -> None:
    """One value of any kind."""
    found = back({"k": value})["k"]
    assert found == value
    if not isinstance(value, float):  # a whole float is written as a whole number
        assert type(found) is type(value)


@given(name=st.one_of(tricky, st.text(min_size=1, max_size=40)), value=values)
def test_keys(name: str, value: Any) -> None:
    """Any text is a key."""
    assert back({name: value, "last": 1}) == {name: value, "last": 1}


@given(items=lists, inner=small)
def test_lists_and_mappings(items: list[Any], inner: dict[str, Any]) -> None:
    """Short ones on a line, others in blocks."""
    data = {"items": items, "inner": inner, "deep": {"er": {"still": inner, "items": items}}}
    assert back(data) == data


@given(rows=st.lists(small.filter(bool), min_size=1, max_size=3))
def test_lists_of_mappings(rows: list[dict[str, Any]]) -> None:
    """Checks stand in blocks, channels on a line each."""
    assert back({"checks": rows, "last": 1}) == {"checks": rows, "last": 1}
    assert back({"channels": rows}) == {"channels": rows}


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_floats_to_the_bit(value: float) -> None:
    """No digit is lost."""
    assert float(back({"k": value})["k"]) == value


def test_comments() -> None:
    """Above the key they belong to, and no part of the data."""
    data = {"a": 1, "b": {"c": 2, "d": {"e": 1}}, "checks": [{"id": "x", "rule": "r"}]}
    remarks = {("a",): "first\nsecond", ("b", "c"): "inner", ("checks", "x"): "the check"}
    text = dump(data, remarks)
    assert parse(text).data == data
    assert "# first\n# second\na: 1" in text
    assert "  # the check\n  - id: x" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain words", "plain words"),
        ("0.05 mV", "0.05 mV"),
        ("95%", "95%"),
        ("no", '"no"'),
        ("1e3", '"1e3"'),
        (3.0, "3"),
        (True, "true"),
        (None, "null"),
    ],
)
def test_looks(value: Any, text: str) -> None:
    """People read these files: quotes only where they are needed."""
    assert scalar(value) == text


def test_flow() -> None:
    """Values on one line."""
    assert flow({"a": [1, "b, c"], "d": {"e": "f"}}) == '{a: [1, "b, c"], d: {e: f}}'
    assert flow([]) == "[]"
    assert flow({}) == "{}"
