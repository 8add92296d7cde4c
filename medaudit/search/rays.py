"""RayS: turn over the signs of runs of a direction where that brings the boundary nearer (labels only, Linf).

Chen, Gu 2020, "RayS: a ray searching method for hard-label adversarial attack", algorithms 1 to 3: a
direction has one sign a number; with the signs of one run turned over (the whole, its halves, its
quarters ...) one row at the present radius tells whether the new direction is better, and only then its
own radius is bisected. Difference: the first direction leads to a clean record of another decision
where one is known, clipped to the radius, so that a start is never in doubt; its numbers become signs
when their run is turned, and all of them once every run had its turn.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from medaudit.core.arrays import Array, namespace, put
from medaudit.core.protocol import Lanes, Query, Search
from medaudit.core.region import Region, size
from medaudit.search.paths import line
from medaudit.search.runs import Order, order, run, turns
from medaudit.search.starts import beyond, nearest, outcome, start

START, BISECT, TURN, STOP = 0, 1, 2, 3


class Settings(NamedTuple):
    """tolerance: of a bisection, relative to the radius; tries: starts tried before giving up."""

    tolerance: float = 1e-3
    tries: int = 1000


class State(NamedTuple):
    phase: Array  # [L] int64
    far: Array  # [L, D] float32, the direction: clipped to radius `high` it reaches the goal
    low: Array  # [L] float32, radius that failed
    high: Array  # [L] float32, radius that reached the goal
    turn: Array  # [L] int64, runs turned over so far
    starts: Array  # [L] int64, rows asked to find a start
    donors: Array  # [L, S] int64, from near to far; -1: none
    order: Order


def search(settings: Settings = Settings(), donors: Array | None = None, kinds: Array | None = None) -> Search:
    """donors [S, D]: clean points to start from, with their decisions kinds [S] (-1 unknown)."""
    return beyond(
        Search(
            "rays", 1, partial(init, donors, kinds), partial(ask, donors), partial(tell, settings),
            lambda state: state.phase == STOP, lambda state: state.starts,
        )
    )  # fmt: skip


def init(donors: Array | None, kinds: Array | None, region: Region, lanes: Lanes) -> State:
    xp = namespace(lanes.x)
    zero = xp.zeros(lanes.x.shape[0], dtype=xp.int64, device=lanes.x.device)
    flat = xp.astype(zero, xp.float32)
    near = nearest(donors, kinds, region, lanes)
    return State(zero + START, lanes.x, flat, flat, zero + 1, zero, near, order(lanes))


def ask(donors: Array | None, region: Region, lanes: Lanes, state: State) -> Query:
    xp = namespace(lanes.x)
    who = xp.arange(lanes.x.shape[0], dtype=xp.int64, device=lanes.x.device)
    turning, bisecting = state.phase == TURN, state.phase == BISECT
    radius = xp.where(bisecting, 0.5 * (state.low + state.high), state.high)
    far = xp.where(turning[:, None], _turned(lanes, state), state.far)
    points = line(region, lanes, who, far, radius)
    fresh = xp.nonzero(state.phase == START)[0]
    if fresh.shape[0]:
        points = put(points, fresh, start(donors, region, lanes, state.donors, state.starts, fresh))
    return Query(points, who)


def tell(
    settings: Settings, region: Region, lanes: Lanes, state: State, query: Query, score: Array, hit: Array
) -> State:
    xp = namespace(score)
    none = xp.zeros_like(state.phase)
    told, won = outcome(lanes, query.lane, hit)
    points = put(lanes.x, query.lane, query.points)
    radius = put(state.high, query.lane, size(region, lanes, query.lane, query.points))
    starts, bisects, turns = (told & (state.phase == phase) for phase in (START, BISECT, TURN))

    begins = (starts | turns) & won
    middle = 0.5 * (state.low + state.high)
    low = xp.where(bisects & ~won, middle, xp.where(begins, xp.zeros_like(middle), state.low))
    high = xp.where(bisects & won, middle, xp.where(starts & won, radius, state.high))
    over = bisects & (high - low <= settings.tolerance * high)
    phase = xp.where(begins, none + BISECT, xp.where(over, none + TURN, state.phase))
    tried = state.starts + xp.astype(starts, xp.int64)
    phase = xp.where(starts & ~won & (tried >= settings.tries), none + STOP, phase)
    far = xp.where((starts & won)[:, None], points, state.far)
    far = xp.where((turns & won)[:, None], _turned(lanes, state), far)
    turn = state.turn + xp.astype(turns, xp.int64)
    return state._replace(phase=phase, far=far, low=low, high=high, turn=turn, starts=tried)


def _turned(lanes: Lanes, state: State) -> Array:
    """The direction with one run's signs turned over: to the other end of the box."""
    xp = namespace(lanes.x)
    up = (state.far > lanes.x) | ((state.far == lanes.x) & (lanes.lo < lanes.x))
    here = run(state.order, state.turn)
    first = xp.where(here, xp.where(up, lanes.lo, lanes.hi), state.far)
    # Once every run had its turn, no number keeps the part of a move that its start happened to have.
    again = xp.where(up ^ here, lanes.hi, lanes.lo)
    return xp.where((state.turn > turns(state.order))[:, None], again, first)
