"""How a cloud of points learns which way to stretch and how far: the matrix adaptation of CMA-ES.

Beyer, Sendhoff 2017, "Simplify your covariance matrix adaptation evolution strategy" (MA-ES), algorithm 3 and
table 1: the transform M itself is learned, not the covariance M M' that would have to be decomposed, from the
normal numbers z of the best steps and from the path s of their means. Difference: M's own size goes into the
step size.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from medaudit.core.arrays import Array, namespace

RIDGE = 1e-4
LARGEST = 8.0  # no normal number is larger; more comes of a transform that is nearly singular


class Rates(NamedTuple):
    """What a generation is worth (MA-ES, table 1)."""

    weight: list[float]  # of its better half, from the best on
    mass: float  # their effective count
    path: float  # how fast the path is learned
    one: float  # and the transform from the path: rank one
    many: float  # and from the generation: rank mu


def rates(rows: int, d: int) -> Rates:
    """Of generations of `rows` points with d numbers each."""
    raw = [math.log((rows + 1) / 2) - math.log(i + 1) for i in range(rows // 2)]
    weight = [w / sum(raw) for w in raw]
    mass = 1 / sum(w * w for w in weight)
    one = 2 / ((d + 1.3) ** 2 + mass)
    many = min(1 - one, 2 * (mass + 1 / mass - 2) / ((d + 2) ** 2 + mass))
    return Rates(weight, mass, (mass + 2) / (mass + d + 5), one, many)


def whitened(transform: Array, steps: Array) -> Array:
    """The normal numbers z that transforms [P, D, D] turn into steps [P, rows, D], none above LARGEST."""
    xp = namespace(steps)
    noise = xp.matrix_transpose(xp.linalg.solve(transform, xp.matrix_transpose(steps)))
    return xp.minimum(xp.maximum(noise, xp.full_like(noise, -LARGEST)), xp.full_like(noise, LARGEST))


def adapted(
    learn: Rates, share: Array, best: Array, sigma: Array, path: Array, transform: Array
) -> tuple[Array, Array, Array]:
    """Step sizes [P], paths [P, D] and transforms [P, D, D] after a generation: the numbers of its better half
    `best` [P, mu, D], whose weights are `share` [1, mu, 1]."""
    xp = namespace(best)
    d = best.shape[2]
    ahead = xp.sum(share * best, axis=1)
    path = (1 - learn.path) * path + math.sqrt(learn.mass * learn.path * (2 - learn.path)) * ahead
    # M (I + c1 / 2 (s s' - I) + cw / 2 (sum of w z z' - I)), the identity's parts taken together.
    change = 0.5 * learn.one * path[:, :, None] * path[:, None, :]
    change = change + 0.5 * learn.many * xp.matmul(xp.matrix_transpose(share * best), best)
    grown = (1 - 0.5 * (learn.one + learn.many)) * transform + xp.matmul(transform, change)
    wide = xp.sum(path * path, axis=1) / d - 1
    sigma = sigma * xp.exp(xp.minimum(0.5 * learn.path * wide, xp.ones_like(wide)))
    # The transform's own size goes into sigma; a little of the identity keeps it from becoming singular.
    large = xp.sqrt(xp.mean(xp.sum(grown * grown, axis=2), axis=1))
    sigma = xp.maximum(xp.minimum(sigma * large, xp.full_like(sigma, 2)), xp.full_like(sigma, 1e-9))
    return sigma, path, grown / large[:, None, None] + RIDGE * xp.eye(d, dtype=xp.float32, device=best.device)
