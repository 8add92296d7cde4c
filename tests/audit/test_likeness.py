"""Measures of how alike a patient's maps are, by the shape of what is explained."""

from __future__ import annotations

import numpy as np
import pytest

from medaudit.audit.likeness import likeness
from medaudit.core.interface import Channel, Input, Interface, Output
from medaudit.domain.cells import Cells
from medaudit.oracle.explanation import Wanted
from medaudit.probe.kinds import Spec, cells_for

CHANNELS = tuple(Channel(name) for name in ("hr", "sbp", "spo2", "temp", "na"))


def cells(hours: int) -> Cells:
    """Five variables over eight hours, in blocks."""
    axes = ("batch", "hour", "variable")
    series = Input("x", "float32", "sequence", axes, (8, 5), axes, channels=CHANNELS)
    return cells_for(Spec(hours=hours), Interface((series,), Output("binary", ("y",))))


def told(clean: np.ndarray, found: np.ndarray, target: np.ndarray, hours: int = 2) -> dict[str, object]:
    own = np.repeat(clean[None], 2, axis=0)
    wanted = Wanted("target", (), 1.0, 100.0)
    return likeness(cells(hours), wanted, own, clean[None], found[None], clean[None], target[None])


def test_the_three_first_of_each_hour_are_compared() -> None:
    """Where the order within hours stays all is kept; where one busy hour is turned over, two of its three are lost."""
    where = cells(2)
    (grid,) = where.grids
    assert (grid.rows, grid.columns) == (5, 4)
    clean = np.tile(np.array([5.0, 4.0, 3.0, 2.0, 1.0])[:, None], (1, 4))
    clean[:, 2] *= 4  # the hour that says most: 4 of 7 shares
    other = clean.copy()
    other[:, 2] = clean[::-1, 2]
    kept = told(clean.ravel(), 2 * clean.ravel(), other.ravel())["likeness"]["top_3_an_hour"]  # type: ignore[index]
    assert kept[0] == pytest.approx(1)
    lost = told(clean.ravel(), other.ravel(), clean.ravel())["likeness"]["top_3_an_hour"]  # type: ignore[index]
    assert lost[0] == pytest.approx(3 / 7 + 4 / 7 * 1 / 3)


def test_ratios_are_told_by_three_distances() -> None:
    """A map at the goal has none left; one at its own place is without end; W1 of all values sees no places."""
    draw = np.random.default_rng(1)
    clean, target = draw.normal(size=20), draw.normal(size=20)
    at_goal, stayed = told(clean, target, target), told(clean, clean, target)
    for name in ("ratio", "ratio_l1", "ratio_1d"):
        assert at_goal[name] == 0
        assert stayed[name] == 1e6
    swapped = told(clean, target[::-1].copy(), target)
    assert swapped["ratio_1d"] == 0
    assert swapped["ratio_l1"] != 0
