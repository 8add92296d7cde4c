"""Boundary attack with smoothed proposals: a random walk on the far side, inwards (labels only, L2).

Brendel, Rauber, Bethge 2018, "Decision-based adversarial attacks", algorithm 1; proposals of signals and
sequences are smoothed by a Hann window of 41 samples (Lam et al. 2020). A step (`drift`) goes sideways at
equal distance, then a little inwards; both lengths follow the share of steps that succeed. Difference: the
start is bisected to the boundary first.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from medaudit.core.arrays import Array, namespace, put
from medaudit.core.protocol import Lanes, Query, Search
from medaudit.core.region import Region
from medaudit.search.drift import drift
from medaudit.search.paths import line
from medaudit.search.starts import beyond, nearest, outcome, start

START, BISECT, DRIFT, STOP = 0, 1, 2, 3


class Settings(NamedTuple):
    """window: samples of the Hann window (1: no smoothing); sideways, inwards: first steps, relative to
    the distance; adapt: factor of their changes; tries: starts tried before giving up."""

    window: int = 41
    sideways: float = 0.2
    inwards: float = 0.05
    adapt: float = 1.2
    tries: int = 1000


class State(NamedTuple):
    t: Array  # [L] int64, address of noise
    phase: Array  # [L] int64
    far: Array  # [L, D] float32, the nearest point so far that reaches the goal
    low: Array  # [L] float32, bisection: share that failed
    high: Array  # [L] float32, share that reached the goal
    sideways: Array  # [L] float32
    inwards: Array  # [L] float32
    starts: Array  # [L] int64
    donors: Array  # [L, S] int64


def search(settings: Settings = Settings(), donors: Array | None = None, kinds: Array | None = None) -> Search:
    """donors [S, D]: clean points to start from, with their decisions kinds [S] (-1 unknown)."""
    own = (partial(init, settings, donors, kinds), partial(ask, settings, donors), partial(tell, settings))
    return beyond(Search("boundary", 1, *own, lambda state: state.phase == STOP, lambda state: state.starts))


def init(settings: Settings, donors: Array | None, kinds: Array | None, region: Region, lanes: Lanes) -> State:
    xp = namespace(lanes.x)
    zero = xp.zeros(lanes.x.shape[0], dtype=xp.int64, device=lanes.x.device)
    flat = xp.astype(zero, xp.float32)
    steps = (flat + settings.sideways, flat + settings.inwards)
    return State(zero, zero + START, lanes.x, flat, flat + 1, *steps, zero, nearest(donors, kinds, region, lanes))


def ask(settings: Settings, donors: Array | None, region: Region, lanes: Lanes, state: State) -> Query:
    xp = namespace(lanes.x)
    who = xp.arange(lanes.x.shape[0], dtype=xp.int64, device=lanes.x.device)
    share = xp.where(state.phase == BISECT, 0.5 * (state.low + state.high), state.high)
    points = line(region, lanes, who, state.far, share)
    for phase in (START, DRIFT):
        some = xp.nonzero(state.phase == phase)[0]
        if some.shape[0] and phase == START:
            points = put(points, some, start(donors, region, lanes, state.donors, state.starts, some))
        elif some.shape[0]:
            own = (state.far, state.t, state.sideways, state.inwards)
            far, t, sideways, inwards = (xp.take(a, some, axis=0) for a in own)
            points = put(points, some, drift(region, lanes, some, far, t, sideways, inwards, settings.window))
    return Query(points, who)


def tell(
    settings: Settings, region: Region, lanes: Lanes, state: State, query: Query, score: Array, hit: Array
) -> State:
    xp = namespace(score)
    none = xp.zeros_like(state.phase)
    told, won = outcome(lanes, query.lane, hit)
    points = put(state.far, query.lane, query.points)
    starts, bisects, drifts = (told & (state.phase == phase) for phase in (START, BISECT, DRIFT))
    middle = 0.5 * (state.low + state.high)
    low, high = xp.where(bisects & ~won, middle, state.low), xp.where(bisects & won, middle, state.high)
    over = bisects & (high - low <= 1e-2 * high)
    tried = state.starts + xp.astype(starts, xp.int64)
    phase = xp.where(starts & won, none + BISECT, xp.where(over, none + DRIFT, state.phase))
    phase = xp.where(starts & ~won & (tried >= settings.tries), none + STOP, phase)
    every = xp.arange(none.shape[0], dtype=xp.int64, device=none.device)
    far = xp.where(((starts | drifts) & won)[:, None], points, state.far)
    far = xp.where(over[:, None], line(region, lanes, every, far, high), far)
    # Half of the sideways steps and a quarter of the inward ones should succeed (as in the paper, section 2.4).
    up, down = settings.adapt, settings.adapt**-0.5
    turn = xp.where(drifts, xp.where(won, xp.full_like(low, up), xp.full_like(low, down)), xp.ones_like(low))
    return State(
        t=state.t + xp.astype(told, xp.int64),
        phase=phase,
        far=far,
        low=low,
        high=xp.where(over, xp.ones_like(high), high),
        sideways=xp.minimum(state.sideways * turn, xp.ones_like(turn)),
        inwards=xp.minimum(state.inwards * turn * turn, xp.full_like(turn, 0.5)),
        starts=tried,
        donors=state.donors,
    )
