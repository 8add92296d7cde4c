"""Margins by hand and their names, and moves on answers that are known."""

from __future__ import annotations

import numpy as np
import pytest

from medaudit.core.interface import Output
from medaudit.oracle.decision import decide
from medaudit.oracle.trigger import (
    directions,
    limits,
    margins,
    moves,
    pushed,
)


def test_margins_by_hand() -> None:
    got = margins("multiclass", "logits", np.array([[3.0, 1.0, 0.5], [0.0, 0.0, -1.0]]))
    np.testing.assert_allclose(got, [[2.0, -2.0, -2.5], [0.0, 0.0, -1.0]])
    got = margins("multiclass", "probabilities", np.array([[0.8, 0.2]]))
    np.testing.assert_allclose(got, [[np.log(4), -np.log(4)]])
    got = margins("binary", "probabilities", np.array([[0.8]]), np.array([0.5]))
    np.testing.assert_allclose(got, [[-np.log(4), np.log(4)]])
    got = margins("multilabel", "logits", np.array([[1.0, -2.0]]), np.array([0.0, 0.5]))
    np.testing.assert_allclose(got, [[1.0, -2.5, -1.0, 2.5]])
    np.testing.assert_allclose(margins("regression", "values", np.array([[2.0]])), [[2.0, -2.0]])


@pytest.mark.parametrize("meaning", ["logits", "probabilities"])
def test_a_margin_is_the_decision(meaning: str) -> None:
    rng = np.random.default_rng(1)
    answers = rng.normal(size=(50, 4)) if meaning == "logits" else rng.dirichlet(np.ones(4), 50)
    got = margins("multiclass", meaning, answers)
    np.testing.assert_array_equal(got.argmax(axis=1), answers.argmax(axis=1))
    np.testing.assert_array_equal((got > 0).sum(axis=1), 1)


@pytest.mark.parametrize("task", ["multiclass", "binary", "label", "multilabel", "regression"])
def test_directions_are_named_as_margins_are_ordered(task: str) -> None:
    """Whoever is decided a class is on the side that bears its name."""
    classes = ("well", "ill") if task in ("binary", "multilabel") else ("A", "N", "O")
    width = {"multiclass": 3, "binary": 1, "label": 1, "multilabel": 2, "regression": 1}[task]
    cuts = {"binary": (0.3,), "multilabel": (0.2, 0.7)}.get(task, ())
    output = Output(task, ("y",), "probabilities" if task != "regression" else "values", classes, thresholds=cuts)
    luck = np.random.default_rng(3)
    answers = luck.random((60, width)) if task != "label" else luck.integers(0, 3, (60, 1)).astype(float)
    names, margin = directions(output), pushed(output, answers, limits(output, answers))
    assert margin.shape == (60, len(names))
    decided = np.asarray(decide(output, answers))
    for row in range(60):
        sides = {names[t] for t in np.flatnonzero(margin[row] > 0)}
        if task == "multilabel":
            want = {f"{name} {'found' if on else 'not found'}" for name, on in zip(classes, decided[row], strict=True)}
            assert sides == want
        elif task == "regression":
            assert sides <= {"the value high", "the value low"}
        else:
            assert sides == {classes[int(decided[row])]}
    assert task != "regression" or set(names) == {"the value high", "the value low"}


def test_an_answer_that_is_no_number_is_on_no_side() -> None:
    output = Output("binary", ("y",), "probabilities", ("well", "ill"), thresholds=(0.5,))
    assert np.isnan(pushed(output, np.array([[np.nan]]), np.zeros((2, 0)))).all()


def test_an_outline_is_pushed_by_its_size() -> None:
    output = Output("segmentation", ("y",), "probabilities", ("ground", "lung"), thresholds=(0.5,), class_axis=0,
                    positions=10)  # fmt: skip
    clean = np.array([[float(i < k) for i in range(10)] for k in range(1, 9)])
    limit = limits(output, clean)
    margin = pushed(output, np.array([np.ones(10), np.zeros(10)]), limit)
    assert directions(output) == ("a larger outline", "a smaller outline")
    assert (margin > 0).tolist() == [[True, False], [False, True]]


def test_moves_are_the_entries_of_the_transition_matrix() -> None:
    three = Output("multiclass", ("y",), "logits", ("a", "b", "c"))
    assert moves(three) == ((0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1))
    assert moves(Output("multiclass", ("y",), "logits", ("a", "b"))) == ()
    assert moves(Output("multilabel", ("y",), "logits", ("a", "b", "c"), thresholds=(0.0,) * 3)) == ()
