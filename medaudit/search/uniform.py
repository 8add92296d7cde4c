"""Random proposals of full size, one after another: what chance alone finds (any norm).

The control of every attack: Linf signs at random, L2 and L1 a random direction of length eps, L0 random
numbers at random legal values, a patch random cells at a random place, an injected signal random numbers at a random
moment. Nothing is learned from the answers.
"""

from __future__ import annotations

from typing import NamedTuple

from medaudit.core import streams
from medaudit.core.arrays import Array, namespace, put, ranks
from medaudit.core.canvas import random_canvas
from medaudit.core.injection import inject, signal_region
from medaudit.core.patches import anywhere, place
from medaudit.core.protocol import Lanes, Query, Search
from medaudit.core.region import INJECTED, L0, LINF, PATCH, Region, free, project, snap, unit

NOISE, PLACE = 1, 101


class State(NamedTuple):
    t: Array  # [L] int64


def search() -> Search:
    return Search("uniform", 1, init, ask, tell)


def init(region: Region, lanes: Lanes) -> State:
    xp = namespace(lanes.x)
    return State(xp.zeros(lanes.x.shape[0], dtype=xp.int64, device=lanes.x.device))


def ask(region: Region, lanes: Lanes, state: State) -> Query:
    xp = namespace(lanes.x)
    n, d = lanes.x.shape
    lane = xp.arange(n, dtype=xp.int64, device=lanes.x.device)
    movable = free(lanes)
    if region.norm == LINF:
        words = streams.bits(lanes.key, state.t, NOISE, streams.word_count(d))
        return Query(xp.where(streams.coins(words, d), lanes.hi, lanes.lo), lane)
    if region.norm == PATCH:
        shares = random_canvas(region, lanes.key, state.t, NOISE)
        return Query(place(region, lanes, lane, shares, anywhere(region, lanes, lane, state.t, PLACE)), lane)
    if region.norm == INJECTED:
        scale = signal_region(region).scale
        noise = streams.normal(lanes.key, state.t, NOISE, scale.shape[0]) * scale
        return Query(inject(region, lanes, lane, noise, state.t, heard=True), lane)
    if region.norm == L0:
        draw = streams.uniform(lanes.key, state.t, NOISE, 2 * d)
        one, two = draw[:, :d], draw[:, d:]
        rank = ranks(xp.where(movable, one, one + 1))
        points = xp.astype(lanes.lo + (lanes.hi - lanes.lo) * two, xp.float32)
        points = xp.where((rank < int(region.eps)) & movable, snap(region, points), lanes.x)
        return Query(xp.minimum(xp.maximum(points, lanes.lo), lanes.hi), lane)
    delta = xp.where(movable, streams.normal(lanes.key, state.t, NOISE, d), xp.zeros_like(lanes.x))
    delta = region.eps * unit(region, delta)
    return Query(project(region, lanes, lane, lanes.x + delta * region.scale), lane)


def tell(region: Region, lanes: Lanes, state: State, query: Query, score: Array, hit: Array) -> State:
    return State(put(state.t, query.lane, namespace(score).take(state.t, query.lane) + 1))
