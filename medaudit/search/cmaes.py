"""CMA-ES in few dimensions: a cloud of points that learns which way to stretch (score-based, any norm).

Hansen, Ostermeier 2001, in the form of Beyer, Sendhoff 2017, "Simplify your covariance matrix
adaptation evolution strategy" (MA-ES, algorithm 3), which learns the transform itself (`adaptation`). One
lane has its own mean, step and transform. For more than about a hundred numbers it wants a subspace
(`core.subspace.slow`).
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

from medaudit.core import streams
from medaudit.core.arrays import Array, namespace, put
from medaudit.core.protocol import Lanes, Query, Search
from medaudit.core.region import LINF, Region, free, project
from medaudit.search.adaptation import adapted, rates, whitened

NOISE = 1


class Settings(NamedTuple):
    """spread: first standard deviation, as a share of what a number may move; rows: of a generation."""

    spread: float = 0.5
    rows: int = 16


class State(NamedTuple):
    t: Array  # [L] int64, generation
    mean: Array  # [L, D] float32, in shares of `reach` around `middle`
    sigma: Array  # [L] float32
    path: Array  # [L, D] float32, evolution path
    transform: Array  # [L, D, D] float32


def search(settings: Settings = Settings()) -> Search:
    return Search("cmaes", settings.rows, partial(init, settings), partial(ask, settings), partial(tell, settings))


def init(settings: Settings, region: Region, lanes: Lanes) -> State:
    xp = namespace(lanes.x)
    n, d = lanes.x.shape
    on = {"device": lanes.x.device}
    zero = xp.zeros(n, dtype=xp.int64, **on)
    one = xp.broadcast_to(xp.eye(d, dtype=xp.float32, **on)[None, :, :], (n, d, d))
    none = xp.zeros_like(lanes.x)
    span = reach(region, lanes)
    begin = xp.where(span > 0, (lanes.x - middle(region, lanes)) / xp.where(span > 0, span, none + 1), none)
    spread = settings.spread if region.norm == LINF else 2 * settings.spread / math.sqrt(d)  # of a length in all
    return State(zero, begin, xp.astype(zero, xp.float32) + spread, none, xp.asarray(one, copy=True))


def ask(settings: Settings, region: Region, lanes: Lanes, state: State) -> Query:
    xp = namespace(lanes.x)
    n, d = lanes.x.shape
    noise = _noise(settings, lanes, state.t)
    steps = xp.matmul(noise, xp.matrix_transpose(state.transform))
    moved = state.mean[:, None, :] + state.sigma[:, None, None] * steps
    points = middle(region, lanes)[:, None, :] + moved * reach(region, lanes)[:, None, :]
    lane = xp.repeat(xp.arange(n, dtype=xp.int64, device=lanes.x.device), settings.rows)
    return Query(project(region, lanes, lane, xp.reshape(points, (n * settings.rows, d))), lane)


def tell(
    settings: Settings, region: Region, lanes: Lanes, state: State, query: Query, score: Array, hit: Array
) -> State:
    xp = namespace(score)
    who = query.lane[:: settings.rows]
    learn = rates(settings.rows, lanes.x.shape[1])
    order = xp.argsort(xp.reshape(score, (-1, settings.rows)), axis=1, stable=True)[:, : len(learn.weight)]
    sigma, path, transform = (xp.take(a, who, axis=0) for a in (state.sigma, state.path, state.transform))
    # Learn from the steps that were asked, which box and ball may have cut short, not from those that were drawn.
    asked = _shares(settings, region, lanes, query.points, who)
    steps = (asked - xp.take(state.mean, who, axis=0)[:, None, :]) / sigma[:, None, None]
    noise = whitened(transform, steps)
    best, kept = (xp.take_along_axis(a, order[:, :, None], axis=1) for a in (noise, asked))  # [P, mu, D]
    share = xp.asarray(learn.weight, dtype=xp.float32, device=score.device)[None, :, None]
    sigma, path, transform = adapted(learn, share, best, sigma, path, transform)
    return State(
        t=put(state.t, who, xp.take(state.t, who) + 1),
        mean=put(state.mean, who, xp.sum(share * kept, axis=1)),
        sigma=put(state.sigma, who, sigma),
        path=put(state.path, who, path),
        transform=put(state.transform, who, transform),
    )


def _noise(settings: Settings, lanes: Lanes, t: Array) -> Array:
    """Standard normal numbers [L, rows, D]."""
    d = lanes.x.shape[1]
    return namespace(lanes.x).reshape(streams.normal(lanes.key, t, NOISE, settings.rows * d), (-1, settings.rows, d))


def _shares(settings: Settings, region: Region, lanes: Lanes, points: Array, who: Array) -> Array:
    """Points [P * rows, D] as shares of `reach` around `middle`, [P, rows, D]."""
    xp = namespace(points)
    span, centre = (xp.take(a, who, axis=0)[:, None, :] for a in (reach(region, lanes), middle(region, lanes)))
    away = xp.reshape(points, (-1, settings.rows, points.shape[1])) - centre
    return xp.where(span > 0, away / xp.where(span > 0, span, xp.ones_like(span)), xp.zeros_like(away))


def reach(region: Region, lanes: Lanes) -> Array:
    """[L, D]: how far a number may move from `middle`, alone."""
    xp = namespace(lanes.x)
    movable = xp.astype(free(lanes), xp.float32)
    if region.norm == LINF:
        return 0.5 * (lanes.hi - lanes.lo)
    return region.eps * region.scale * movable


def middle(region: Region, lanes: Lanes) -> Array:
    """[L, D]: the middle of the box in Linf, else the clean point."""
    return 0.5 * (lanes.lo + lanes.hi) if region.norm == LINF else lanes.x
