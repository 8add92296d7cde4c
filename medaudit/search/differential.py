"""Differential evolution in few dimensions: differences of candidates are the steps (score-based, any norm).

Storn, Price 1997, "Differential evolution", scheme DE/rand/1/bin: a candidate plus F times the
difference of two others, crossed with the parent in whose place it stands, replaces it where it scores
better. For more than about a hundred numbers it wants a subspace (`core.subspace.slow`).
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from medaudit.core import streams
from medaudit.core.arrays import Array, namespace, put
from medaudit.core.protocol import Lanes, Query, Search
from medaudit.core.region import Region, project
from medaudit.search.cmaes import reach

DRAW = 1


class Settings(NamedTuple):
    """rows: candidates; weight: F; cross: share of numbers taken from the mutant."""

    rows: int = 16
    weight: float = 0.6
    cross: float = 0.7


class State(NamedTuple):
    t: Array  # [L] int64, generation
    pool: Array  # [L, R, D] float32, in shares of `reach`, 0 at the clean point
    score: Array  # [L, R] float32


def search(settings: Settings = Settings()) -> Search:
    own = (partial(init, settings), partial(ask, settings), partial(tell, settings))
    return Search("differential", settings.rows, *own)


def init(settings: Settings, region: Region, lanes: Lanes) -> State:
    """Candidates anywhere in reach."""
    xp = namespace(lanes.x)
    n, d = lanes.x.shape
    zero = xp.zeros(n, dtype=xp.int64, device=lanes.x.device)
    draw = streams.uniform(lanes.key, zero, DRAW + 1, settings.rows * d)
    pool = xp.reshape(xp.astype(2 * draw - 1, xp.float32), (n, settings.rows, d))
    return State(zero, pool, xp.full((n, settings.rows), xp.inf, dtype=xp.float32, device=lanes.x.device))


def ask(settings: Settings, region: Region, lanes: Lanes, state: State) -> Query:
    """The first generation is the pool itself."""
    xp = namespace(lanes.x)
    n, rows, d = state.pool.shape
    child = _children(settings, lanes, state)
    points = lanes.x[:, None, :] + child * reach(region, lanes)[:, None, :]
    lane = xp.repeat(xp.arange(n, dtype=xp.int64, device=lanes.x.device), rows)
    return Query(project(region, lanes, lane, xp.reshape(points, (n * rows, d))), lane)


def tell(
    settings: Settings, region: Region, lanes: Lanes, state: State, query: Query, score: Array, hit: Array
) -> State:
    xp = namespace(score)
    who = query.lane[:: settings.rows]
    score = xp.reshape(score, (-1, settings.rows))
    child = xp.take(_children(settings, lanes, state), who, axis=0)
    old = xp.take(state.score, who, axis=0)
    better = score < old
    pool = xp.where(better[:, :, None], child, xp.take(state.pool, who, axis=0))
    return State(
        t=put(state.t, who, xp.take(state.t, who) + 1),
        pool=put(state.pool, who, pool),
        score=put(state.score, who, xp.where(better, score, old)),
    )


def _children(settings: Settings, lanes: Lanes, state: State) -> Array:
    xp = namespace(state.pool)
    n, rows, d = state.pool.shape
    draw = streams.uniform(lanes.key, state.t, DRAW, rows * (4 + d))
    own = xp.arange(rows, dtype=xp.int64, device=draw.device)[None, :]
    others = []
    for i in range(3):  # any but the candidate itself
        step = 1 + xp.astype(xp.floor(draw[:, i * rows : (i + 1) * rows] * (rows - 1)), xp.int64)
        others.append(xp.take_along_axis(state.pool, ((own + step) % rows)[:, :, None], axis=1))
    mutant = others[0] + settings.weight * (others[1] - others[2])
    mutant = xp.minimum(xp.maximum(mutant, xp.full_like(mutant, -1)), xp.ones_like(mutant))
    taken = xp.reshape(draw[:, 4 * rows :], (n, rows, d)) < settings.cross
    place = xp.arange(d, dtype=xp.int64, device=draw.device)
    sure = xp.astype(xp.floor(draw[:, 3 * rows : 4 * rows] * d), xp.int64)  # one number surely
    taken = taken | (place[None, None, :] == sure[:, :, None])
    child = xp.where(taken, mutant, state.pool)
    return xp.where((state.t == 0)[:, None, None], state.pool, child)
