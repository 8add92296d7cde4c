"""Relations as a policy writes them: read as Python would read them, bound to a point's numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from medaudit.core.errors import MedauditError
from medaudit.core.interface import Channel, Input, Interface, Output
from medaudit.core.relations import broken
from medaudit.domain.relations import Linear, parse, rules_of

Array = NDArray[Any]
OUTPUT = Output("regression", ())
HOURS = 3
COLUMNS = ("age", "limit", "base excess", "Na/K", "pO2%", "ß_2")
SERIES = ("hr", "map.art", "blood pressure", "no")


def part(name: str, domain: str, axes: tuple[str, ...], shape: tuple[int, ...], *names: str) -> Input:
    """One tensor with named channels."""
    channels = tuple(Channel(n) for n in names)
    return Input(name, "float32", domain, ("batch", *axes), shape, ("batch", *axes), channels=channels)


TABLE = part("table", "table", ("feature",), (len(COLUMNS),), *COLUMNS)
SEQUENCE = part("series", "sequence", ("variable", "hour"), (len(SERIES), HOURS), *SERIES)
FACE = Interface((SEQUENCE, TABLE), OUTPUT)
NAMES = (*COLUMNS, *SERIES)
VARIABLES = {name: f"v{i}" for i, name in enumerate(NAMES)}  # what Python calls them

# Halves, quarters and eighths: Python's sums of them are exact in any order.
numbers = st.sampled_from(["0", "1", "2", "3.", ".5", "0.25", "12.5e-1", "1e1", "1E+2", "5e-1", "7"])
values = st.integers(-40, 40).map(lambda i: i / 8)
blanks = st.sampled_from(["", " ", "  ", "\t", "\n"])


@st.composite
def terms(draw: st.DrawFn, name: str = "") -> tuple[str, str]:
    """A product of numbers and at most one name: the policy's text, and Python's."""
    name = name or draw(st.sampled_from(("", *NAMES)))
    factors = draw(st.lists(numbers, min_size=0 if name else 1, max_size=2))
    place = draw(st.integers(0, len(factors)))
    quoted = f"`{name}`" if " " in name or draw(st.booleans()) else name
    theirs = [*factors[:place], *([quoted] if name else []), *factors[place:]]
    ours = [*factors[:place], *([VARIABLES[name]] if name else []), *factors[place:]]
    return f"{draw(blanks)}*{draw(blanks)}".join(theirs), "*".join(ours)


@st.composite
def sides(draw: st.DrawFn, first: tuple[str, str] | None = None) -> tuple[str, str]:
    """One or more terms with signs between them; the first may have one too."""
    rest = draw(st.lists(terms(), min_size=0 if first else 1, max_size=3))
    text = python = ""
    for i, (theirs, ours) in enumerate([first, *rest] if first else rest):
        sign = draw(st.sampled_from(("+", "-") if i else ("", "+", "-")))
        text += f"{draw(blanks)}{sign}{draw(blanks)}{theirs}"
        python += f" {sign} {ours}"
    return text, python.strip()


@st.composite
def texts(draw: st.DrawFn) -> tuple[str, str, str, str]:
    """A relation: the policy's text, and Python's left side, sign and right side."""
    left, right = draw(sides()), draw(sides())
    op = draw(st.sampled_from(["<", "<=", ">", ">="]))
    return f"{left[0]}{draw(blanks)}{op}{right[0]}{draw(blanks)}", left[1], op, right[1]


def python(expression: str, held: dict[str, float]) -> Any:
    """Python's own evaluation."""
    return eval(expression, {VARIABLES[name]: value for name, value in held.items()})


def readable(text: str) -> Linear | None:
    """The relation read; None where every name cancelled out."""
    try:
        return parse(text)
    except ValueError as error:
        if "names no channel" not in str(error):
            raise
        return None


