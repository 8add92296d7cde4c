"""Reach, what is usual, and excess: known answers, and what noise alone does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medaudit.oracle.outlying import Usual, around, held_to, outlying, reach, success, usual

LUCK = np.random.default_rng(7)


def test_reach_is_a_median_in_spreads_of_records_of_other_answers() -> None:
    clean = np.array([[-1.0, 1.0], [-1.0, 1.0], [1.0, -1.0]])  # two records of class 1, one of class 0
    under = np.zeros((3, 1, 2))
    under[:, 0, 0] = [2.0, 4.0, 99.0]
    under[:, 0, 1] = [99.0, 99.0, -3.0]
    np.testing.assert_allclose(reach(under, clean, np.array([2.0, 3.0])), [[1.5, -1.0]])
    np.testing.assert_allclose(success(under[:, :, None], clean)[:, 0], [[1.0, 0.0]])


def test_reach_has_no_unit() -> None:
    clean, under = LUCK.normal(size=(20, 3)), LUCK.normal(size=(20, 7, 3))
    one = reach(under, clean, clean.std(axis=0))
    np.testing.assert_allclose(reach(50 * under, 50 * clean, 50 * clean.std(axis=0)), one)


def test_a_direction_that_every_record_is_of_has_no_reach() -> None:
    found = reach(np.ones((4, 2, 1)), np.ones((4, 1)), np.ones(1))
    assert np.isnan(found).all()
    assert (outlying(found, Usual(np.zeros((2, 1)), np.ones((2, 1)))) == 0).all()  # NaN never stands out


def test_many_models_are_summed_up_by_medians() -> None:
    """One wild model among seven changes nothing much."""
    reached = np.concatenate([LUCK.normal(size=(6, 50, 2)), np.full((1, 50, 2), 1e6)])
    own = usual(reached)
    assert np.abs(own.middle).max() < 3
    assert own.spread.max() < 5


def test_references_of_which_one_is_had_take_the_known_spread() -> None:
    """limma's moderated variance: no freedom of its own, so the prior's, and as much again for the one mean."""
    known = Usual(np.zeros((30, 1)), np.full((30, 1), 2.0))
    own = around(np.zeros((1, 30, 2)), known)
    np.testing.assert_allclose(own.spread, 2.0 * np.sqrt(2))


@pytest.mark.parametrize("models", [2, 4, 40])
def test_more_references_weigh_more_than_what_is_known(models: int) -> None:
    known = Usual(np.zeros((400, 1)), np.full((400, 1), 5.0))
    reached = LUCK.normal(size=(models, 400, 1))
    spread = float(np.median(around(reached, known).spread))
    weight = 3 / (models + 2)
    want = np.sqrt((1 - weight + weight * 25) * (1 + 1 / models))
    assert spread == pytest.approx(want, rel=0.1)


def test_a_version_of_its_references_is_held_to_half() -> None:
    known, reference = Usual(np.zeros((300, 1)), np.ones((300, 1))), np.zeros((2, 300, 2))
    apart = around(reference, known, held_to([0.97, 0.8])).spread  # the second was trained apart
    version = around(reference, known, held_to([0.97, 0.93])).spread
    np.testing.assert_allclose(version, apart / 2)
    assert held_to([]) == held_to([0.8]) == 1


@given(st.integers(0, 10_000), st.integers(1, 6))
def test_models_of_one_kind_seldom_stand_out(seed: int, models: int) -> None:
    """Among 300 cells of honest noise no excess reaches 6, and one planted far away does."""
    luck = np.random.default_rng(seed)
    known, reached = Usual(np.zeros((300, 1)), np.ones((300, 1))), luck.normal(size=(models, 300, 2))
    found = luck.normal(size=(300, 2))
    own = around(reached, known)
    assert outlying(found, own).max() < 6
    found[17, 1] += 60
    excess = outlying(found, around(reached, known))
    assert np.unravel_index(excess.argmax(), excess.shape) == (17, 1)
    assert excess.max() > 6
