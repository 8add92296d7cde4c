"""Repeatability, purity and isolation, on models that are impure in known ways."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from medaudit.engine.protocol_checks import batch_isolation, repeatability, row_purity

Array = NDArray[Any]
POINTS = np.random.default_rng(2).normal(0, 1, (40, 3)).astype(np.float32)


def pure(points: Array) -> Array:
    """Two scores of each row alone."""
    return np.stack([points[:, 0], points[:, 1] * 2], axis=1)


def largest(answers: Array) -> Array:
    """The class of the larger score."""
    return np.asarray(answers.argmax(axis=1))


def test_a_pure_model_passes_all() -> None:
    """Nothing changed, no gap, every row asked is counted."""
    for found, factor in (
        (repeatability(POINTS, pure, largest), 3),
        (row_purity(POINTS, pure, largest, 7), 3),
        (batch_isolation(POINTS, pure, pure, largest), 2),
    ):
        assert not found.changed.any()
        assert not found.decision.any()
        assert not found.gap.any()
        assert found.rows == factor * len(POINTS)


def test_nan_twice_is_the_same_answer() -> None:
    """A model that always answers NaN to a row repeats itself."""

    def partly(points: Array) -> Array:
        return np.where(points[:, :1] > 0, np.nan, pure(points)).astype(np.float32)

    assert not repeatability(POINTS, partly, largest).changed.any()


def test_nan_once_is_a_change() -> None:
    """NaN the second time only: changed, with an infinite gap."""
    calls = [0]

    def sometimes(points: Array) -> Array:
        calls[0] += 1
        out = pure(points)
        if calls[0] == 2:
            out[5] = np.nan
        return out

    found = repeatability(POINTS, sometimes, largest)
    assert np.flatnonzero(found.changed).tolist() == [5]
    assert np.isinf(found.gap[5])


@pytest.mark.parametrize("turn", [2, 3])
def test_a_change_in_any_repetition_counts(turn: int) -> None:
    """The last bit is enough to be a changed answer, not to be a changed decision."""
    calls = [0]

    def drifting(points: Array) -> Array:
        calls[0] += 1
        out = pure(points)
        if calls[0] == turn:
            out[3, 0] = np.nextafter(out[3, 0], np.float32(9))
        return out

    found = repeatability(POINTS, drifting, largest)
    assert np.flatnonzero(found.changed).tolist() == [3]
    assert not found.decision.any()
    assert 0 < found.gap[3] < 1e-5


def test_order_matters_to_a_coupled_model() -> None:
    """A model that adds its neighbour's number is found by shuffling; rows come back in order."""

    def coupled(points: Array) -> Array:
        return pure(points) + np.roll(points[:, :1], 1, axis=0)

    assert not repeatability(POINTS, coupled, largest).changed.any()
    found = row_purity(POINTS, coupled, largest, 7)
    assert found.changed.mean() > 0.8
    again = row_purity(POINTS, coupled, largest, 7)
    assert np.array_equal(found.changed, again.changed), "the orders are addressed by the key"


def test_first_row_special() -> None:
    """A model that treats the first row of a batch differently."""

    def special(points: Array) -> Array:
        out = pure(points)
        out[0] *= -1
        return out

    found = row_purity(POINTS, special, largest, 1)
    assert 1 <= found.changed.sum() <= 5
    assert found.changed[0]


def test_company_matters() -> None:
    """Alone against in company: last digits may differ, more may not, decisions never."""

    def alone(points: Array) -> Array:
        return pure(points) * np.float32(1 + 1e-6)

    close = batch_isolation(POINTS, pure, alone, largest)
    assert close.gap.max() > 0
    assert not close.changed.any()

    def centred(points: Array) -> Array:
        return pure(points) - pure(points).mean(axis=0)

    far = batch_isolation(POINTS, pure, centred, largest)
    assert far.changed.mean() > 0.9

    def turned(points: Array) -> Array:
        out = pure(points)
        out[7] = out[7, ::-1]
        return out

    assert batch_isolation(POINTS, pure, turned, largest).decision[7]


def test_values_have_no_decisions() -> None:
    """A regression's value is no class: it may move, but no decision changed."""

    def shifted(points: Array) -> Array:
        return pure(points) + 1

    found = batch_isolation(POINTS, pure, shifted, lambda a: a)
    assert found.changed.all()
    assert not found.decision.any()


def test_answers_that_are_all_nan() -> None:
    """No spread to measure by, and still no crash."""

    def nothing(points: Array) -> Array:
        return np.full((len(points), 2), np.nan, dtype=np.float32)

    found = batch_isolation(POINTS, nothing, nothing, largest)
    assert not found.changed.any()
    found = batch_isolation(POINTS, nothing, pure, largest)
    assert found.changed.all()