@given(text=texts(), held=st.lists(values, min_size=len(NAMES), max_size=len(NAMES)))
def test_the_value_is_that_of_python(text: tuple[str, str, str, str], held: list[float]) -> None:
    """What must be above (or at least) zero is the larger side minus the smaller one, exactly."""
    told, left, op, right = text
    own = dict(zip(NAMES, held, strict=True))
    gap = python(left, own) - python(right, own)
    linear = readable(told)
    if linear is None:
        assert gap == python(left, dict.fromkeys(NAMES, 0.0)) - python(right, dict.fromkeys(NAMES, 0.0))
        return
    total = sum(weight * own[name] for name, weight in linear.terms.items()) + linear.constant
    assert total == (gap if op in (">", ">=") else -gap)
    assert linear.strict == (op in ("<", ">"))
    assert all(linear.terms.values())


@given(text=texts(), seed=st.integers(0, 10**6))
def test_every_hour_is_an_instance(text: tuple[str, str, str, str], seed: int) -> None:
    """On a point: hour by hour for series, the table's value against every hour, once for a table alone."""
    told, left, op, right = text
    linear = readable(told)
    if linear is None:
        return
    rng = np.random.default_rng(seed)
    points = (rng.integers(-16, 17, (3, FACE.size)) / 8).astype(np.float32)
    (one,) = rules_of(FACE, (told,), ()).relations
    wide = HOURS if set(linear.terms) & set(SERIES) else 1
    assert one.index.shape == (len(linear.terms), wide)
    assert one.index.dtype == np.int64
    series, table = points[:, : len(SERIES) * HOURS].reshape(3, len(SERIES), HOURS), points[:, len(SERIES) * HOURS :]
    for row in range(3):
        for hour in range(wide):
            own = dict(zip(COLUMNS, table[row].tolist(), strict=True))
            own |= dict(zip(SERIES, series[row, :, hour].tolist(), strict=True))
            assert broken(one, points)[row, hour] != python(f"{left} {op} {right}", own)


@pytest.mark.parametrize(
    ("text", "terms", "constant", "strict"),
    [
        ("diastolic < systolic", {"systolic": 1, "diastolic": -1}, 0, True),
        ("low + 5 <= high", {"high": 1, "low": -1}, -5, False),
        ("2 * a + b <= c - 3", {"c": 1, "a": -2, "b": -1}, -3, False),
        ("a >= 3", {"a": 1}, -3, False),
        ("3 > a", {"a": -1}, 3, True),
        ("a*2*0.5 + 3*b >= 7 - 2*a", {"a": 3, "b": 3}, -7, False),
        ("-a - 0 < 1", {"a": 1}, 1, True),
        ("`heart rate` < `max hr` * 0.9", {"max hr": 0.9, "heart rate": -1}, 0, True),
        ("`a - b` < c", {"c": 1, "a - b": -1}, 0, True),
        ("Na/K<pO2%", {"pO2%": 1, "Na/K": -1}, 0, True),
        ("a + b < a + c", {"c": 1, "b": -1}, 0, True),
    ],
)
def test_examples(text: str, terms: dict[str, float], constant: float, strict: bool) -> None:
    """Both sides, coefficients on either side of a name, blanks and odd signs inside names."""
    found = parse(text)
    assert (found.terms, found.constant, found.strict) == (terms, constant, strict)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must hold one of <, <=, >, >="),
        ("systolic", "must hold one of <, <=, >, >="),
        ("a < b < c", "must hold one of <, <=, >, >="),
        ("a == b", "cannot be read at '== b'"),
        ("a = b", "cannot be read at '= b'"),
        ("a ≤ b", "cannot be read at '≤ b'"),
        ("(a + b) < c", "cannot be read at '(a + b) < c'"),
        ("a < `b", "cannot be read at '`b'"),
        ("a < ``", "cannot be read at '``'"),
        ("a ^ 2 < b", "cannot be read at '^ 2 < b'"),
        ("a < " + "!" * 90, "cannot be read at '" + "!" * 20 + "'"),
        ("a <", "has an empty side"),
        (">= a", "has an empty side"),
        ("2 a < b", "lacks + or - before 'a'"),
        ("heart rate < 3", "lacks + or - before 'rate'"),
        ("1.2.3 < a", "lacks + or - before '.3'"),
        ("2 * * a < b", "lacks a number or a name after *"),
        ("a * b < c", "must be a sum of numbers and of names, each times a number"),
        ("-a - -0 < 1", "must be a sum of numbers and of names, each times a number"),
        ("a + - b < c", "must be a sum of numbers and of names, each times a number"),
        ("* a < c", "must be a sum of numbers and of names, each times a number"),
        ("a + < c", "must be a sum of numbers and of names, each times a number"),
        ("3 < 4", "names no channel"),
        ("a < a", "names no channel"),
        ("0 * a < 1", "names no channel"),
    ],
)
def test_bad_texts(text: str, words: str) -> None:
    """One sentence that quotes the relation and says what is wrong with it."""
    with pytest.raises(ValueError, match="^relation ") as caught:
        parse(text)
    assert str(caught.value) == f"relation {text!r} {words}"
    with pytest.raises(MedauditError) as shown:
        rules_of(FACE, (text,), ())
    assert shown.value.message == str(caught.value)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("hr < systolic", "systolic"),
        ("blood < hr", "blood"),
        ("HR < limit", "HR"),
        ("hr < `base  excess`", "base  excess"),
        ("table < hr", "table"),
    ],
)
def test_unknown_names(text: str, name: str) -> None:
    """Never a guess."""
    with pytest.raises(MedauditError) as caught:
        rules_of(FACE, (text,), ())
    assert caught.value.message == f"relation {text!r} names {name!r}, which is not a channel of this model"


