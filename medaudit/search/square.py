"""Square: random search over windows at the corners of the box (score-based, Linf, L2 and L1).

Andriushchenko, Croce, Flammarion, Hein 2020, "Square Attack", algorithms 1 and 2; the moves of L2
and L1 are in `square_mass`. Differences from the paper: the window's share of the input is a power
of the absolute step instead of a table over the budget, so that a run is a prefix of a longer one;
positions and signs are drawn per lane; missing and fixed numbers do not count towards the window's
area; stripes over the whole input are drawn until some are better than the clean point (ten at most), for the
first may end where all answers are alike.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from medaudit.core.arrays import Array, namespace, overwrite, put, put_where
from medaudit.core.protocol import Lanes, Query, Search
from medaudit.core.region import LINF, Region, free
from medaudit.search.relay import go_on
from medaudit.search.square_mass import move_mass
from medaudit.search.windows import Draw, flat, join

WINDOW, AWAY = 1, 2
STRIPES = 10  # first steps, at most: where no stripes help, windows may


class Settings(NamedTuple):
    """share: part of the input a first window covers; decay, knee: share * (1 + t/knee)^-decay."""

    share: float = 0.1
    decay: float = 0.7
    knee: float = 8.0


class State(NamedTuple):
    t: Array  # [L] int64, absolute step
    best: Array  # [L, D] float32
    score: Array  # [L] float32
    free: Array  # [L] float32, share of numbers that may change


def search(settings: Settings = Settings()) -> Search:
    return Search("square", 1, init, partial(ask, settings), tell, adopt=go_on)


def init(region: Region, lanes: Lanes) -> State:
    xp = namespace(lanes.x)
    n = lanes.x.shape[0]
    on = {"device": lanes.x.device}
    return State(
        t=xp.zeros(n, dtype=xp.int64, **on),
        best=lanes.x,
        score=xp.full(n, xp.inf, dtype=xp.float32, **on) if lanes.score is None else lanes.score,
        free=xp.maximum(
            xp.mean(xp.astype(free(lanes), xp.float32), axis=1),
            xp.asarray(1e-6, dtype=xp.float32, **on),
        ),
    )


def ask(settings: Settings, region: Region, lanes: Lanes, state: State) -> Query:
    xp = namespace(lanes.x)
    share = settings.share * (1 + xp.astype(state.t, xp.float64) / settings.knee) ** -settings.decay
    share = xp.minimum(share / state.free, 1.0)
    first = state.t == 0
    if lanes.score is not None:  # as long as nothing was better than the clean point
        first = first | ((state.score == lanes.score) & (state.t < STRIPES))
    plan = Draw(xp, region.parts, lanes.key, state.t, WINDOW)
    begin = first if bool(xp.any(first)) else None
    if region.norm == LINF:
        points = _corners(region, lanes, state, plan, share, begin)
    else:
        other = Draw(xp, region.parts, lanes.key, state.t, AWAY)
        up, down, away = _masks(region, plan, other, share, begin)
        points = move_mass(region, lanes, state.best, up, down, away)
    return Query(points, xp.arange(points.shape[0], dtype=xp.int64, device=points.device))


def _corners(region: Region, lanes: Lanes, state: State, plan: Draw, share: Array, first: Array | None) -> Array:
    """The best point of each lane, with a window of it at corners of the box, [L, D]."""
    xp = namespace(lanes.x)
    cells = [plan.cells(i, share, first) for i in range(len(region.parts))]
    places, up = (join(xp, list(column), 0) for column in zip(*cells, strict=True))
    high, low = (xp.take(xp.reshape(side, (-1,)), places) for side in (lanes.hi, lanes.lo))
    return overwrite(state.best, places, xp.where(up, high, low))


def _masks(region: Region, plan: Draw, other: Draw, share: Array, first: Array | None) -> tuple[Array, Array, Array]:
    """What goes up, what goes down, and the other window, each [L, D] bool."""
    xp = plan.xp
    masks: tuple[list[Array], ...] = ([], [], [])
    for i, part in enumerate(region.parts):
        window, up = plan.window(i, share, first), plan.signs(i, first)
        for mask, own in zip(masks, (window & up, window & ~up, other.window(i, share, None)), strict=True):
            mask.append(flat(xp, part, own))
    up, down, away = (join(xp, mask) for mask in masks)
    return up, down, away


def tell(region: Region, lanes: Lanes, state: State, query: Query, score: Array, hit: Array) -> State:
    xp = namespace(score)
    before = xp.take(state.score, query.lane)
    better = score < before
    return State(
        t=put(state.t, query.lane, xp.take(state.t, query.lane) + 1),
        best=put_where(state.best, query.lane, query.points, better),
        score=put_where(state.score, query.lane, score, better),
        free=state.free,
    )
