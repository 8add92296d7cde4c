"""The noise floor is measured in what goals are measured in, and says when it swallows them."""

from __future__ import annotations

import numpy as np
import pytest

from medaudit.core.interface import Output
from medaudit.oracle.goal import Goal
from medaudit.oracle.noise import clearance, noise_floor, swallowed

MASK = Output("segmentation", ("y",), "logits", thresholds=(0.0,), class_axis=0, positions=8)


def test_masks_differ_by_dice() -> None:
    """Logits that differ by 100 and give one mask are no noise; four of five pixels that stay are 1/9 of Dice."""
    one = np.array([[1, 1, 1, 1, 1, -1, -1, -1]], dtype=np.float32)
    other = one.copy()
    other[0, 0] = 100
    assert noise_floor(MASK, one, other) == 0
    other[0, 4] = -1
    assert noise_floor(MASK, one, other) == pytest.approx(1 / 9)
    other[0, 4] = np.nan
    assert noise_floor(MASK, one, other) == 0
    assert noise_floor(MASK, one[:0], other[:0]) == 0


@pytest.mark.parametrize(
    ("votes", "floor", "drowned"), [(1, 0.9, False), (1, 1.1, True), (2, 0.6, False), (2, 0.7, True)]
)
def test_noise_that_takes_half_of_an_amount(votes: int, floor: float, drowned: bool) -> None:
    """A value must move by 4; with one asking two floors must be cleared, with votes three."""
    output = Output("regression", ("y",), "values", votes=votes)
    assert clearance(output, floor) == (2 if votes == 1 else 3) * floor
    goals = [Goal("moved", amount=40.0), Goal("moved", amount=4.0)]
    assert swallowed(output, floor, np.zeros((3, 1), np.float32), goals) is drowned
    assert not swallowed(output, floor, np.zeros((3, 1), np.float32), [])
