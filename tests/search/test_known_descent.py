"""Descent to the boundary: linear models, whose nearest points are known, in numbers and in waves of roughness."""

from __future__ import annotations

import numpy as np
import pytest

from medaudit.core.arrays import Array
from medaudit.core.compose import compose
from medaudit.core.interface import Output
from medaudit.core.protocol import Lanes, Search
from medaudit.core.region import L2, ROUGH, ROUGH_L2, Part, Region
from medaudit.core.streams import key
from medaudit.core.subspace import dual, even, expand, within
from medaudit.engine.inline import run_inline
from medaudit.oracle.goal import Goal, oracle
from medaudit.search import descent
from medaudit.search.plane import directions

D, LANES = 60, 5
OUTPUT = Output("multiclass", ("y",), "logits", ("a", "b"))
PARTS = (Part("signal", 1, 1, D),)
SCALE = np.linspace(0.5, 2, D).astype(np.float32)
SLOPE = np.random.default_rng(8).normal(0, 1, D)


def linear(points: Array) -> Array:
    value = points.astype(np.float64) @ SLOPE
    return np.stack([-value / 2, value / 2], axis=1).astype(np.float32)


def bent(points: Array) -> Array:
    """The same border; the score rises and falls faster the further away it is."""
    value = np.sinh(0.3 * linear(points).astype(np.float64))
    return value.astype(np.float32)


def make(samples: list[int]) -> Lanes:
    """Record k lies 1 + k from the border, as a value of the score."""
    x = np.random.default_rng(3).normal(0, 1, (LANES, D))
    x -= ((x @ SLOPE - (1 + np.arange(LANES))) / (SLOPE @ SLOPE))[:, None] * SLOPE
    own = x[samples].astype(np.float32)
    far = np.full_like(own, 1e3)
    keys = np.array([key("descent", s) for s in samples], dtype=np.uint64)
    ones = np.ones(len(samples), dtype=np.int64)
    return Lanes(keys, own, own - far, own + far, None, linear(own), ones, ones - 2)


def smallest(search: Search, area: Region, model: object, budget: int) -> np.ndarray:
    attack = compose(search, oracle(OUTPUT, Goal(), "scores"), area, stop="budget", smallest=True)
    done = run_inline([("d", attack, budget, make, list(range(LANES)))], model, 32)  # type: ignore[arg-type]
    return np.array([float(one.arrays["size"]) for one in sorted(done, key=lambda f: f.sample)])


@pytest.mark.parametrize(("size", "count"), [(60, 24), (61, 24), (8, 8), (1, 1)])
def test_probes_come_basis_by_basis(size: int, count: int) -> None:
    """Of each `size` in turn none shares anything with another; the next basis, and another lane's, is another."""
    keys = np.array([3, 4], dtype=np.uint64)
    ticks = [directions(keys, np.full(2, t, dtype=np.int64), count, size) for t in range(-(-3 * size // count))]
    every = np.concatenate(ticks, axis=1)[:, : 3 * size].reshape(2, 3, size, size)
    assert every.dtype == np.float32
    assert every @ every.transpose(0, 1, 3, 2) == pytest.approx(np.broadcast_to(np.eye(size), every.shape), abs=1e-5)
    if size > 8:
        assert np.abs(every[0, 0] @ every[0, 1].T).max() < 0.9
        assert np.abs(every[0, 0] @ every[1, 0].T).max() < 0.9


@pytest.mark.parametrize("model", [linear, bent])
def test_the_nearest_point_of_a_plane(model: object) -> None:
    """In units of scale: the value over the length of the scaled slope, within two parts of a hundred."""
    area = Region(L2, 5.0, SCALE, None, PARTS)
    known = (1 + np.arange(LANES)) / np.linalg.norm(SLOPE * SCALE)
    found = smallest(descent.search(), area, model, 800)
    assert np.all(found >= known * (1 - 1e-4))
    np.testing.assert_allclose(found, known, rtol=0.02)


@pytest.mark.parametrize("norm", [ROUGH, ROUGH_L2])
def test_the_smoothest_way_to_a_plane(norm: str) -> None:
    """Of all changes in waves, the one of least roughness: the value over the slope's length in the dual waves."""
    area, space = Region(norm, 20.0, SCALE, None, PARTS), even(PARTS, norm, 0)
    waves = expand(space, PARTS, np.eye(D, dtype=np.float32)).astype(np.float64)  # row k: the wave of coefficient 1
    slope = waves @ (SLOPE * SCALE)
    known = (1 + np.arange(LANES)) / np.linalg.norm(slope)
    found = smallest(within(descent.search(), space), area, linear, 1500)
    # The size does not count the mean u.c of the differences, which a longer change may use (Sherman, Morrison 1950).
    u = 100 * np.diff(waves, axis=1).mean(axis=1)
    least = (1 + np.arange(LANES)) / np.sqrt(slope @ slope + (slope @ u) ** 2 / (1 - u @ u))
    assert np.all(found >= least * (1 - 1e-3))
    assert np.all(found <= 1.03 * known)
    assert dual(space).parts == space.parts


def test_same_way_in_any_company() -> None:
    area = Region(L2, 5.0, SCALE, None, PARTS)
    attack = compose(descent.search(), oracle(OUTPUT, Goal(), "scores"), area, stop="budget", smallest=True)
    both = run_inline([("d", attack, 300, make, [0, 3])], linear, 32)
    (alone,) = run_inline([("d", attack, 300, make, [3])], linear, 5)
    np.testing.assert_array_equal(alone.arrays["claim"], next(f for f in both if f.sample == 3).arrays["claim"])
