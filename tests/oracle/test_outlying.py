"""Reach, what is usual, and excess: known answers, and what noise alone does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medaudit.oracle.outlying import (
    FREEDOM,
    MOVED,
    WAYS,
    Habits,
    among,
    habits,
    held_to,
    reach,
    success,
    unexplained,
    unusual,
)

LUCK = np.random.default_rng(7)
CELLS = 300
LOADINGS = np.random.default_rng(1).normal(size=(CELLS, 1 + WAYS))


def honest(luck: np.random.Generator, count: int, directions: int = 2) -> np.ndarray:
    """Models [count, cells, directions] that differ in an offset, a slope, three ways, and noise of 0.1."""
    offset, slope = 0.1 * luck.normal(size=(2, count, 1, directions))
    ways = np.einsum("cw,nwd->ncd", LOADINGS[:, 1:], luck.normal(size=(count, WAYS, directions)))
    return offset + (1 + slope) * LOADINGS[None, :, :1] + ways + 0.1 * luck.normal(size=ways.shape)


OWN = Habits(LOADINGS, np.full(CELLS, 0.1), 0.1)


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
    found = reach(np.ones((4, CELLS, 1)), np.ones((4, 1)), np.ones(1))
    assert np.isnan(found).all()
    assert (unusual(found, OWN)[1] == 0).all()  # NaN never stands out


def test_ways_are_learned_from_honest_models() -> None:
    """What is left of a new honest model is little more than noise; without the ways it is much."""
    own = habits(honest(LUCK, 80))
    assert 0.1 < own.scale < 0.3
    assert 0.1 < np.median(own.rest) < 0.3
    new = honest(LUCK, 1)[0, :, 0]
    assert unexplained(new, own.loadings)[1] < 0.3
    assert unexplained(new, own.loadings[:, :1])[1] > 0.8


@given(seed=st.integers(0, 10_000), models=st.integers(0, 5))
def test_honest_models_seldom_stand_out_and_a_planted_cell_does(seed: int, models: int) -> None:
    luck = np.random.default_rng(seed)
    others, found = (honest(luck, models) if models else None), honest(luck, 1)[0]
    assert unusual(found, OWN, others)[1].max() < 7  # the slope of one reference may be its own
    planted = 40 if models else 8  # these references are moved far by every cell
    found[17, 1] += planted
    middle, excess = unusual(found, OWN, others)
    assert np.unravel_index(excess.argmax(), excess.shape) == (17, 1)
    assert excess.max() > 15
    assert abs(middle[17, 1] - (found[17, 1] - planted)) < 1.5


def test_one_cell_bends_the_fit_little() -> None:
    """A trigger may be as strong as it likes: what is usual stays where it was."""
    found = honest(LUCK, 1)[0]
    before = unusual(found, OWN)[0]
    found[5, 0] += 1e4
    np.testing.assert_allclose(np.delete(unusual(found, OWN)[0][:, 0], 5), np.delete(before[:, 0], 5), atol=0.05)


def test_what_one_more_model_may_differ_by() -> None:
    """Of one reference the zoo's spread alone; of several what they differ by, too; and of what moves them far more."""
    known, still = np.full(5, 0.5), np.zeros(5)
    np.testing.assert_allclose(among(still, np.zeros((1, 5)), known), 0.5 * np.sqrt(2))
    moved = np.array([0.0, 0.0, 0.0, 0.0, 3.0])
    room = among(moved, np.zeros((1, 5)), known) ** 2 / 2
    np.testing.assert_allclose(room, [0.25] * 4 + [0.25 + (MOVED * 3) ** 2])
    three = np.array([[0.0, 0, 0, 0, 1], [0, 0, 0, 0, -1], [0, 0, 0, 0, 0]])
    quiet, loud = among(still, three, known)[[0, 4]] ** 2 / (1 + 1 / 3)
    assert quiet == pytest.approx(FREEDOM * 0.25 / (FREEDOM + 2))
    assert loud == pytest.approx((FREEDOM * 0.25 + 2) / (FREEDOM + 2))


def test_one_reference_leaves_more_room_than_many() -> None:
    """As the error of a mean is; and many that agree are worth more than the zoo's spread."""
    found, others = honest(LUCK, 1)[0], honest(LUCK, 64)
    found[9, 0] += 5
    one, many = (unusual(found, OWN, others[:k] * 0 + others.mean(axis=0))[1][9, 0] for k in (1, 64))
    moved = (MOVED * (others[:, :, 0].mean(axis=0)[9] - np.median(others[:, :, 0].mean(axis=0)))) ** 2
    room = [(0.04 * FREEDOM / (FREEDOM + k - 1) + moved) * (1 + 1 / k) for k in (1, 64)]
    assert many / one == pytest.approx(np.sqrt(room[0] / room[1]), rel=1e-6)


def test_a_version_of_its_references_is_held_to_half() -> None:
    found, others = honest(LUCK, 1)[0], honest(LUCK, 2)
    apart = unusual(found, OWN, others, held_to([0.97, 0.8]))[1]  # the second was trained apart
    version = unusual(found, OWN, others, held_to([0.97, 0.93]))[1]
    np.testing.assert_allclose(version, 2 * apart)
    assert held_to([]) == held_to([0.8]) == 1


def test_a_model_that_is_strange_everywhere_is_held_to_less() -> None:
    """One of other data than the zoo's: no cell of it is a finding."""
    strange = LUCK.normal(size=(CELLS, 2))
    assert unusual(strange, OWN)[1].max() < 12
    assert unusual(0.1 * strange, OWN)[1].max() < 6


def test_cells_that_the_zoo_does_not_know_are_judged_by_the_references_alone() -> None:
    bare = Habits(np.full((CELLS, 1 + WAYS), np.nan), np.full(CELLS, np.nan), 0.0)
    others = LUCK.normal(size=(2, CELLS, 2))
    found = others.mean(axis=0) + 0.1 * LUCK.normal(size=(CELLS, 2))
    assert (unusual(found, bare)[1] == 0).all()
    found[30, 1] += 4
    excess = unusual(found, bare, others)[1]
    assert np.unravel_index(excess.argmax(), excess.shape) == (30, 1)
    assert excess.max() > 10
