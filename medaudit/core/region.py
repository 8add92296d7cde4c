"""What an attacker may change, as pure numbers: a norm, a size, a scale per number, a grid.

Units are turned into these numbers by `domain/`; searches use only what is here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from medaudit.core.arrays import Array, namespace
from medaudit.core.protocol import Lanes
from medaudit.core.relations import Rules

LINF, L2, L1, L0, PATCH = "linf", "l2", "l1", "l0", "patch"
ROUGH, ROUGH_L2, INJECTED = "roughness", "roughness-l2", "injected"
BALLS = (L2, L1, ROUGH, ROUGH_L2, INJECTED)  # sizes that bound no number alone


class Part(NamedTuple):
    """One tensor of a point, laid out as [planes, rows, columns] in row-major order.

    signal: [1, leads, time] · image: [channels, rows, columns] · sequence: [1, variables, hours]
    · table: [1, 1, features]. `domain` names which.
    """

    domain: str
    planes: int
    rows: int
    columns: int

    @property
    def size(self) -> int:
        return self.planes * self.rows * self.columns


class Injection(NamedTuple):
    """What a signal that is injected into a recording may be."""

    part: int  # where it goes
    columns: int  # numbers of its window along time
    numbers: int  # and in all rows
    rate: float  # numbers a second
    muted: Array | None  # [columns, m] float32, orthonormal waves that it holds nothing of; None: none
    filters: np.ndarray | None  # [sections, 6], second-order sections of the recorder's own filters; None: none


class Region(NamedTuple):
    """Shared by all lanes of a check; the box itself is per lane (`Lanes.lo`, `Lanes.hi`)."""

    norm: str
    """linf | l2 | l1 | l0 | patch: the side of the window that holds all changes | roughness | roughness-l2
    | injected: root of the mean square over the window"""
    eps: float  # largest size of a success, in units of `scale`
    scale: Array  # [D] float32 > 0, how much of a number counts as 1; patch: how many cells do
    step: Array | None  # [D] float32, grid of legal values (0 = continuous); None: all continuous
    parts: tuple[Part, ...]  # geometry; sizes add up to D
    choices: Array | None = None  # [D] int64, number of categories (0 = numeric); None: none
    alike: Array | None = None  # [D] int64, numbers of one id count as one change in L0; None: each alone
    rules: Rules | None = None  # what must hold between the numbers of a record
    injected: Injection | None = None  # of that norm


def size(region: Region, lanes: Lanes, lane: Array, points: Array) -> Array:
    """Distance of points [R, D] from the clean points of their lanes, [R] float32."""
    xp = namespace(points)
    delta = points - xp.take(lanes.x, lane, axis=0)
    if region.norm == L0:
        return changes(region, delta != 0)
    if region.norm == PATCH:
        return side(region, delta != 0)
    delta /= region.scale
    return length(region, delta)


def changes(region: Region, changed: Array) -> Array:
    """How many changes `changed` [R, D] bool are: groups of numbers that are alike count once, [R] float32."""
    xp = namespace(changed)
    if region.alike is None:
        return xp.astype(xp.count_nonzero(changed, axis=1), xp.float32)
    order = xp.argsort(region.alike, stable=True)
    ids, some = xp.take(region.alike, order), xp.astype(xp.take(changed, order, axis=1), xp.int32)
    total = xp.cumulative_sum(some, axis=1, dtype=xp.int32)
    last = xp.concat([ids[1:] != ids[:-1], ids[:1] == ids[:1]])
    ends = xp.take(total, xp.nonzero(last)[0], axis=1)
    steps = xp.concat([ends[:, :1], ends[:, 1:] - ends[:, :-1]], axis=1)
    return xp.astype(xp.count_nonzero(steps, axis=1), xp.float32)


def side(region: Region, changed: Array) -> Array:
    """Longest side of the smallest windows that hold what changed [R, D] bool, summed over parts, [R] float32.

    Images: of rows and columns; signals and sequences: along time; any change of a table: its width.
    """
    xp = namespace(changed)
    total, begin = xp.zeros(changed.shape[0], dtype=xp.float32, device=changed.device), 0
    for part in region.parts:
        own = changed[:, begin : begin + part.size]
        grid = xp.reshape(own, (-1, part.planes, part.rows, part.columns))
        span = _span(xp.any(grid, axis=(1, 2)))
        if part.domain == "image":
            span = xp.maximum(span, _span(xp.any(grid, axis=(1, 3))))
        total = total + span / region.scale[begin]
        begin += part.size
    return total


def ends(some: Array) -> tuple[Array, Array]:
    """Places of the first and the last of some [R, N] bool, [R] int64 each; N and -1 where there is none."""
    xp = namespace(some)
    cell = xp.arange(some.shape[1], dtype=xp.int64, device=some.device)[None, :]
    first = xp.min(xp.where(some, cell, xp.full_like(cell, some.shape[1])), axis=1)
    return first, xp.max(xp.where(some, cell, xp.zeros_like(cell) - 1), axis=1)


def _span(some: Array) -> Array:
    """From the first to the last of some [R, N] bool, [R] float32; 0 where there is none."""
    xp = namespace(some)
    first, last = ends(some)
    return xp.astype(xp.maximum(last - first + 1, xp.zeros_like(last)), xp.float32)


def length(region: Region, delta: Array) -> Array:
    """Norm of changes [R, D] in units of scale, [R] float32. May overwrite them.

    roughness: root of 1e4 times the variance of the first difference; roughness-l2: root of that and 0.01 times
    the sum of squares (Chen et al. 2020, "ECGadv", section 4.2, where both are given as squares).
    """
    xp = namespace(delta)
    if region.norm == LINF:
        return xp.max(xp.abs(delta), axis=1)
    if region.norm == L1:
        return xp.sum(xp.abs(delta), axis=1)
    if region.norm in (ROUGH, ROUGH_L2):
        rough = _variances(region, delta) * 1e4
        return xp.sqrt(rough if region.norm == ROUGH else rough + 0.01 * xp.sum(delta * delta, axis=1))
    delta *= delta
    total = xp.sum(delta, axis=1)
    return xp.sqrt(total if region.injected is None else total / region.injected.numbers)


def _variances(region: Region, delta: Array) -> Array:
    """Variance of the first differences along time, summed over the rows of all parts, [R]."""
    xp = namespace(delta)
    total, begin = xp.zeros_like(delta[:, 0]), 0
    for part in region.parts:
        grid = xp.reshape(delta[:, begin : begin + part.size], (delta.shape[0], -1, part.columns))
        begin += part.size
        if part.columns > 1:
            total = total + xp.sum(xp.var(grid[:, :, 1:] - grid[:, :, :-1], axis=2), axis=1)
    return total


def unit(region: Region, delta: Array) -> Array:
    """Changes [R, D] divided by their own size; nothing stays nothing."""
    xp = namespace(delta)
    far = length(region, xp.asarray(delta, copy=True))[:, None]
    return delta / xp.maximum(far, xp.full_like(far, 1e-30))


def snap(region: Region, points: Array) -> Array:
    """Move points [..., D] to the grid of legal values."""
    if region.step is None:
        return points
    xp = namespace(points)
    step = xp.where(region.step > 0, region.step, xp.ones_like(region.step))
    return xp.where(region.step > 0, xp.round(points / step) * step, points)


def snap_inward(region: Region, x: Array, points: Array) -> Array:
    """Move points to the grid towards the clean points x of the same shape: no norm grows."""
    if region.step is None:
        return points
    xp = namespace(points)
    step = xp.where(region.step > 0, region.step, xp.ones_like(region.step))
    cells = (points - x) / step
    cells = xp.sign(cells) * xp.floor(xp.abs(cells) + 1e-4)
    return xp.where(region.step > 0, x + cells * step, points)


def clip(lanes: Lanes, lane: Array, points: Array) -> Array:
    """Bring points [R, D] into the boxes of their lanes."""
    xp = namespace(points)
    lo, hi = xp.take(lanes.lo, lane, axis=0), xp.take(lanes.hi, lane, axis=0)
    return xp.minimum(xp.maximum(points, lo), hi)


def shrink(region: Region, lanes: Lanes, points: Array) -> Array:
    """Bring one point per lane, [L, D], into the L2 or L1 ball of radius eps and the box.

    Clipping to a box that contains the clean point never lengthens a perturbation, so one pass
    of each is a projection onto the intersection's inside.
    """
    xp = namespace(points)
    delta = (points - lanes.x) / region.scale
    far = length(region, xp.asarray(delta, copy=True))
    # A hair inside, so that rounding to float32 cannot leave the ball.
    factor = region.eps * (1 - 1e-6) / xp.maximum(far, xp.full_like(far, 1e-30))
    factor = xp.minimum(factor, xp.ones_like(far))
    moved = xp.where((factor < 1)[:, None], lanes.x + delta * factor[:, None] * region.scale, points)
    return xp.minimum(xp.maximum(moved, lanes.lo), lanes.hi)


def project(region: Region, lanes: Lanes, lane: Array, points: Array) -> Array:
    """Bring points [R, D] into the box, the ball (L2, L1) and onto the grid of their lanes.

    How many numbers differ (L0) is the search's own affair.
    """
    xp = namespace(points)
    ball = region.norm in BALLS
    x, lo, hi = (xp.take(a, lane, axis=0) for a in (lanes.x, lanes.lo, lanes.hi))
    if ball:
        points = shrink(region, lanes._replace(x=x, lo=lo, hi=hi), points)
    if region.step is not None:
        # To the nearest value of the grid, or inwards where the nearest may leave the ball.
        points = snap_inward(region, x, points) if ball else snap(region, points)
    elif ball:
        return points
    return xp.minimum(xp.maximum(points, lo), hi)


def free(lanes: Lanes) -> Array:
    """Numbers the attacker may change, [L, D] bool."""
    return lanes.hi > lanes.lo
