"""Boxes, balls and grids as pure numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from medaudit.core import region as regions
from medaudit.core.protocol import Lanes
from medaudit.core.region import L0, L2, LINF, Part, Region

Array = NDArray[Any]
D = 5
floats = st.floats(-50, 50, width=32)
rows = st.lists(floats, min_size=D, max_size=D).map(lambda v: np.array([v], dtype=np.float32))
sizes = st.floats(0.01, 5)
scales = st.lists(st.floats(0.125, 20, width=32), min_size=D, max_size=D)
steps = st.sampled_from([0.0, 0.05, 0.1, 0.25, 1.0, 3.0])


def lanes(x: Array, lo: Array, hi: Array) -> Lanes:
    """Lanes that have nothing but a box."""
    n = len(x)
    none = np.zeros(n, dtype=np.int64)
    return Lanes(np.zeros(n, dtype=np.uint64), x, lo, hi, None, np.zeros((n, 1)), none, none)


def area(norm: str, eps: float, scale: list[float], step: list[float] | None = None) -> Region:
    """A region over a table."""
    grid = None if step is None else np.array(step, dtype=np.float32)
    return Region(norm, eps, np.array(scale, dtype=np.float32), grid, (Part("table", 1, 1, D),))


@given(x=rows, points=rows, eps=sizes, scale=scales, room=st.floats(0, 10, width=32))
def test_shrink_ends_inside_ball_and_box(x: Array, points: Array, eps: float, scale: list[float], room: float) -> None:
    """Within eps in float64, within the box to the bit; again changes nothing that matters."""
    own = lanes(x, x - np.float32(room), x + np.float32(room))
    form = area(L2, eps, scale)
    once = regions.shrink(form, own, points)
    assert np.all(once >= own.lo)
    assert np.all(once <= own.hi)
    length = size64(form, x, once)
    # What is written as float32 near x cannot be finer than one step of float32 there.
    grain = float(np.sqrt(((np.spacing(np.abs(x) + 50) / np.array(scale)) ** 2).sum()))
    assert length <= eps + grain
    twice = regions.shrink(form, own, once)
    assert np.abs(size64(form, once, twice)) <= 3 * grain + 4e-6 * eps


@given(x=rows, scale=scales, share=st.floats(0, 0.99))
def test_shrink_leaves_what_is_inside(x: Array, scale: list[float], share: float) -> None:
    """Points of the ball's inside stay where they are."""
    way = np.full((1, D), share / np.sqrt(D), dtype=np.float32) * np.array(scale, dtype=np.float32)
    points = (x + way).astype(np.float32)
    form = area(L2, 2.0, scale)
    own = lanes(x, x - 1000, x + 1000)
    assert np.array_equal(regions.shrink(form, own, points), points)


def size64(form: Region, x: Array, points: Array) -> float:
    """Length of points - x in units of scale, in float64."""
    delta = (points.astype(np.float64) - x) / form.scale.astype(np.float64)
    return float(np.sqrt((delta**2).sum()))


@given(x=rows, points=rows, step=st.lists(steps, min_size=D, max_size=D))
def test_snap_inward_never_grows_a_norm(x: Array, points: Array, step: list[float]) -> None:
    """No number moves away from the clean value; steps are counted from it."""
    form = area(LINF, 1.0, [1.0] * D, step)
    moved = regions.snap_inward(form, x, points)
    before, after = (np.abs(p.astype(np.float64) - x) for p in (points, moved))
    grain = np.spacing(np.abs(x) + np.abs(points))
    assert np.all(after <= before + 1e-4 * np.array(step) + 2 * grain)
    assert np.all((moved - x) * (points - x) >= 0), "never past the clean value"
    grid = np.array(step) > 0
    assert np.array_equal(moved[:, ~grid], points[:, ~grid])
    if grid.any():
        cells = (moved.astype(np.float64) - x)[:, grid] / np.array(step, dtype=np.float32)[grid]
        assert np.abs(cells - np.rint(cells)).max() < 1e-3


@given(points=rows, step=st.lists(steps, min_size=D, max_size=D))
def test_snap_lands_on_the_grid(points: Array, step: list[float]) -> None:
    """Multiples of the step, at most half a step away, and snapping again changes nothing."""
    form = area(LINF, 1.0, [1.0] * D, step)
    once = regions.snap(form, points)
    assert np.array_equal(regions.snap(form, once), once)
    grid = np.array(step) > 0
    assert np.array_equal(once[:, ~grid], points[:, ~grid])
    away = np.abs(once.astype(np.float64) - points)
    assert np.all(away[:, grid] <= np.array(step)[grid] / 2 + 1e-4)


@given(x=rows, points=rows, room=st.floats(0, 10, width=32))
def test_clip_is_a_projection(x: Array, points: Array, room: float) -> None:
    """Inside the box, idempotent, and points of the box stay."""
    own = lanes(x, x - np.float32(room), x + np.float32(room))
    lane = np.zeros(1, dtype=np.int64)
    once = regions.clip(own, lane, points)
    assert np.all(once >= own.lo)
    assert np.all(once <= own.hi)
    assert np.array_equal(regions.clip(own, lane, once), once)


def test_size_of_each_norm() -> None:
    """Largest, root of squares, count; in units of scale."""
    x = np.zeros((2, D), dtype=np.float32)
    own = lanes(x, x - 9, x + 9)
    points = np.array([[3, 0, -8, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], dtype=np.float32)
    lane = np.array([0, 0, 1])
    scale = [1.0, 1.0, 2.0, 1.0, 1.0]
    assert regions.size(area(LINF, 1, scale), own, lane, points).tolist() == [4, 0, 1]
    two = regions.size(area(L2, 1, scale), own, lane, points)
    assert np.allclose(two, [5, 0, np.sqrt(4.25)])
    assert regions.size(area(L0, 1, scale), own, lane, points).tolist() == [2, 0, 5]


def test_no_grid_is_no_work() -> None:
    """Without a grid, points come back as they are."""
    form = area(LINF, 1.0, [1.0] * D)
    points = np.ones((1, D), dtype=np.float32)
    assert regions.snap(form, points) is points
    assert regions.snap_inward(form, points, points) is points


def test_free_numbers() -> None:
    """What has room may change."""
    x = np.zeros((1, 3), dtype=np.float32)
    own = lanes(x, np.array([[0, -1, 0]], dtype=np.float32), np.array([[0, 0, 2]], dtype=np.float32))
    assert regions.free(own).tolist() == [[False, True, True]]


def test_part_size() -> None:
    """Numbers of one tensor."""
    assert Part("image", 3, 4, 5).size == 60
