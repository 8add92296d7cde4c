"""Any explainer over noisy copies of a record: the mean, or the median, of what the copies' maps say.

The mean is SmoothGrad's idea for explainers of every kind (Smilkov et al. 2017, "SmoothGrad: removing noise by adding
noise", eq. 1). The median is what MeTFA takes (Gan et al. 2022, "Is your explanation stable? A robustness evaluation
framework for feature attribution", section 4): less moved by few copies that say something else.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from medaudit.core.arrays import Array, digest, namespace, to_numpy
from medaudit.probe.explainer import Explainer, Ground, Plans, draws

NOISE = 0.1  # in spreads, as SmoothGrad's
WIDER = np.sqrt(np.pi / 2)  # standard error of a median, in those of a mean


def shaken(plans: Plans, ground: Ground, copies: int, merge: str = "mean", noise: float = 0.0) -> Plans:
    """Plans of `copies` copies, each explained by the plan of the same number. noise: in spreads; 0: a tenth."""
    return partial(_plan, plans, ground, copies, merge, noise or NOISE)


def _plan(plans: Plans, ground: Ground, copies: int, merge: str, noise: float, plan: int) -> Explainer:
    from scipy.special import ndtri

    bare, d = plans(plan), len(ground.sd)
    n = bare.asks
    u = draws(ground, "copies", plan, copies, d)
    unit = np.where(ground.whole, 0, ground.sd)
    offsets = (noise * ndtri(np.clip(u, 1e-12, 1 - 1e-12)) * unit).astype(np.float32)
    every = np.concatenate([offsets, np.zeros((1, d), dtype=np.float32)])  # the record itself is not shaken

    def rows(points: Array, which: Array, t: Array) -> Array:
        xp, on = namespace(points), {"device": points.device}
        number = to_numpy(t)
        copy = np.where(number > 0, (number - 1) // n, copies)
        own, back = np.unique(to_numpy(which) * (copies + 1) + copy, return_inverse=True)
        moved = xp.take(points, xp.asarray(own // (copies + 1), **on), axis=0)
        moved = moved + xp.asarray(every[own % (copies + 1)], **on)
        inner = np.where(number > 0, (number - 1) % n, 0)
        return bare.rows(moved, xp.asarray(back.astype(np.int64), **on), xp.asarray(inner, **on))

    def each(values: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Maps [copies, E, S]."""
        own = values[:, 1:].reshape(len(values), copies, n, values.shape[2])
        return np.stack([bare.reduce(own[:, c], points + offsets[c]) for c in range(copies)])

    def reduce(values: np.ndarray, points: np.ndarray) -> np.ndarray:
        return np.asarray((np.median if merge == "median" else np.mean)(each(values, points), axis=0))

    def errors(values: np.ndarray, points: np.ndarray) -> np.ndarray:
        spread = each(values, points).std(axis=0, ddof=1) / np.sqrt(copies)
        return np.asarray(spread * (WIDER if merge == "median" else 1.0))

    told = digest(f"{merge} of {bare.digest}", offsets)
    return Explainer(f"{bare.name}-{merge}", 1 + copies * n, bare.cells, rows, reduce, errors, bare.width, told)
