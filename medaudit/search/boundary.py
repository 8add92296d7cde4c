"""Boundary attack with smoothed proposals: a random walk on the far side, inwards (labels only, L2).

Brendel, Rauber, Bethge 2018, "Decision-based adversarial attacks", algorithm 1; proposals of signals and
sequences are smoothed along time by a Hann window of 41 samples (Lam et al. 2020), so that changes stay
free of sharp edges. A step goes sideways at equal distance, then a little inwards; both lengths follow
the share of steps that succeed. Difference: the start is bisected to the boundary first.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from medaudit.core import streams
from medaudit.core.arrays import Array, namespace, put
from medaudit.core.protocol import Lanes, Query, Search
from medaudit.core.region import Part, Region, clip, snap
from medaudit.search.paths import line
from medaudit.search.starts import beyond, nearest, outcome, start

START, BISECT, DRIFT, STOP = 0, 1, 2, 3
NOISE = 2


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
            points = put(points, some, _drift(settings, region, lanes, state, some))
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


def _drift(settings: Settings, region: Region, lanes: Lanes, state: State, who: Array) -> Array:
    xp = namespace(lanes.x)
    x, far = xp.take(lanes.x, who, axis=0), xp.take(state.far, who, axis=0)
    delta = (far - x) / region.scale
    wide = xp.sqrt(xp.sum(delta * delta, axis=1))[:, None]
    key, t = xp.take(lanes.key, who), xp.take(state.t, who)
    words = streams.bits(key, t, NOISE, streams.word_count(x.shape[1]))
    noise = 2 * xp.astype(streams.coins(words, x.shape[1]), xp.float32) - 1
    noise = _smoothed(region.parts, noise, settings.window)
    tiny = xp.full_like(wide, 1e-30)
    noise = noise - delta * (xp.sum(noise * delta, axis=1)[:, None] / xp.maximum(wide * wide, tiny))
    length = xp.sqrt(xp.sum(noise * noise, axis=1))[:, None]
    aside = delta + noise * (xp.take(state.sideways, who)[:, None] * wide / xp.maximum(length, tiny))
    again = xp.sqrt(xp.sum(aside * aside, axis=1))[:, None]
    inward = wide * (1 - xp.take(state.inwards, who)[:, None])
    points = clip(lanes, who, x + aside * (inward / xp.maximum(again, tiny)) * region.scale)
    return points if region.step is None else clip(lanes, who, snap(region, points))


def _smoothed(parts: tuple[Part, ...], noise: Array, window: int) -> Array:
    """Noise [P, D] convolved along the columns of signals and sequences with a Hann window."""
    xp = namespace(noise)
    out, begin = [], 0
    for part in parts:
        own = noise[:, begin : begin + part.size]
        begin += part.size
        wide = min(window, part.columns) // 2
        if part.domain not in ("signal", "sequence") or wide == 0:
            out.append(own)
            continue
        grid = xp.reshape(own, (own.shape[0], part.planes * part.rows, part.columns))
        edge = xp.zeros((*grid.shape[:2], wide), dtype=grid.dtype, device=grid.device)
        padded = xp.concat([edge, grid, edge], axis=2)
        weights = xp.asarray(_hann(wide), device=noise.device)
        total = xp.zeros_like(grid)
        for k in range(2 * wide + 1):
            total += weights[k] * padded[:, :, k : k + part.columns]
        out.append(xp.reshape(total, own.shape))
    return out[0] if len(out) == 1 else xp.concat(out, axis=1)


def _hann(wide: int) -> np.ndarray:

    return np.hanning(2 * wide + 3)[1:-1].astype(np.float32)
