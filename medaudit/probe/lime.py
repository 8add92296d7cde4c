"""LIME: a weighted ridge regression on what the model answers around a record.

Ribeiro, Singh, Guestrin 2016, "Why should I trust you?", eq. 1 and section 3.4; kernels, ridge and sampling as the
`lime` package has them. `lime` of tables draws around the record, in antithetic pairs, and gives the effect of one
standard deviation; elsewhere it takes cells out by fair coins. `lime-compat` is the package's default for tables:
columns cut at their quartiles, rows drawn from the reference data, and the effect of "as in this record's quarter".
No term is dropped.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from medaudit.core.arrays import Array, namespace
from medaudit.domain.slips import sober
from medaudit.probe.explainer import Explainer, Ground, Plans, Reduce, draws, linear, masked

TABLE, OTHER = 5000, 1000  # rows
RIDGE = 1.0
WIDTH, CELL_WIDTH = 0.75, 0.25  # of the kernel: of tables times the root of the columns, elsewhere of a cosine distance
LEAST = 1e-9


def lime(ground: Ground, rows: int = 0) -> Plans:
    """rows: of an explanation."""
    table = all(part.domain == "table" for part in ground.parts)
    return partial(_around if table else _cells, ground, (rows or (TABLE if table else OTHER)) - 1)


def lime_compat(ground: Ground, rows: int = 0) -> Plans:
    """rows: of an explanation. Only of tables."""
    return partial(_quarters, ground, (rows or TABLE) - 1)


def ridge(design: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The matrix [S, T] that makes coefficients of values, for a design [T, S] with an intercept that is not held."""
    return np.asarray(np.linalg.solve(*_normal(design, weight)))


