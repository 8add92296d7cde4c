"""Splices: a signal put together from pieces of recordings, one piece after another (score-based).

Random search as in Andriushchenko, Croce, Flammarion, Hein 2020, "Square Attack", algorithm 1, with pieces of
recordings in place of squares: the first candidates are whole stretches; then a stretch of the best signal, of
2 to 50 % of its length, is replaced by one of a recording, the joints faded, and kept where that scores better.
A model takes beats for beats: what belongs to the class that is wanted moves its answer further than waves do.
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

from medaudit.core import streams
from medaudit.core.arrays import Array, namespace, put, put_where
from medaudit.core.injection import along, injection, loud
from medaudit.core.protocol import Lanes, Query, Search
from medaudit.core.region import Region
from medaudit.search.relay import go_on

PIECE = 1


class Settings(NamedTuple):
    """starts: whole stretches tried first; shortest, longest: pieces, as shares of the window; fade: of joints, in
    seconds."""

    starts: int = 30
    shortest: float = 0.02
    longest: float = 0.5
    fade: float = 0.1


class State(NamedTuple):
    t: Array  # [L] int64
    best: Array  # [L, K] float32
    score: Array  # [L] float32


def search(recordings: Array, settings: Settings = Settings()) -> Search:
    """recordings: [S, rows, N] float32, each of size 1 around 0, N no smaller than the window."""
    return Search("splices", 1, init, partial(ask, settings, recordings), tell, adopt=go_on)


def init(region: Region, lanes: Lanes) -> State:
    xp, zero = namespace(lanes.x), namespace(lanes.x).zeros_like(lanes.label)
    return State(zero, lanes.x, xp.full(zero.shape[0], xp.inf, dtype=xp.float32, device=zero.device))


def ask(settings: Settings, recordings: Array, region: Region, lanes: Lanes, state: State) -> Query:
    xp, part, one = namespace(lanes.x), region.parts[0], injection(region)
    draw = streams.uniform(lanes.key, state.t, PIECE, 4)
    whole = state.t < settings.starts

    def whole_number(share: Array) -> Array:
        return xp.astype(xp.floor(share), xp.int64)

    ratio = math.log(settings.longest / settings.shortest)
    wide = whole_number(settings.shortest * part.columns * xp.exp(ratio * draw[:, 0]))
    wide = xp.where(whole, xp.full_like(wide, part.columns), xp.maximum(wide, xp.ones_like(wide)))
    begin = xp.where(whole, xp.zeros_like(wide), whole_number(draw[:, 1] * part.columns) - wide // 2)
    source = whole_number(draw[:, 2] * recordings.shape[0])
    first = whole_number(draw[:, 3] * xp.astype(recordings.shape[2] - wide + 1, xp.float64))

    cell = xp.arange(part.columns, dtype=xp.int64, device=wide.device)[None, :] - begin[:, None]  # of the piece
    edge = xp.minimum(xp.full_like(draw[:, 0], settings.fade * one.rate), xp.astype(wide, xp.float64) / 2 + 1)
    near = xp.astype(xp.minimum(cell + 1, wide[:, None] - cell), xp.float64) / edge[:, None]
    share = xp.where(whole[:, None], xp.ones_like(near), xp.clip(near, 0.0, 1.0))
    place = xp.clip(cell, 0, wide[:, None] - 1) + first[:, None]
    piece = along(place, xp.take(recordings, source, axis=0))
    inside = xp.astype((cell >= 0) & (cell < wide[:, None]), xp.float32)[:, None, :]
    count = xp.sum(inside, axis=2)[:, :, None]
    piece = piece - xp.sum(piece * inside, axis=2)[:, :, None] / xp.maximum(count, xp.ones_like(count))

    share = xp.astype(share, xp.float32)[:, None, :]
    units = xp.reshape(state.best / region.scale, piece.shape) / region.eps
    after = xp.reshape(units * (1 - share) + piece * share, lanes.x.shape) * region.scale
    return Query(loud(region, after), xp.arange(after.shape[0], dtype=xp.int64, device=after.device))


def tell(region: Region, lanes: Lanes, state: State, query: Query, score: Array, hit: Array) -> State:
    xp = namespace(score)
    better = score < xp.take(state.score, query.lane)
    return State(
        t=put(state.t, query.lane, xp.take(state.t, query.lane) + 1),
        best=put_where(state.best, query.lane, query.points, better),
        score=put_where(state.score, query.lane, score, better),
    )
