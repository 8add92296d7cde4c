"""Choosing the reference records: how far a Shapley value goes, and that it goes no further."""

from __future__ import annotations

import numpy as np
import pytest

from medaudit.stats.background import MOST, intervals, room


def drawn(b: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=b)
    return np.stack([scores + rng.normal(size=b), rng.normal(size=b), np.full(b, 2.0)], axis=1), scores


def test_the_fair_value_lies_inside_and_a_constant_cannot_move() -> None:
    """The mean over all records is one of the choices."""
    parts, scores = drawn(40)
    found = intervals(parts, scores)
    assert (found[:, 0] <= parts.mean(axis=0) + 1e-9).all()
    assert (found[:, 1] >= parts.mean(axis=0) - 1e-9).all()
    assert found[2] == pytest.approx([2.0, 2.0])
    assert found[1, 1] - found[1, 0] > 0.5


def test_the_room_of_the_main_reason() -> None:
    """Of the cell with the largest mean, in its own size: a constant has none."""
    parts, scores = drawn(40)
    assert room(parts, scores) == pytest.approx(0, abs=1e-9)
    low, high = intervals(parts[:, :1], scores)[0]
    assert room(parts[:, :1], scores) == pytest.approx((high - low) / abs(parts[:, 0].mean()))


def test_without_a_test_the_heaviest_records_decide() -> None:
    """With full confidence nothing is refused: the best quarter of the records, each four times as heavy."""
    parts, scores = drawn(40)
    found = intervals(parts, scores, confidence=1 - 1e-12)
    best = np.sort(parts[:, 1])[-int(40 / MOST) :].mean()
    assert found[1, 1] == pytest.approx(best)


def test_every_choice_that_passes_lies_inside() -> None:
    """Random weights that keep both rules never leave the interval; a stricter test makes it no wider."""
    parts, scores = drawn(30, 3)
    found, strict = intervals(parts, scores), intervals(parts, scores, confidence=0.5)
    rng, order, kept = np.random.default_rng(0), np.argsort(scores), 0
    room = 1.3581 / np.sqrt(30)
    for _ in range(3000):
        weight = rng.dirichlet(np.full(30, 3.0))
        far = np.abs(np.cumsum(weight[order]) - np.arange(1, 31) / 30).max()
        if weight.max() <= MOST / 30 and far <= room:
            kept += 1
            moved = weight @ parts
            assert (moved >= found[:, 0] - 1e-9).all()
            assert (moved <= found[:, 1] + 1e-9).all()
    assert kept > 300
    assert (strict[:, 0] >= found[:, 0] - 1e-9).all()
    assert (strict[:, 1] <= found[:, 1] + 1e-9).all()


def test_one_record_has_no_choice() -> None:
    assert intervals(np.array([[1.0, -2.0]]), np.array([0.3])).tolist() == [[1.0, 1.0], [-2.0, -2.0]]
