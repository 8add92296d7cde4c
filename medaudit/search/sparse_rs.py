"""Sparse-RS: a few places at a time go to the corners of what is legal (score-based, L0).

Croce, Andriushchenko, Singh, Flammarion, Hein 2022, "Sparse-RS", algorithm 1: eps places (pixels with
all their planes, samples of a signal, cells of a sequence) hold random corners; a share of them, smaller
with every step, moves to other places with fresh corners, and stays there where the score comes closer
to the goal. The share is a power of the absolute step instead of a table over the budget.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from medaudit.core import streams
from medaudit.core.arrays import Array, namespace, put, put_where, ranks
from medaudit.core.protocol import Lanes, Query, Search
from medaudit.core.region import Region
from medaudit.search.places import at, changeable, members

DRAW = 1


class Settings(NamedTuple):
    """share: of the places that move at once, at first; knee: steps after which it begins to fall."""

    share: float = 0.5
    knee: float = 30.0


class State(NamedTuple):
    t: Array  # [L] int64
    place: Array  # [L, K] int64, the places, as their turn in `order`
    high: Array  # [L, K, P] bool, each plane's corner
    score: Array  # [L] float32
    order: Array  # [L, S] int32, places that may change come first
    count: Array  # [L] int64, how many may


def search(settings: Settings = Settings()) -> Search:
    return Search("sparse-rs", 1, init, partial(ask, settings), partial(tell, settings))


def init(region: Region, lanes: Lanes) -> State:
    xp = namespace(lanes.x)
    n, on = lanes.x.shape[0], {"device": lanes.x.device}
    usable = changeable(region, lanes)
    planes = members(region.parts).shape[1]
    kept = min(max(1, int(region.eps)), usable.shape[1])
    zero = xp.zeros(n, dtype=xp.int64, **on)
    return State(
        t=zero,
        place=xp.zeros((n, kept), dtype=xp.int64, **on),
        high=xp.zeros((n, kept, planes), dtype=xp.bool, **on),
        score=xp.full(n, xp.inf, dtype=xp.float32, **on),
        order=xp.astype(xp.argsort(xp.astype(~usable, xp.int32), axis=1, stable=True), xp.int32),
        count=xp.sum(xp.astype(usable, xp.int64), axis=1),
    )


def ask(settings: Settings, region: Region, lanes: Lanes, state: State) -> Query:
    xp = namespace(lanes.x)
    place, high = _moved(settings, lanes, state)
    index = xp.asarray(members(region.parts), device=lanes.x.device)
    chosen = xp.take_along_axis(xp.astype(state.order, xp.int64), place, axis=1)  # [L, K]
    points = xp.asarray(lanes.x, copy=True)
    lane = xp.arange(points.shape[0], dtype=xp.int64, device=points.device)
    for k in range(chosen.shape[1]):
        for j in range(index.shape[1]):
            column = xp.take(index[:, j], chosen[:, k])
            corner = xp.where(high[:, k, j], *(at(bound, column) for bound in (lanes.hi, lanes.lo)))
            points = _written(points, lane, column, corner)
    return Query(points, lane)


def tell(
    settings: Settings, region: Region, lanes: Lanes, state: State, query: Query, score: Array, hit: Array
) -> State:
    xp = namespace(score)
    who = query.lane
    better = score < xp.take(state.score, who)
    place, high = (xp.take(a, who, axis=0) for a in _moved(settings, lanes, state))
    return state._replace(
        t=put(state.t, who, xp.take(state.t, who) + 1),
        place=put_where(state.place, who, place, better),
        high=put_where(state.high, who, high, better),
        score=put_where(state.score, who, score, better),
    )


def _moved(settings: Settings, lanes: Lanes, state: State) -> tuple[Array, Array]:
    """Places and corners of step t: all fresh at first, then a share of them."""
    xp = namespace(state.t)
    n, k, planes = state.high.shape
    draw = streams.uniform(lanes.key, state.t, DRAW, k * (2 + planes))
    share = settings.share / xp.sqrt(1 + xp.astype(state.t, xp.float64) / settings.knee)
    # The places with the smallest draws move, at least one of them.
    rank = ranks(draw[:, :k])
    moves = (rank < xp.astype(xp.ceil(share * k), rank.dtype)[:, None]) | (state.t == 0)[:, None]
    count = xp.astype(xp.maximum(state.count, xp.ones_like(state.count)), xp.float64)
    fresh = xp.astype(xp.floor(draw[:, k : 2 * k] * count[:, None]), xp.int64)
    corner = xp.reshape(draw[:, 2 * k :] < 0.5, (n, k, planes))
    return xp.where(moves, fresh, state.place), xp.where(moves[:, :, None], corner, state.high)


def _written(points: Array, lane: Array, column: Array, fresh: Array) -> Array:
    """points [L, D] with number `column` [L] of each lane set; written in place where that is allowed."""
    if isinstance(points, np.ndarray):
        points[lane, column] = fresh
        return points
    xp = namespace(points)
    here = xp.arange(points.shape[1], dtype=column.dtype, device=points.device)[None, :] == column[:, None]
    return xp.where(here, fresh[:, None], points)
