"""SignHunter: halve and halve again which numbers go up and which go down (score-based, Linf and L2).

Al-Dujaili, O'Reilly 2020, "Sign bits are all you need for black-box attacks", algorithm 2: all signs
up; then the signs of the whole, of each half, each quarter ... are turned over, one run at a time, and
stay so where the score comes closer to the goal. Deterministic. Differences: only numbers that may
change count, so that padding and frozen ones cost nothing; runs are laid over a part in its own
order (time by time, row by row).
"""

from __future__ import annotations

from typing import NamedTuple

from medaudit.core.arrays import Array, namespace, put, put_where
from medaudit.core.protocol import Lanes, Query, Search
from medaudit.core.region import LINF, Region, free, project, unit
from medaudit.search.runs import Order, order, run


class State(NamedTuple):
    t: Array  # [L] int64, absolute step
    up: Array  # [L, D] bool, the best signs
    score: Array  # [L] float32, theirs
    order: Order


def search() -> Search:
    return Search("signhunter", 1, init, ask, tell)


def init(region: Region, lanes: Lanes) -> State:
    xp = namespace(lanes.x)
    return State(
        t=xp.zeros(lanes.x.shape[0], dtype=xp.int64, device=lanes.x.device),
        up=xp.ones_like(lanes.x) > 0,
        score=xp.full(lanes.x.shape[0], xp.inf, dtype=xp.float32, device=lanes.x.device),
        order=order(lanes),
    )


def ask(region: Region, lanes: Lanes, state: State) -> Query:
    xp = namespace(lanes.x)
    up = state.up ^ run(state.order, state.t)
    lane = xp.arange(up.shape[0], dtype=xp.int64, device=up.device)
    if region.norm == LINF:
        points = xp.where(up, lanes.hi, lanes.lo)
    else:
        signs = (2 * xp.astype(up, xp.float32) - 1) * xp.astype(free(lanes), xp.float32)
        points = project(region, lanes, lane, lanes.x + region.eps * unit(region, signs) * region.scale)
    return Query(points, lane)


def tell(region: Region, lanes: Lanes, state: State, query: Query, score: Array, hit: Array) -> State:
    xp = namespace(score)
    who = query.lane
    better = score < xp.take(state.score, who)
    turned = xp.take(state.up ^ run(state.order, state.t), who, axis=0)
    return state._replace(
        t=put(state.t, who, xp.take(state.t, who) + 1),
        up=put_where(state.up, who, turned, better),
        score=put_where(state.score, who, score, better),
    )
