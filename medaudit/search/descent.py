"""Descent to the nearest point of the boundary (score-based, minimises L2).

Every tick asks points around where the search is, and points on the way to the nearest point of the boundary taken
as a plane: c' = ((g.c - m - guard) / |g|^2) g, with m the score and g its slope at c (Moosavi-Dezfooli, Fawzi,
Frossard 2016, "DeepFool", equation 5, measured from the record, so that a way gone astray is given up again). The
slope is kept from tick to tick; each probe corrects it along its own direction only (Kaczmarz 1937), and directions
come basis by basis, so that where the search hardly moves all of it becomes known.
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

from medaudit.core.arrays import Array, namespace, put
from medaudit.core.protocol import Lanes, Query, Search
from medaudit.core.region import LINF, Region, length, project
from medaudit.search.plane import LINE, SHARES, directions, way

FIRST, LEAST = 0.15, 0.02  # trust at first, and at least
KEPT = 0.25  # of what the slope promised, for a step without success
KNOWN = 0.25  # probes a number, before the first step


class Settings(NamedTuple):
    """probes: points around where the search is, a tick; step: their distance, in shares of the way gone so far."""

    probes: int = 24
    step: float = 0.03


class State(NamedTuple):
    t: Array  # [L] int64
    at: Array  # [L, D] float32, where the search is, as a change in units of scale
    score: Array  # [L] float32, there
    slope: Array  # [L, D] float32
    best: Array  # [L] float32, size of the smallest success; inf: none yet
    trust: Array  # [L] float32, share of the way that is gone at once


def search(settings: Settings = Settings()) -> Search:
    own = (init, partial(ask, settings), partial(tell, settings))
    return Search("descent", 1 + settings.probes + LINE, *own, beyond=True)


def init(region: Region, lanes: Lanes) -> State:
    xp = namespace(lanes.x)
    far = xp.full(lanes.x.shape[0], xp.inf, dtype=xp.float32, device=lanes.x.device)
    here, score = xp.zeros_like(lanes.x), far if lanes.score is None else lanes.score
    return State(xp.astype(xp.zeros_like(far), xp.int64), here, score, here, far, xp.full_like(far, FIRST))


def ask(settings: Settings, region: Region, lanes: Lanes, state: State) -> Query:
    """Where it is, the probes around it, and the line."""
    xp = namespace(lanes.x)
    around = directions(lanes.key, state.t, min(settings.probes, lanes.x.shape[1]), lanes.x.shape[1])
    step = settings.step * (xp.sqrt(xp.sum(state.at * state.at, axis=1)) + 0.1 * region.eps)
    n, rows = lanes.x.shape[0], 1 + around.shape[1] + LINE
    here = state.at[:, None, :]
    line = way(lanes, state.at, state.score, state.slope, xp.isfinite(state.best), _trust(settings, state)[1])
    far = xp.stack([around[:, i % around.shape[1], :] * (1 - 2 * (i % 2)) * region.eps for i in range(LINE)], axis=1)
    line = xp.where((state.t == 0)[:, None, None], far, line)  # no slope is known yet: as far as eps, any way
    moves = xp.concat([here, around * step[:, None, None] + here, line], axis=1)
    lane = xp.repeat(xp.arange(n, dtype=xp.int64, device=lanes.x.device), rows)
    points = xp.take(lanes.x, lane, axis=0) + xp.reshape(moves, (n * rows, -1)) * region.scale
    wide = lanes if lanes.legal_lo is None else lanes._replace(lo=lanes.legal_lo, hi=lanes.legal_hi)
    return Query(project(region._replace(norm=LINF), wide, lane, points), lane)


def tell(
    settings: Settings, region: Region, lanes: Lanes, state: State, query: Query, score: Array, hit: Array
) -> State:
    xp, first = namespace(score), 1 + min(settings.probes, lanes.x.shape[1])  # the line's first row
    who = query.lane[:: first + LINE]
    here = State(*(xp.take(a, who, axis=0) for a in state))
    score, hit = (xp.reshape(a, (-1, first + LINE)) for a in (score, hit))
    here = here._replace(score=score[:, 0])  # asked anew: what was told of the clean record may be of another model
    moves = xp.reshape(query.points, (*score.shape, -1)) - xp.take(lanes.x, who, axis=0)[:, None, :]
    moves, slope = moves / region.scale, here.slope
    for i in range(1, first):
        gone = moves[:, i, :] - moves[:, 0, :]
        square = xp.sum(gone * gone, axis=1)
        wrong = (score[:, i] - here.score - xp.sum(slope * gone, axis=1)) / xp.maximum(
            square, xp.full_like(square, 1e-30)
        )
        slope = slope + xp.where(xp.isfinite(wrong), wrong, xp.zeros_like(wrong))[:, None] * gone
    sizes = xp.reshape(length(region, xp.reshape(moves * 1, (-1, moves.shape[2]))), score.shape)
    sizes = xp.where(hit, sizes, xp.full_like(sizes, xp.inf))
    smallest = xp.min(sizes, axis=1)
    known, _ = _trust(settings, here)
    closer = known & (smallest < here.best)  # a far success found before would lead astray
    # Before any success: down the line, as far as it keeps a part of what the slope promised.
    share = xp.asarray([min(s, 1.0) for s in SHARES] * (LINE // len(SHARES)), dtype=xp.float32, device=score.device)
    kept = score[:, first:] <= here.score[:, None] * (1 - KEPT * here.trust[:, None] * share[None, :])
    low = first + xp.argmin(xp.where(kept, score[:, first:], xp.full_like(score[:, first:], xp.inf)), axis=1)
    lower = xp.isinf(here.best) & ~closer & xp.any(kept, axis=1) & known
    pick, moved = xp.where(closer, xp.argmin(sizes, axis=1), low)[:, None], closer | lower
    trust = xp.where(lower | (smallest < 0.99 * here.best), 1.5 * here.trust, 0.6 * here.trust)
    trust = xp.minimum(xp.maximum(trust, xp.full_like(trust, LEAST)), xp.ones_like(trust))
    at, value = (xp.take_along_axis(moves, pick[:, :, None], axis=1)[:, 0, :], xp.take_along_axis(score, pick, axis=1))
    return State(
        t=put(state.t, who, here.t + 1),
        at=put(state.at, who, xp.where(moved[:, None], at, here.at)),
        score=put(state.score, who, xp.where(moved, value[:, 0], here.score)),
        slope=put(state.slope, who, slope),
        best=put(state.best, who, xp.where(closer, smallest, here.best)),
        trust=put(state.trust, who, xp.where(known, trust, here.trust)),
    )


def _trust(settings: Settings, state: State) -> tuple[Array, Array]:
    """Whether enough of the slope is known to go by it, [L] bool; and how much of the way is gone, all until then."""
    d = state.at.shape[1]
    known = state.t * min(settings.probes, d) >= math.ceil(KNOWN * d)
    return known, namespace(state.at).where(known, state.trust, 1 + 0 * state.trust)
