"""Decisions and scores of every task, by hand and against each other."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hn

from medaudit.core.interface import Output
from medaudit.oracle.decision import decide, log_odds, masks, scores

THREE = ("a", "b", "c")
MULTI = Output("multiclass", ("y",), "logits", THREE)
SHARES = Output("multiclass", ("y",), "probabilities", THREE)
BINARY = Output("binary", ("y",), "logits", ("no", "yes"), thresholds=(0.25,))
RISK = Output("binary", ("y",), "probabilities", ("no", "yes"), thresholds=(0.3,))
FINDINGS = Output("multilabel", ("y",), "probabilities", ("p", "q"), thresholds=(0.5, 0.2))
LABEL = Output("label", ("y",), "labels", THREE, labels=(0, 1, 2))
VALUES = Output("regression", ("y",), "values", units=("", ""))
MASK = Output(
    "segmentation",
    ("y",),
    "probabilities",
    ("no", "yes"),
    thresholds=(0.5,),
    class_axis=0,
    positions=3,
)
STACK = Output("segmentation", ("y",), "logits", THREE, positions=2)
REBUILT = Output("reconstruction", ("y",), "values")
NAN = math.nan


def rows(*values: list[float]) -> Any:
    """Answers as the pipeline gives them."""
    return np.array(values, dtype=np.float32)


@pytest.mark.parametrize(
    ("output", "answers", "decided"),
    [
        (MULTI, rows([1, 3, 2], [5, 5, 1], [NAN, 0, 1], [np.inf, 0, 1]), [1, 0, -1, -1]),
        (SHARES, rows([0.2, 0.1, 0.7]), [2]),
        (BINARY, rows([0.25], [0.24], [-9], [NAN]), [1, 0, 0, -1]),
        (RISK, rows([0.31], [0.29], [1.0], [0.0]), [1, 0, 1, 0]),
        (FINDINGS, rows([0.5, 0.1], [0.4, 0.2], [NAN, 0.9]), [[1, 0], [0, 1], [-1, -1]]),
        (LABEL, rows([2], [0], [-1], [NAN]), [2, 0, -1, -1]),
        (MASK, rows([0.6, 0.4, 0.5], [NAN, 0, 1]), [[1, 0, 1], [-1, -1, -1]]),
        (STACK, rows([1, 0, 2, 0, 3, 9]), [[2, 2]]),
        (STACK, rows([1, 7, 2, 0, 3, 6]), [[2, 0]]),
    ],
)
def test_decide(output: Output, answers: Any, decided: Any) -> None:
    """By hand; a number that is none decides nothing."""
    with np.errstate(invalid="ignore"):
        found = decide(output, answers)
    assert found.dtype == np.int64
    assert found.tolist() == decided


@pytest.mark.parametrize("output", [VALUES, REBUILT])
def test_values_are_their_own_decision(output: Output) -> None:
    """Regressions and reconstructions."""
    answers = rows([1.5, -2], [NAN, 0])
    assert np.array_equal(decide(output, answers), answers, equal_nan=True)
    assert np.array_equal(scores(output, answers), answers, equal_nan=True)


def test_scores() -> None:
    """Logits stay, shares become logarithms or log-odds above the threshold's."""
    assert scores(MULTI, rows([1, 3, 2])).tolist() == [[1, 3, 2]]
    assert np.allclose(scores(SHARES, rows([0.2, 0.1, 0.7])), np.log([[0.2, 0.1, 0.7]]))
    assert np.allclose(scores(BINARY, rows([1.0])), [[0.75]])
    assert np.allclose(scores(RISK, rows([0.3], [0.5])), [[0], [-math.log(0.3 / 0.7)]], atol=1e-6)
    expected = [[math.log(0.6 / 0.4), math.log(0.1 / 0.9) - math.log(0.2 / 0.8)]]
    assert np.allclose(scores(FINDINGS, rows([0.6, 0.1])), expected, atol=1e-5)


def test_saturated_shares_stay_finite() -> None:
    """Exact zeros and ones, and sums a hair above one, give large numbers, never infinity."""
    wild = rows([0, 1, 0], [1, 0, 0], [1.0000001, -1e-9, 0])
    for output, answers in ((SHARES, wild), (RISK, wild[:, :1]), (FINDINGS, wild[:, :2])):
        assert np.isfinite(scores(output, answers)).all()
    assert (scores(SHARES, wild).argmax(axis=1) == wild.argmax(axis=1)).all()


def test_log_odds() -> None:
    """Clipped at both ends."""
    assert log_odds(0.5) == 0
    assert log_odds(0.0) == pytest.approx(-log_odds(1.0), rel=1e-4)
    assert math.isfinite(log_odds(1.0))


shares = st.floats(0, 1, width=32)


@given(answers=hn.arrays(np.float32, (6, 2), elements=shares))
def test_sign_of_scores_is_the_decision(answers: Any) -> None:
    """Findings: decided present where the score is clearly above 0, absent where clearly below."""
    for output in (
        FINDINGS,
        Output("multilabel", ("y",), "logits", ("p", "q"), thresholds=(0.5, 0.2)),
    ):
        score, decided = scores(output, answers), decide(output, answers)
        assert np.all(decided[score > 1e-4] == 1)
        assert np.all(decided[score < -1e-4] == 0)


@given(answers=hn.arrays(np.float32, (6, 3), elements=st.floats(-50, 50, width=32)))
def test_classes_do_not_depend_on_meaning(answers: Any) -> None:
    """The class decided from logits is the class decided from their softmax, ties aside."""
    wide = answers.astype(np.float64)
    soft = np.exp(wide - wide.max(axis=1, keepdims=True))
    soft = (soft / soft.sum(axis=1, keepdims=True)).astype(np.float32)
    top = np.sort(wide, axis=1)
    clear = top[:, -1] - top[:, -2] > 1e-3
    assert np.array_equal(decide(MULTI, answers)[clear], decide(SHARES, soft)[clear])
    gap, other = np.diff(np.sort(scores(SHARES, soft), axis=1)), np.diff(top)
    small = other[:, -1] < 30
    assert np.allclose(gap[small, -1], other[small, -1], atol=1e-2)


def test_masks_of_both_forms() -> None:
    """A sigmoid map against its threshold; classes by the largest of the stack."""
    assert masks(MASK, rows([0.6, 0.4, 0.5])).tolist() == [[1, 0, 1]]
    assert masks(STACK, rows([1, 7, 2, 0, 3, 6])).tolist() == [[2, 0]]