def fitted(design: np.ndarray, weight: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The coefficients [S] themselves, of values [T]."""
    held, weighted = _normal(design, weight)
    return np.asarray(np.linalg.solve(held, weighted @ values))


def _normal(design: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both sides of the normal equations; centred columns take the mean off the values too."""
    centred = design - (weight @ design) / weight.sum()
    weighted = centred.T * weight
    return weighted @ centred + RIDGE * np.eye(design.shape[1]), weighted


def _kernel(distance: np.ndarray, width: float) -> np.ndarray:
    return np.asarray(np.sqrt(np.exp(-((distance / width) ** 2))))


def _cells(ground: Ground, count: int, plan: int) -> Explainer:
    s = ground.cells.size
    coins = draws(ground, "lime", plan, -(-count // 2), s) < 0.5
    z = np.stack([coins, ~coins], axis=1).reshape(-1, s)[:count]
    masks = np.concatenate([np.ones((1, s), dtype=bool), z])
    weight = _kernel(1 - np.sqrt(masks.mean(axis=1)), CELL_WIDTH)
    background = np.arange(len(masks)) % len(ground.background)
    return masked("lime", ground, masks, background, linear(ridge(masks.astype(np.float64), weight)))


def _around(ground: Ground, count: int, plan: int) -> Explainer:
    """Numbers move by normal noise of their spread; categories are those of reference rows."""
    from scipy.special import ndtri

    d = len(ground.sd)
    half = -(-count // 2)
    draw = draws(ground, "lime", plan, half, d)
    noise = ndtri(np.clip(draw, 1e-12, 1 - 1e-12))
    z = np.stack([noise, -noise], axis=1).reshape(-1, d)[:count]
    offsets = np.concatenate([np.zeros((1, d)), z]) * ~ground.whole
    rows = (draws(ground, "lime-rows", plan, count + 1, d) * len(ground.background)).astype(int)
    lent = ground.background[rows, np.arange(d)[None, :]]
    moved = (offsets * ground.sd).astype(np.float32)

    def ask(points: Array, which: Array, t: Array) -> Array:
        xp = namespace(points)
        on = {"device": points.device}
        own = xp.take(points, which, axis=0)
        other = xp.where((t > 0)[:, None], xp.take(xp.asarray(lent, **on), t, axis=0), own)
        return xp.where(
            xp.asarray(ground.whole, **on)[None, :], other, own + xp.take(xp.asarray(moved, **on), t, axis=0)
        )

    width = WIDTH * np.sqrt(d)
    if not ground.whole.any():
        by_number = linear(ridge(offsets, _kernel(np.linalg.norm(offsets, axis=1), width)))
    else:
        by_number = partial(_mixed, offsets, lent, ground.whole, width)
    return Explainer("lime", count + 1, ground.cells.size, ask, _in_cells(ground, by_number)).digested(moved, lent)


def _mixed(
    offsets: np.ndarray, lent: np.ndarray, whole: np.ndarray, width: float, values: np.ndarray, points: np.ndarray
) -> np.ndarray:
    """Coefficients [E, D] where some columns are categories: 1 as in the record, 0 otherwise."""
    out = []
    for own, point in zip(values[:, :, 0], points, strict=True):
        same = (lent == point[None, :]).astype(np.float64)
        same[0] = 1.0
        design = np.where(whole[None, :], same, offsets)
        distance = np.linalg.norm(np.where(whole[None, :], 1 - same, offsets), axis=1)
        out.append(fitted(design, _kernel(distance, width), own))
    return np.stack(out)


def _quarters(ground: Ground, count: int, plan: int) -> Explainer:
    from scipy.special import ndtr, ndtri

    d = len(ground.sd)
    draw = draws(ground, "lime-compat", plan, count, 2 * d)
    lent, bins = np.empty((count, d), dtype=np.float32), np.empty((count, d), dtype=np.int64)
    cuts: list[np.ndarray] = []
    kinds_of: list[np.ndarray] = []
    for j in range(d):
        column = ground.background[:, j].astype(np.float64)
        column = column[np.isfinite(column)]
        column = column if column.size else np.zeros(1)  # never measured
        column = sober(column) if not ground.whole[j] else column
        kinds = np.unique(column)
        cut = kinds[:-1] if ground.whole[j] else np.unique(np.percentile(column, [25, 50, 75]))
        cuts.append(cut)
        kinds_of.append(kinds)
        own = np.searchsorted(cut, column, side="left")
        places, counts = np.unique(own, return_counts=True)
        pick = np.searchsorted(np.cumsum(counts) / counts.sum(), draw[:, j], side="right").clip(0, len(places) - 1)
        bins[:, j] = places[pick]
        for k, place in enumerate(places):
            at, some = np.flatnonzero(pick == k), column[own == place]
            low, high, middle, sd = some.min(), some.max(), some.mean(), some.std() + LEAST
            if ground.whole[j] or high <= low:
                lent[at, j] = middle
                continue
            below, above = (ndtr((end - middle) / sd) for end in (low, high))
            normal = ndtri(below + draw[at, d + j] * (above - below))  # cut off at the ends
            lent[at, j] = np.clip(middle + sd * normal, low, high)

    def ask(points: Array, which: Array, t: Array) -> Array:
        xp = namespace(points)
        drawn = xp.take(xp.asarray(lent, device=points.device), xp.maximum(t - 1, 0 * t), axis=0)
        return xp.where((t > 0)[:, None], drawn, xp.take(points, which, axis=0))

    def by_number(values: np.ndarray, points: np.ndarray) -> np.ndarray:
        out = []
        for own, point in zip(values[:, :, 0], points, strict=True):
            quarter = np.array([np.searchsorted(cut, v, side="left") for cut, v in zip(cuts, point, strict=True)])
            known = np.isfinite(point) & (~ground.whole | [v in kind for v, kind in zip(point, kinds_of, strict=True)])
            quarter[~known] = -1  # as no row that is drawn
            design = np.concatenate([np.ones((1, d)), (bins == quarter[None, :]).astype(np.float64)])
            out.append(fitted(design, _kernel(np.sqrt((1 - design).sum(axis=1)), WIDTH * np.sqrt(d)), own))
        return np.stack(out)

    return Explainer("lime-compat", count + 1, ground.cells.size, ask, _in_cells(ground, by_number)).digested(lent)


def _in_cells(ground: Ground, by_number: Reduce) -> Reduce:
    """Numbers of tables are their cells, unless several make one."""
    if ground.cells.size == len(ground.cells.of):
        return by_number

    def reduce(values: np.ndarray, points: np.ndarray) -> np.ndarray:
        found = by_number(values, points)
        return np.stack([np.bincount(ground.cells.of, own, minlength=ground.cells.size) for own in found])

    return reduce
