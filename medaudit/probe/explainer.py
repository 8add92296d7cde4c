"""Explainers: a fixed plan of rows for each point, and what their answers say of its cells.

For a fixed plan (masks, fills, background rows) nearly every perturbation explainer is a linear map of what the model
answers, so that explanations of many points are one stream of rows and one product. The same plan for two points
takes the plan's own noise out of their difference (common random numbers).

Shape letters: C points, R rows, D numbers of a point, S cells, E explanations, T rows of an explanation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from medaudit.core import streams
from medaudit.core.arrays import Array, digest, exchanged, lent, namespace, select, to_numpy
from medaudit.core.region import Part
from medaudit.domain.cells import Cells

BYTES = 32 << 20  # of rows that are made at a time

Rows = Callable[[Array, Array, Array], Array]
"""points [C, D], which of them [R] int64, number of the row t [R] int64 -> rows [R, D]; t = 0 is the point itself"""
Reduce = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""values [E, T, W] float64, points [E, D] -> maps [E, S]"""


class Explainer(NamedTuple):
    """One plan of one kind of explanation."""

    name: str
    asks: int  # T: rows of an explanation
    cells: int  # S
    rows: Rows
    reduce: Reduce
    errors: Reduce | None = None  # standard errors of the maps by the plan's own draws; None: nothing is drawn
    width: int = 1  # W: columns of an answer that it reads; what is explained is the first
    digest: str = ""  # of the plan
    lent: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] | None = None
    """values of one explanation [1, T, W] -> what each background row gives [B, S], and what it is answered [B]"""

    def digested(self, *plan: np.ndarray) -> Explainer:
        """With the digest of what the plan is made of."""
        return self._replace(digest=digest(self.name, *plan))


class Ground(NamedTuple):
    """What explainers of one model have in common."""

    cells: Cells
    parts: tuple[Part, ...]
    fill: Fill | None  # what stands in the place of a cell that is taken out; None: background rows
    background: np.ndarray  # [B, D] float32, clean reference points
    sd: np.ndarray  # [D] float32, spread of each number
    whole: np.ndarray  # [D] bool, numbers that are categories
    key: int  # of the plans' draws


Fill = Callable[[Array], Array]
"""points [C, D] -> [C, D]"""
Plans = Callable[[int], Explainer]
"""number of a plan -> the explainer; plans of different numbers have nothing in common"""


def masked(
    name: str, ground: Ground, masks: np.ndarray, background: np.ndarray, reduce: Reduce, errors: Reduce | None = None
) -> Explainer:
    """Rows in which some cells are taken out. masks [T, S] bool: the cells that stay; the first row is all ones.

    background [T]: which background row fills each, where the ground has no fill of its own.
    """

    gone = -(~masks).astype(np.int32)  # all bits of a cell that is taken out
    few = gone.nbytes // gone.shape[1] * len(ground.cells.of) <= BYTES
    wide = np.take(gone, ground.cells.of, axis=1) if few and ground.fill is None else None  # and of its numbers

    def rows(points: Array, which: Array, t: Array) -> Array:
        xp = namespace(points)
        on = {"device": points.device}
        if wide is not None and isinstance(points, np.ndarray):
            return lent(points, which, ground.background, background[t], wide[t])
        if ground.fill is not None and isinstance(points, np.ndarray):
            return exchanged(points, ground.fill(points), which, np.take(gone[t], ground.cells.of, axis=1))
        keep = xp.take(xp.asarray(masks, **on), t, axis=0)
        keep = xp.take(keep, xp.asarray(ground.cells.of, **on), axis=1)
        if ground.fill is None:
            other = xp.asarray(ground.background, **on), xp.take(xp.asarray(background, **on), t)
        else:
            other = ground.fill(points), which
        return select(keep, xp.take(points, which, axis=0), xp.take(*other, axis=0))

    return Explainer(name, len(masks), ground.cells.size, rows, reduce, errors).digested(masks, background)


def linear(matrix: np.ndarray) -> Reduce:
    """The reduction by one matrix [S, T]."""

    def reduce(values: np.ndarray, points: np.ndarray) -> np.ndarray:
        return np.stack([matrix @ own for own in values[:, :, 0]])  # one by one: bits must not depend on the others

    return reduce


def draws(ground: Ground, name: str, plan: int, rows: int, n: int) -> np.ndarray:
    """Uniform numbers [rows, n] of a plan."""
    keys = np.full(rows, streams.key(ground.key, name, plan), dtype=np.uint64)
    return np.asarray(streams.uniform(keys, np.arange(rows), 0, n))


def spread(ground: Ground, count: int) -> np.ndarray:
    """So many background rows [count] from all over the reference, which may be in any order; all where too few."""
    return np.linspace(0, len(ground.background) - 1, min(count, len(ground.background))).astype(np.int64)


def turns(ground: Ground, plan: int, count: int) -> np.ndarray:
    """Background rows [count] one after another, in an order of its own each time round."""
    n = len(ground.background)
    order = np.argsort(draws(ground, "background", plan, -(-count // n), n), axis=1, kind="stable")
    return np.asarray(order.reshape(-1)[:count])


def explain(explainer: Explainer, points: Array, ask: Callable[[Array], np.ndarray], at_once: int = 4096) -> np.ndarray:
    """Values [C, T, W] of all rows of points [C, D]. ask: rows [R, D] -> values [R, W]."""
    xp = namespace(points)
    total = points.shape[0] * explainer.asks
    at_once = min(at_once, max(64, BYTES // (4 * points.shape[1])))
    out = []
    for start in range(0, total, at_once):
        place = xp.arange(start, min(start + at_once, total), dtype=xp.int64, device=points.device)
        which, t = place // explainer.asks, place % explainer.asks
        out.append(to_numpy(ask(explainer.rows(points, which, t))))
    values = np.concatenate(out).astype(np.float64)
    return values.reshape(points.shape[0], explainer.asks, -1)
