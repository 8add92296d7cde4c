"""Where the lowest point of a function is known, searches that learn a shape must find it."""

from __future__ import annotations

from types import ModuleType
from typing import NamedTuple

import numpy as np
import pytest
from kit import Array, Model
from known import LANES, Path, follow, lanes_at, lowest, value

from medaudit.core.region import L2, LINF, Part, Region
from medaudit.search import cmaes, differential

SIZE = 6
SCALE = np.random.default_rng(2).uniform(0.5, 2, SIZE).astype(np.float32)
CLEAN = np.random.default_rng(3).normal(0, 1, SIZE).astype(np.float32)
INSIDE = np.array([0.6, -0.5, 0.3, -0.8, 0.1, 0.7])  # where the optimum lies, in shares of the way to the edge
BEYOND = np.array([0.6, -1.7, 0.3, 2.5, -0.9, 1.2])
TURN = np.linalg.qr(np.random.default_rng(4).normal(0, 1, (SIZE, SIZE)))[0]


class Bowl(NamedTuple):
    """A quadratic function in shares of the box, and the point of the box where it is lowest."""

    model: Model
    best: Array  # [SIZE] float64, in shares of the box


def shares(points: Array, width: float = 1.0) -> Array:
    """Points as shares of the way from the clean point to the edge, float64."""
    out: Array = (points.astype(np.float64) - CLEAN) / (width * SCALE.astype(np.float64))
    return out


def bowl(kind: str, width: float = 1.0) -> Bowl:
    """Round; stretched a hundredfold and turned; or stretched along the numbers, lowest outside the box."""
    centre = BEYOND if kind == "edge" else INSIDE
    weight = np.ones(SIZE) if kind == "round" else np.logspace(0, 2, SIZE)
    basis = TURN if kind == "turned" else np.eye(SIZE)
    model = value(lambda points: (((shares(points, width) - centre) @ basis) ** 2 * weight).sum(axis=1))
    return Bowl(model, np.clip(centre, -1, 1))


def descend(search: ModuleType, one: Bowl, area: Region, ticks: int, lo: float = -1, hi: float = 1) -> Path:
    """So many generations from the same clean point in every lane, in a box of [lo, hi] times the scale."""
    x = np.repeat(CLEAN[None], LANES, axis=0)
    lanes = lanes_at(x, x + np.float32(lo) * SCALE, x + np.float32(hi) * SCALE, one.model, list(range(LANES)))
    return follow(search.search(), area, lanes, one.model, ticks, lowest())


def nearest(path: Path, one: Bowl) -> Array:
    """The best point each lane ever asked, in shares, [LANES, SIZE]."""
    rows = [path.points(lane) for lane in range(LANES)]
    return np.stack([shares(asked[one.model(asked)[:, 0].argmin()]) for asked in rows])


def table(norm: str, eps: float) -> Region:
    return Region(norm, eps, SCALE, None, (Part("table", 1, 1, SIZE),))


@pytest.mark.parametrize(
    ("search", "kind", "ticks"),
    [
        (differential, "round", 120),
        (differential, "edge", 120),
        (cmaes, "round", 80),
        (cmaes, "turned", 120),
        (cmaes, "edge", 150),
    ],
)
def test_the_lowest_point_of_a_box(search: ModuleType, kind: str, ticks: int) -> None:
    """Of a quadratic function: its own lowest point, or the nearest edge of a separable one."""
    one = bowl(kind)
    path = descend(search, one, table(LINF, 1.0), ticks)
    assert np.abs(nearest(path, one) - one.best).max() < 5e-3


@pytest.mark.parametrize(("search", "slack"), [(differential, 0.05), (cmaes, 5e-3)])
@pytest.mark.parametrize(("lo", "hi"), [(0.0, 1.0), (-1.0, 0.25)])
def test_a_box_that_is_wider_on_one_side(search: ModuleType, slack: float, lo: float, hi: float) -> None:
    """A clean point at or near the edge of what is legal: all of the box is searched, not half of it.

    A small pool of differences may lose the spread of a number before it is quite there.
    """
    one = bowl("round")
    path = descend(search, one, table(LINF, 1.0), 120, lo, hi)
    assert np.abs(nearest(path, one) - np.clip(INSIDE, lo, hi)).max() < slack


@pytest.mark.parametrize("search", [differential, cmaes])
def test_the_lowest_point_of_a_ball(search: ModuleType) -> None:
    """Of a round bowl around a point outside the ball: where the line to it leaves the ball."""
    one, eps = bowl("round"), 0.5
    best = eps * INSIDE / np.sqrt((INSIDE**2).sum())
    path = descend(search, one, table(L2, eps), 150, -8, 8)
    assert np.abs(nearest(path, one) - best).max() < 5e-3


def test_the_mean_of_the_cloud_gets_there() -> None:
    """Of CMA-ES: not a lucky point alone, but the mean of its proposals, and those lie close together."""
    one = bowl("turned")
    path = descend(cmaes, one, table(LINF, 1.0), 150)
    last = path.queries[-1].points.reshape(LANES, -1, SIZE)
    assert np.abs(shares(last.mean(axis=1)) - one.best).max() < 5e-3
    assert last.std(axis=1).max() < 1e-2
