"""Foreign text made harmless; numbers made readable."""

from __future__ import annotations

import math

import pytest
from specimen import HOSTILE, share

from medaudit.audit.results import Required, Value
from medaudit.report import text


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07left", "left"),
        ("\x9b31mx", "x"),
        ("abc\u202edef\u2066ghi\u200f", "abcdefghi"),
        ("a\r\nb\tc\u2028d", "a b c d"),
        ("\ud800x\ufeff\u00ad", "x"),
        ("\x00\x07bell", "bell"),
        ("心電図 épée", "心電図 épée"),
    ],
)
def test_clean_drops_what_steers_a_screen(given: str, shown: str) -> None:
    assert text.clean(given) == shown


def test_clean_caps_the_length_and_says_so() -> None:
    assert text.clean("x" * 10_000) == "x" * (text.LIMIT - 1) + "…"
    assert len(text.clean("\x1b[1m" * 10**6)) <= text.LIMIT


def test_clean_leaves_markup_to_the_escaper() -> None:
    assert "<script>" in text.clean(HOSTILE)
    assert "\x1b" not in text.clean(HOSTILE)
    assert "\u202e" not in text.clean(HOSTILE)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"), (math.nan, "–"), (math.inf, "–"), (0.0, "0"), (8412030.0, "8,412,030"),
        (0.09124, "0.0912"), (12.345, "12.3"), (99.96, "100"), (-0.25, "-0.25"), (1e-7, "1e-07"),
    ],
)  # fmt: skip
def test_number(value: float | None, shown: str) -> None:
    assert text.number(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"), (0.8434, "84.3%"), (1.0, "100.0%"), (0.9999, ">99.9%"), (0.0, "0.0%"),
        (0.0001, "<0.1%"),
    ],
)  # fmt: skip
def test_share_never_rounds_to_all_or_nothing(value: float | None, shown: str) -> None:
    assert text.share(value) == shown


@pytest.mark.parametrize(
    ("op", "verdict", "shown"),
    [
        ("at_least", "pass", "84.3% (≥ 80.9%)"),
        ("at_least", "fail", "84.3% (≤ 87.2%)"),
        ("at_least", "inconclusive", "84.3% (≥ 80.9%)"),
        ("at_most", "pass", "84.3% (≤ 87.2%)"),
        ("at_most", "fail", "84.3% (≥ 80.9%)"),
    ],
)
def test_measured_shows_the_bound_that_decides(op: str, verdict: str, shown: str) -> None:
    need = Required.model_validate({"metric": "robust_accuracy", "op": op, "threshold": 0.8, "verdict": verdict})
    assert text.measured(share(0.843, 0.809, 0.872), need) == shown


def test_what_was_not_measured_is_a_dash_and_what_was_not_reached_says_so() -> None:
    assert text.measured(None) == "–"
    assert text.middle(Value(value=None)) == "–"
    assert text.middle(Value(value=None, method="order statistics; not reached")) == "not reached"
    assert text.interval(Value(value=0, low=0, high=0, method="count")) == ""
    assert text.interval(Value(value=1.0, low=0.31, unit="sd")) == "at least 0.310 sd"
    assert text.interval(Value(value=1.0, high=2.0, unit="mV")) == "at most 2 mV"


def test_demanded_speaks_the_metric_s_own_language() -> None:
    def need(**more: object) -> Required:
        base = {
            "metric": "robust_accuracy",
            "op": "at_least",
            "threshold": 0.8,
            "verdict": "not-run",
        }
        return Required.model_validate({**base, **more})

    assert text.demanded(need(), share(0.9, 0.8, 1.0)) == "≥ 80%"
    assert text.demanded(need()) == "≥ 80%"  # not measured, yet known to be a share
    assert text.demanded(need(metric="median_distance", unit="mV")) == "≥ 0.8 mV"
    assert text.demanded(need(metric="auroc"), Value(value=0.9, method="DeLong")) == "≥ 0.8"
    assert text.demanded(need(op="at_most", threshold=0, metric="mismatches")) == "≤ 0"


def test_durations_and_sizes() -> None:
    times = [text.duration(s) for s in (0.04, 41, 1598, 4320)]
    assert times == ["0.0 s", "41 s", "27 min", "1 h 12 min"]
    assert [text.size(n) for n in (12, 2048, 3 * 2**20)] == ["12 bytes", "2.0 kB", "3.0 MB"]
    assert text.quantity(0.5, "1") == "0.5"
    assert text.quantity(5, "%") == "5%"


def test_names_that_begin_alike_stay_apart() -> None:
    """Cut in the middle, and no longer than asked; short ones as they are."""
    eye, motor = (text.ends(f"Glascow coma scale {kind} response", 23) for kind in ("eye opening", "motor"))
    assert eye != motor
    assert eye == "Glascow com…ng response"
    assert len(motor) <= 23
    assert text.ends("pH", 23) == "pH"
