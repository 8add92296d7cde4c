"""SimBA: one number (or one coefficient) at a time, up or else down (score-based, Linf and L2).

Guo, Gardner, You, Wilson, Weinberger 2019, "Simple black-box adversarial attacks", algorithm 1: in
random order each direction is tried upwards, then downwards, and kept where the score comes closer
to the goal. In a subspace of slow cosines this is SimBA-DCT (section 3.3). Differences: in Linf a
step goes to the edge of the box; after the last direction a new round begins in the same order.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from medaudit.core import streams
from medaudit.core.arrays import Array, namespace, put, put_where
from medaudit.core.protocol import Lanes, Query, Search
from medaudit.core.region import LINF, Region, free, project
from medaudit.search.relay import go_on

ORDER = 1


class Settings(NamedTuple):
    """step: length of a step in L2, as a share of eps."""

    step: float = 0.2


class State(NamedTuple):
    t: Array  # [L] int64, absolute step
    turn: Array  # [L] int64, 2 * place in the order + (0: up, 1: down)
    best: Array  # [L, D] float32
    score: Array  # [L] float32
    order: Array  # [L, D] int32, numbers that may change come first
    count: Array  # [L] int64, how many may


def search(settings: Settings = Settings()) -> Search:
    return Search("simba", 1, init, partial(ask, settings), tell, adopt=go_on)


def init(region: Region, lanes: Lanes) -> State:
    xp = namespace(lanes.x)
    zero = xp.zeros(lanes.x.shape[0], dtype=xp.int64, device=lanes.x.device)
    movable = free(lanes)
    draw = streams.uniform(lanes.key, zero, ORDER, lanes.x.shape[1])
    return State(
        t=zero,
        turn=zero,
        best=lanes.x,
        score=xp.full(zero.shape[0], xp.inf, dtype=xp.float32, device=lanes.x.device),
        order=xp.astype(xp.argsort(xp.where(movable, draw, draw + 1), axis=1, stable=True), xp.int32),
        count=xp.sum(xp.astype(movable, xp.int64), axis=1),
    )


def ask(settings: Settings, region: Region, lanes: Lanes, state: State) -> Query:
    """Step 0 asks the clean point, to know what is better."""
    xp = namespace(lanes.x)
    lane = xp.arange(lanes.x.shape[0], dtype=xp.int64, device=lanes.x.device)
    place = (state.turn // 2) % xp.maximum(state.count, xp.ones_like(state.count))
    number = xp.take_along_axis(state.order, place[:, None], axis=1)
    up = (state.turn % 2 == 0)[:, None]
    if region.norm == LINF:
        value = xp.where(up, *(xp.take_along_axis(bound, number, axis=1) for bound in (lanes.hi, lanes.lo)))
    else:
        step = settings.step * region.eps * xp.take(region.scale, number[:, 0])[:, None]
        old = xp.take_along_axis(state.best, number, axis=1)
        value = xp.where(up, old + step, old - step)
    here = xp.arange(lanes.x.shape[1], dtype=number.dtype, device=number.device)[None, :] == number
    here = here & (state.t > 0)[:, None]
    points = xp.where(here, xp.astype(value, xp.float32), state.best)
    return Query(points if region.norm == LINF else project(region, lanes, lane, points), lane)


def tell(region: Region, lanes: Lanes, state: State, query: Query, score: Array, hit: Array) -> State:
    xp = namespace(score)
    who = query.lane
    better = score < xp.take(state.score, who)
    t, turn = xp.take(state.t, who), xp.take(state.turn, who)
    # On: the next number, after an improvement or both ways; the other way after a first failure.
    after = xp.where(better, turn + 2 - turn % 2, turn + 1)
    return state._replace(
        t=put(state.t, who, t + 1),
        turn=put(state.turn, who, xp.where(t > 0, after, turn)),
        best=put_where(state.best, who, query.points, better),
        score=put_where(state.score, who, score, better),
    )
