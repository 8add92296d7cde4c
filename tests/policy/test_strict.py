"""Strict YAML: no guesses, no aliases, no second document, every value with its place."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medaudit.core.errors import PolicyError
from medaudit.policy.strict import MAX_BYTES, MAX_DEPTH, parse, read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("Off", "Off"),
        ("NO", "NO"),
        ("y", "y"),
        ("True", "True"),
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("Null", "Null"),
        ("012", "012"),
        ("0", 0),
        ("-0", 0),
        ("0o17", "0o17"),
        ("0x1F", "0x1F"),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("12:30:45", "12:30:45"),
        ("1e3", 1000.0),
        ("1E-3", 0.001),
        ("1.", 1.0),
        (".5", 0.5),
        ("-.5e1", -5.0),
        ("+3", 3),
        ("1e400", "1e400"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("nan", "nan"),
        ("2024-01-01", "2024-01-01"),
        ("80%", "80%"),
        ("0.05 mV", "0.05 mV"),
        ("'12'", "12"),
        ('"true"', "true"),
        ("=", "="),
        ("<<", "<<"),
    ],
)
def test_scalars(text: str, value: Any) -> None:
    """YAML 1.2's core schema with decimal numbers only; everything else is text."""
    found = parse(f"k: {text}\n").data["k"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", (3, 1), "key 'a' is written twice"),
        ("x:\n  a: 1\n  'a': 3\n", (3, 3), "key 'a' is written twice"),
        ("x: {a: 1, b: 2, a: 3}\n", (1, 17), "key 'a' is written twice"),
        ("a: &x 1\nb: 2\n", (1, 4), "anchors and aliases are not allowed"),
        ("a: 1\nb: *x\n", (2, 4), "anchors and aliases are not allowed"),
        ("a: &x\n  b: *x\n", (1, 4), "anchors and aliases are not allowed"),
        ("a: !!int '3'\n", (1, 4), "not allowed in a policy"),
        ("a: !!python/object/apply:os.system [x]\n", (1, 4), "not allowed in a policy"),
        ("a: 1\nb: !secret x\n", (2, 4), "not allowed in a policy"),
        ("a: 1\n---\nb: 2\n", (2, 1), "only one document is allowed"),
        ("? [a]\n: b\n", (1, 3), "keys must be plain words"),
        ("? {a: b}\n: b\n", (1, 3), "keys must be plain words"),
        ("a: b: c\n", (1, 5), "not valid YAML"),
        ("a: 'x\n", (2, 1), "not valid YAML"),
        ("a: [1, 2\nb: 3\n", (2, 2), "not valid YAML"),
        ("a: 1\n\tb: 2\n", (2, 1), "not valid YAML"),
        ("a: |\n  x\n b\n", (3, 2), "not valid YAML"),
    ],
)
def test_refusals_are_placed(text: str, place: tuple[int, int], words: str) -> None:
    """Line, column and the line itself."""
    with pytest.raises(PolicyError, match=r".") as caught:
        parse(text, "p.yaml")
    error = caught.value
    assert words in error.message
    assert (error.line, error.column) == place
    assert str(error).startswith(f"p.yaml:{place[0]}:{place[1]}: ")
    assert "\n" not in error.message


def test_depth() -> None:
    """Nesting ends somewhere, at a place."""
    parse("[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1))
    deep = MAX_DEPTH + 5
    with pytest.raises(PolicyError, match="nested too deeply") as caught:
        parse("a: " + "[" * deep + "]" * deep)
    assert caught.value.line == 1
    assert caught.value.column > MAX_DEPTH
    with pytest.raises(PolicyError, match="nested too deeply"):
        parse("[" * 5000)


def test_many_nodes() -> None:
    """A list without end ends."""
    with pytest.raises(PolicyError, match="too large"):
        parse("[" + "1," * 60_000 + "]")


def test_files(tmp_path: Path) -> None:
    """Size, encoding, absence, emptiness."""
    path = tmp_path / "p.yaml"
    with pytest.raises(PolicyError, match="cannot be read"):
        read(path)
    with pytest.raises(PolicyError, match="cannot be read"):
        read(tmp_path)
    path.write_bytes(b"# " + b"x" * MAX_BYTES)
    with pytest.raises(PolicyError, match="a policy has at most"):
        read(path)
    path.write_bytes(b"a: \xff\n")
    with pytest.raises(PolicyError, match="is not UTF-8 text"):
        read(path)
    for empty in (b"", b"# only a remark\n", b"\n\n"):
        path.write_bytes(empty)
        with pytest.raises(PolicyError, match="the file is empty"):
            read(path)
    path.write_bytes(b"a: 1\x00\n")
    with pytest.raises(PolicyError, match="not valid YAML"):
        read(path)
    path.write_bytes("\ufeffa: 1\r\nb: 2\r\n".encode())
    assert read(path).data == {"a": 1, "b": 2}


def test_places_of_values_and_keys() -> None:
    """Values, list items and keys all know where they stand."""
    document = parse("a:\n  b: [10, 20]\n  c: text\n", "p.yaml")
    assert document.places[("a", "b", 1)] == (2, 11)
    assert document.places[("a", "c")] == (3, 6)
    assert document.places[("a", "c", "\0key")] == (3, 3)
    error = document.error(("a", "b", 1, "unknown", 7), "bad")
    assert (error.line, error.column) == (2, 11)
    assert str(error) == "p.yaml:2:11: bad\n  |\n2 |   b: [10, 20]\n  |           ^ a.b.1.unknown.7"
    assert document.error(("nowhere",), "bad").line == 1


def test_numbers_of_any_length() -> None:
    """Python's own limit on digits is not the user's problem."""
    assert parse("a: " + "1" * 300).data["a"] == int("1" * 300)
    found = parse("a: " + "1" * 5000).data["a"]
    assert isinstance(found, (int, str))


@given(text=st.text(alphabet=st.sampled_from("ab:{}[],&*!|>'\"%@`#?- \n\t0129.~\\"), max_size=60))
def test_anything_is_read_or_refused(text: str) -> None:
    """Arbitrary text never raises anything but PolicyError."""
    try:
        document = parse(text)
    except PolicyError:
        return
    assert plain(document.data)


def plain(value: Any) -> bool:
    """Only what JSON could hold, and finite."""
    if isinstance(value, dict):
        return all(isinstance(k, str) and plain(v) for k, v in value.items())
    if isinstance(value, list):
        return all(map(plain, value))
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, (str, bool, int))