def test_places_of_series_and_table() -> None:
    """hr is the first row of three hours, limit the second number behind all rows."""
    (one,) = rules_of(FACE, ("limit <= hr",), ()).relations
    assert one.index.tolist() == [[0, 1, 2], [13, 13, 13]]
    assert (one.weight, one.constant, one.strict) == ((1.0, -1.0), 0.0, False)
    (two,) = rules_of(FACE, ("`blood pressure` < hr",), ()).relations
    assert two.index.tolist() == [[0, 1, 2], [6, 7, 8]]
    (three,) = rules_of(FACE, ("age < limit",), ()).relations
    assert three.index.tolist() == [[13], [12]]


def test_places_of_leads_and_of_planes() -> None:
    """Each sample of a lead, each pixel of a plane; the axes' order in the graph does not matter."""
    signal = part("ecg", "signal", ("time", "lead"), (4, 2), "I", "II")
    image = part("scan", "image", ("row", "column", "channel"), (2, 3, 2), "red", "green")
    face = Interface((signal, image), OUTPUT)
    one, two = rules_of(face, ("I <= II + 1", "red < green"), ()).relations
    assert one.index.tolist() == [[4, 5, 6, 7], [0, 1, 2, 3]]
    assert one.constant == 1
    assert two.index.tolist() == [[14, 15, 16, 17, 18, 19], [8, 9, 10, 11, 12, 13]]


def test_channels_of_different_lengths() -> None:
    """Four samples and three hours have no common instances."""
    face = Interface((part("ecg", "signal", ("lead", "time"), (2, 4), "I", "II"), SEQUENCE), OUTPUT)
    with pytest.raises(MedauditError, match="joins channels of different lengths"):
        rules_of(face, ("hr < I",), ())


def test_groups() -> None:
    """Columns of a table, in the order given."""
    rules = rules_of(FACE, (), (("limit", "age", "base excess"), ("Na/K", "pO2%")))
    assert rules.relations == ()
    assert [group.tolist() for group in rules.one_hot] == [[13, 12, 14], [15, 16]]
    assert all(group.dtype == np.int64 for group in rules.one_hot)


@pytest.mark.parametrize(
    ("group", "words"),
    [
        (("age", "sex"), "one_hot names 'sex', which is not a channel of this model"),
        (("age",), "one_hot age: two or more columns of a table are needed"),
        ((), "one_hot : two or more columns of a table are needed"),
        (("age", "hr"), "one_hot age, hr: two or more columns of a table are needed"),
    ],
)
def test_bad_groups(group: tuple[str, ...], words: str) -> None:
    """Each with its names."""
    with pytest.raises(MedauditError) as caught:
        rules_of(FACE, (), (("limit", "age"), group))
    assert caught.value.message == words


def test_nothing_written_is_no_rules() -> None:
    """Empty lists."""
    assert rules_of(FACE, (), ()) == ((), ())
