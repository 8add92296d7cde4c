"""Gradients without gradients: central differences along the cells, at the point or over noisy copies of it.

Each cell moves as a whole, by a share of its numbers' spread: the map is the derivative along each cell, per spread.
With fewer rows than cells need, the derivatives along random signs of all cells stand for them (Spall 1992,
"Multivariate stochastic approximation using a simultaneous perturbation gradient approximation", eq. 2.2). SmoothGrad
is the mean over noisy copies: Smilkov et al. 2017, "SmoothGrad: removing noise by adding noise", eq. 1.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from medaudit.core.arrays import Array, namespace
from medaudit.probe.explainer import Explainer, Ground, Plans, draws

STEP = 0.05  # in spreads
NOISE = 0.1  # of the copies, in spreads
ROWS, COPIES = 2048, 16


def gradient(ground: Ground, rows: int = 0) -> Plans:
    """rows: at most so many of an explanation."""
    return partial(_plan, ground, rows or ROWS, 1, "gradient")


def smoothgrad(ground: Ground, rows: int = 0) -> Plans:
    """rows: at most so many of an explanation, shared by 16 noisy copies."""
    return partial(_plan, ground, rows or ROWS, COPIES, "smoothgrad")


def _plan(ground: Ground, rows: int, copies: int, name: str, plan: int) -> Explainer:
    from scipy.special import ndtri

    s, of = ground.cells.size, ground.cells.of
    most = max(1, (rows - 1) // (2 * copies))
    if most >= s:
        signs = np.eye(s, dtype=np.float32)
        share = np.eye(s)  # derivatives along the directions -> along the cells
    else:
        signs = np.where(draws(ground, f"{name}-signs", plan, most, s) < 0.5, -1, 1).astype(np.float32)
        share = signs.T.astype(np.float64) / most
    m = len(signs)
    unit = np.where(ground.whole, 0, ground.sd).astype(np.float32)
    noise = np.zeros((1, 1), dtype=np.float32)
    if copies > 1:
        u = draws(ground, name, plan, copies // 2, len(of))
        normal = (NOISE * ndtri(np.clip(u, 1e-12, 1 - 1e-12)) * unit).astype(np.float32)
        noise = np.concatenate([normal, -normal])
    shaken = np.concatenate([noise, np.zeros_like(noise[:1])])  # the point itself is not

    def ask(points: Array, which: Array, t: Array) -> Array:
        xp = namespace(points)
        on = {"device": points.device}
        number = xp.maximum(t - 1, 0 * t)
        side = xp.astype(xp.where(t > 0, 1 - 2 * (number % 2), 0 * t), xp.float32)
        way = xp.take(xp.asarray(signs, **on), number // 2 % m, axis=0) * side[:, None]
        moved = xp.take(way, xp.asarray(of, **on), axis=1)
        moved *= xp.asarray(STEP * unit, **on)[None, :]
        moved += xp.take(points, which, axis=0)
        if copies > 1:
            copy = xp.where(t > 0, number // (2 * m) % copies, copies + 0 * t)
            moved += xp.take(xp.asarray(shaken, **on), copy, axis=0)
        return moved

    def reduce(values: np.ndarray, points: np.ndarray) -> np.ndarray:
        pairs = values[:, 1:, 0].reshape(len(values), len(noise), m, 2)
        slope = (pairs[..., 0] - pairs[..., 1]).mean(axis=1) / (2 * STEP)
        return np.stack([share @ own for own in slope])

    return Explainer(name, 1 + 2 * m * len(noise), s, ask, reduce).digested(signs, noise)
