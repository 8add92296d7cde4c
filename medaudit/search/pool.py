"""A pool of candidates a lane, in which a child takes its parent's place where it scores better."""

from __future__ import annotations

from typing import NamedTuple

from medaudit.core.arrays import Array, namespace, put


class Pool(NamedTuple):
    t: Array  # [L] int64, generation
    points: Array  # [L, R, D] float32, in whatever numbers the search breeds
    score: Array  # [L, R] float32


def begin(points: Array) -> Pool:
    """A pool [L, R, D] that nobody has scored yet."""
    xp, on = namespace(points), {"device": points.device}
    n, rows = points.shape[:2]
    return Pool(xp.zeros(n, dtype=xp.int64, **on), points, xp.full((n, rows), xp.inf, dtype=xp.float32, **on))


def survive(pool: Pool, who: Array, child: Array, score: Array) -> Pool:
    """The next generation of lanes `who` [P], of children [P, R, D] with scores [P * R]."""
    xp = namespace(score)
    old = xp.take(pool.score, who, axis=0)
    score = xp.reshape(score, old.shape)
    better = score < old
    points = xp.where(better[:, :, None], child, xp.take(pool.points, who, axis=0))
    return Pool(
        t=put(pool.t, who, xp.take(pool.t, who) + 1),
        points=put(pool.points, who, points),
        score=put(pool.score, who, xp.where(better, score, old)),
    )


def crossed(pool: Pool, mutant: Array, chance: Array, sure: Array, share: float) -> Array:
    """Children [L, R, D]: a share of each mutant's numbers, one of them surely, the others the parent's own.

    chance [L, R, D], sure [L, R]: numbers from 0 to 1. The first generation is the pool itself.
    """
    xp, d = namespace(mutant), mutant.shape[2]
    place = xp.arange(d, dtype=xp.int64, device=mutant.device)
    one = xp.astype(xp.floor(sure * d), xp.int64)
    taken = (chance < share) | (place[None, None, :] == one[:, :, None])
    return xp.where((pool.t == 0)[:, None, None], pool.points, xp.where(taken, mutant, pool.points))
