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
