"""Differential evolution in few dimensions: differences of candidates are the steps (score-based, any norm).

Storn, Price 1997, "Differential evolution", scheme DE/rand/1/bin: a candidate plus F times the
difference of two others, crossed with the parent in whose place it stands, replaces it where it scores
better. For more than about a hundred numbers it wants a subspace (`core.subspace.slow`).
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from medaudit.core import streams
from medaudit.core.arrays import Array, namespace
from medaudit.core.protocol import Lanes, Query, Search
from medaudit.core.region import Region, project
from medaudit.search.cmaes import middle, reach
from medaudit.search.pool import Pool, begin, crossed, survive

DRAW = 1


class Settings(NamedTuple):
    """rows: candidates; weight: F; cross: share of numbers taken from the mutant."""

    rows: int = 16
    weight: float = 0.6
    cross: float = 0.7


def search(settings: Settings = Settings()) -> Search:
    own = (partial(init, settings), partial(ask, settings), partial(tell, settings))
    return Search("differential", settings.rows, *own)


def init(settings: Settings, region: Region, lanes: Lanes) -> Pool:
    """Candidates anywhere in reach."""
    xp = namespace(lanes.x)
    n, d = lanes.x.shape
    zero = xp.zeros(n, dtype=xp.int64, device=lanes.x.device)
    draw = streams.uniform(lanes.key, zero, DRAW + 1, settings.rows * d)
    return begin(xp.reshape(xp.astype(2 * draw - 1, xp.float32), (n, settings.rows, d)))  # in shares of `reach`


def ask(settings: Settings, region: Region, lanes: Lanes, state: Pool) -> Query:
    """The first generation is the pool itself."""
    xp = namespace(lanes.x)
    n, rows, d = state.points.shape
    child = _children(settings, lanes, state)
    points = middle(region, lanes)[:, None, :] + child * reach(region, lanes)[:, None, :]
    lane = xp.repeat(xp.arange(n, dtype=xp.int64, device=lanes.x.device), rows)
    return Query(project(region, lanes, lane, xp.reshape(points, (n * rows, d))), lane)


def tell(settings: Settings, region: Region, lanes: Lanes, state: Pool, query: Query, score: Array, hit: Array) -> Pool:
    xp = namespace(score)
    who = query.lane[:: settings.rows]
    child = xp.take(_children(settings, lanes, state), who, axis=0)
    return survive(state, who, child, score)


def _children(settings: Settings, lanes: Lanes, state: Pool) -> Array:
    xp = namespace(state.points)
    n, rows, d = state.points.shape
    draw = streams.uniform(lanes.key, state.t, DRAW, rows * (4 + d))
    own = xp.arange(rows, dtype=xp.int64, device=draw.device)[None, :]
    others = []
    for i in range(3):  # any but the candidate itself
        step = 1 + xp.astype(xp.floor(draw[:, i * rows : (i + 1) * rows] * (rows - 1)), xp.int64)
        others.append(xp.take_along_axis(state.points, ((own + step) % rows)[:, :, None], axis=1))
    mutant = others[0] + settings.weight * (others[1] - others[2])
    mutant = xp.minimum(xp.maximum(mutant, xp.full_like(mutant, -1)), xp.ones_like(mutant))
    chance = xp.reshape(draw[:, 4 * rows :], (n, rows, d))
    return crossed(state, mutant, chance, draw[:, 3 * rows : 4 * rows], settings.cross)
