"""Quantities: what is printed is read again, aliases meet, misspellings get a suggestion."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medaudit.domain.quantity import ALIASES, UNITS, Quantity, convert, known, parse, suggest

symbols = st.sampled_from([*UNITS, ""])
# `str` shows ten digits: enough for any size that a person writes.
plain = st.decimals(-(10**6), 10**6, places=4).map(float)


@given(value=plain, unit=symbols)
def test_print_then_parse(value: float, unit: str) -> None:
    """Parsing what was printed gives the quantity back."""
    one = Quantity(value, unit)
    assert parse(str(one)) == one
    assert str(parse(str(one))) == str(one)


@given(
    value=st.floats(allow_nan=False, allow_infinity=False),
    unit=symbols,
    gap=st.sampled_from(["", " ", "   "]),
)
def test_any_number_in_any_spelling(value: float, unit: str, gap: str) -> None:
    """Every spelling of a float that Python prints is read to the bit."""
    if unit == "1" and not gap:
        gap = " "
    assert parse(f" {value!r}{gap}{unit} ") == Quantity(value, unit)


@pytest.mark.parametrize("alias", ALIASES)
def test_aliases_are_their_unit(alias: str) -> None:
    """An alias is read as its unit, which exists."""
    assert known(alias) == ALIASES[alias]
    assert parse(f"3 {alias}") == Quantity(3.0, ALIASES[alias])
    assert ALIASES[alias] in UNITS


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("0.05 mV", 0.05, "mV"),
        ("5 bpm", 5, "bpm"),
        ("80%", 80, "%"),
        ("80 %", 80, "%"),
        ("0.3 sd", 0.3, "sd"),
        (".5 range", 0.5, "range"),
        ("2 features", 2, "features"),
        ("1 feature", 1, "features"),
        ("-1e-3 mV", -1e-3, "mV"),
        ("20 µV", 20, "uV"),
        ("20 \u03bcV", 20, "uV"),
        ("3 8-bit gray level", 3, "grey"),
        ("4 beats/min", 4, "bpm"),
        ("37 degC", 37, "degC"),
        ("7", 7, ""),
        ("12 mV (filtered)", 12, "mV"),
        ("30 ml/h", 30, "mL/h"),
        ("9 µmol/L", 9, "umol/L"),
    ],
)
def test_examples(text: str, value: float, unit: str) -> None:
    """As people write them."""
    assert parse(text) == Quantity(value, unit)


@pytest.mark.parametrize(
    ("text", "help_"),
    [
        ("3 mv", "did you mean 'mV'"),
        ("3 MV", "did you mean 'mV'"),
        ("3 mmhg", "did you mean 'mmHg'"),
        ("3 Sd", "did you mean 'sd'"),
        ("3 featurs", "did you mean 'features'"),
        ("3 hz", "did you mean 'Hz'"),
        ("3 yaers", "did you mean 'year'"),
    ],
)
def test_suggestions(text: str, help_: str) -> None:
    """Case first, then nearness."""
    with pytest.raises(ValueError, match=help_):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mV",
        "1,5 mV",
        "1 2 mV",
        "--3 mV",
        "0x10",
        "1e999 mV",
        "nan mV",
        "inf",
        "None",
        "3 parsecs",
    ],
)
def test_not_a_quantity(text: str) -> None:
    """Refused with the text itself in the message."""
    with pytest.raises(ValueError, match="not a quantity|is not known"):
        parse(text)


def test_booleans_are_no_numbers() -> None:
    """YAML's true is not 1."""
    with pytest.raises(ValueError, match="'True' is not a quantity"):
        parse(True)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none(value: float) -> None:
    """NaN and infinity are no quantities, also when they come as floats."""
    with pytest.raises(ValueError, match="not a quantity"):
        parse(value)


def test_convert() -> None:
    """Inside a dimension only."""
    assert convert(Quantity(1, "mV"), "uV") == pytest.approx(1000)
    assert convert(Quantity(50, "uV"), "mV") == pytest.approx(0.05)
    assert convert(Quantity(1, "g/dL"), "g/L") == pytest.approx(10)
    assert convert(Quantity(50, "ng/mL"), "mg/L") == pytest.approx(0.05)
    assert convert(Quantity(2, "mL/min"), "mL/h") == pytest.approx(120)
    assert convert(Quantity(2, "h"), "min") == pytest.approx(120)
    assert convert(Quantity(80, "%"), "1") == pytest.approx(0.8)
    assert convert(Quantity(3, ""), "") == 3
    assert convert(Quantity(3, "mV"), "millivolt") == pytest.approx(3)
    with pytest.raises(ValueError, match="is a voltage, but 'Hz' is a frequency"):
        convert(Quantity(1, "mV"), "Hz")
    with pytest.raises(ValueError, match="cannot be converted"):
        convert(Quantity(1, "mV"), "z-score")
    with pytest.raises(ValueError, match="cannot be converted"):
        convert(Quantity(1, ""), "mV")


@given(value=plain, a=st.sampled_from(list(UNITS)), b=st.sampled_from(list(UNITS)))
def test_conversion_there_and_back(value: float, a: str, b: str) -> None:
    """Within a dimension conversions undo each other; across dimensions they refuse."""
    if UNITS[a][0] != UNITS[b][0]:
        with pytest.raises(ValueError, match="is a"):
            convert(Quantity(value, a), b)
        return
    there = Quantity(convert(Quantity(value, a), b), b)
    assert convert(there, a) == pytest.approx(value, rel=1e-9, abs=1e-12)


@given(text=st.text(max_size=30))
def test_anything_is_read_or_refused(text: str) -> None:
    """Arbitrary text never raises anything but ValueError, and names units it knows only."""
    try:
        found = parse(text)
    except ValueError:
        return
    assert math.isfinite(found.value)
    assert found.unit in ("", *UNITS)


def test_suggest_nothing_for_nonsense() -> None:
    """No suggestion is better than a wild one."""
    assert suggest("zzzzzz") == ""
