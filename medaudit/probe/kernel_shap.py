"""KernelSHAP: Shapley values as a weighted least squares fit over coalitions.

Lundberg, Lee 2017, "A unified approach to interpreting model predictions", theorem 2; paired coalitions after Covert,
Lee 2021, "Improving KernelSHAP: practical Shapley value estimation using linear regression", section 4.2. Sizes whose
coalitions all fit the rows are enumerated, from the outside in, the rest is drawn; no term is set to zero afterwards.
The fit with its constraint (values add up to f(x) - f(background)) is one matrix for all points.
"""

from __future__ import annotations

import itertools
import math
from functools import partial

import numpy as np

from medaudit.probe.explainer import Explainer, Ground, Plans, draws, linear, masked, spread

LENT = 10  # background rows behind every coalition, from all over the reference


def kernel_shap(ground: Ground, rows: int = 0) -> Plans:
    """rows: about so many of an explanation; 0: as many coalitions as `shap` takes, 2 S + 2048."""
    lent = min(LENT, len(ground.background)) if ground.fill is None else 1
    count = max(ground.cells.size + 2, ((rows - 1 - lent) // lent) if rows else 2 * ground.cells.size + 2048)
    return partial(_plan, ground, count, lent)


def _plan(ground: Ground, count: int, lent: int, plan: int) -> Explainer:
    s = ground.cells.size
    coalitions, weight = _coalitions(ground, s, count, plan)
    masks = np.concatenate([np.zeros((1, s), dtype=bool), coalitions])
    rows = np.concatenate([np.ones((1, s), dtype=bool), np.repeat(masks, lent, axis=0)])
    background = np.append(0, np.tile(spread(ground, lent), len(masks)))
    few = fit(coalitions, weight)  # [S, 2 + coalitions]: of f(x), f(background) and every coalition
    matrix = np.concatenate([few[:, :1], np.repeat(few[:, 1:], lent, axis=1) / lent], axis=1)
    return masked("kernel-shap", ground, rows, background, linear(matrix))


def fit(coalitions: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The matrix [S, 2 + K] that makes values of f(x), f(background), f(coalition 1) ... f(coalition K).

    With v = f - f(background), A = Z' W Z and b = Z' W v: values = A^-1 (b - 1 (1' A^-1 b - v(x)) / (1' A^-1 1)).
    """
    z = coalitions.astype(np.float64)
    s = z.shape[1]
    if s == 1:
        return np.array([[1.0, -1.0]])
    inverse = np.linalg.pinv(z.T @ (weight[:, None] * z))
    free = inverse @ (z.T * weight)  # [S, K]: the fit without its constraint
    due = inverse.sum(axis=1) / inverse.sum()  # how what is left is shared out
    bound = free - due[:, None] * free.sum(axis=0)[None, :]
    ground = -bound.sum(axis=1) - due
    return np.concatenate([due[:, None], ground[:, None], bound], axis=1).reshape(s, -1)


def _coalitions(ground: Ground, s: int, count: int, plan: int) -> tuple[np.ndarray, np.ndarray]:
    """Coalitions [K, S] with their weights [K], each beside its complement."""
    if s == 1:
        return np.zeros((0, 1), dtype=bool), np.zeros(0)
    mass = {k: (s - 1) / (k * (s - k)) for k in range(1, s)}  # of all coalitions of a size
    every = sum(mass.values())
    found: list[np.ndarray] = []
    weight: list[float] = []
    left, size = count, 1
    while 2 * size <= s and left >= (both := math.comb(s, size) * (1 + (2 * size != s))):
        for chosen in itertools.combinations(range(s), size):
            own = np.zeros(s, dtype=bool)
            own[list(chosen)] = True
            for one in (own, ~own)[: 1 + (2 * size != s)]:
                found.append(one)
                weight.append((mass[size] + mass[s - size] * (2 * size != s)) / every / both)
        left, size = left - both, size + 1
    sizes = np.arange(size, s - size + 1)
    pairs = left // 2
    if not len(sizes) or not pairs:
        return np.array(found), np.array(weight)
    share = np.array([mass[int(k)] for k in sizes])
    draw = draws(ground, "kernel-shap", plan, pairs, s + 1)
    many = sizes[np.searchsorted(np.cumsum(share) / share.sum(), draw[:, 0], side="right").clip(0, len(sizes) - 1)]
    own = np.argsort(np.argsort(draw[:, 1:], axis=1), axis=1) < many[:, None]
    drawn = np.stack([own, ~own], axis=1).reshape(-1, s)
    rest = np.full(len(drawn), share.sum() / every / len(drawn))
    return np.concatenate([np.array(found, dtype=bool).reshape(-1, s), drawn]), np.concatenate([np.array(weight), rest])
