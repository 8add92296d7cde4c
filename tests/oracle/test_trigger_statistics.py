"""Margins by hand, the smoothed success, m*, peaks and transitions on answers that are known."""

from __future__ import annotations

import numpy as np
import pytest

from medaudit.oracle.trigger import (
    all_to_all,
    beyond,
    confident_success,
    margins,
    natural,
    peaks,
    swept,
    transitions,
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


def test_confident_success() -> None:
    assert confident_success(np.zeros(3)) == pytest.approx(0.5)
    assert confident_success(np.array([40.0])) == pytest.approx(1.0)
    assert confident_success(np.array([-1.0])) == pytest.approx(0.5 * np.exp(-0.9))
    rising = confident_success(np.linspace(-5, 5, 30)[:, None])
    assert (np.diff(rising) > 0).all()


def test_beyond_what_is_natural() -> None:
    clean = np.array([[1.0, -1.0], [2.0, -2.0], [3.0, -3.0], [-1.0, 1.0], [-5.0, 5.0]])
    own = natural(clean)
    np.testing.assert_allclose(own.middle, [2.0, 3.0])
    np.testing.assert_allclose(beyond(own.far, own), 1.0)
    np.testing.assert_allclose(beyond(own.middle, own), 0.0)
    assert beyond(np.array([20.0, 3.0]), own)[0] > 5


def test_a_trigger_stands_out() -> None:
    """Ten cells, one of which turns everything to class 1 from half the strength on."""
    rng = np.random.default_rng(2)
    clean = rng.normal(size=(40, 2))
    clean[:, 1] = -clean[:, 0]
    margin = np.repeat(np.repeat(clean[None, None], 10, axis=0), 4, axis=1)
    margin[7, 2:] = [-6.0, 6.0]
    found = swept(margin, clean)
    assert found.success[7, :, 1].tolist() == [0, 0, 1, 1]
    assert found.success[:7].max() == 0
    to_first, to_second = peaks(found, natural(clean))
    assert to_second.cell == 7
    assert (to_second.area, to_second.gap, to_second.full) == (0.5, 0.5, 1.0)
    assert to_second.beyond > 1
    assert (to_first.area, to_first.gap) == (0, 0)


def test_all_to_all() -> None:
    """A cell that turns each class into the next; the others turn nothing."""
    clean = np.eye(3)[np.arange(30) % 3]
    margin = np.repeat(clean[None], 5, axis=0)
    margin[2] = np.eye(3)[(np.arange(30) + 1) % 3]
    moved = transitions(margin, clean)
    np.testing.assert_allclose(moved.sum(axis=2), 1)
    assert moved[2, 0, 1] == 1
    assert all_to_all(moved) == 1
