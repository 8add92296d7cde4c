"""A search that knows which piece of a record each number of the answer is about, and gives credit piece by piece.

An explanation answers with a number for every cell, and a cell's number follows mostly from the cell. So one row tries
something else in many cells at once, and each cell keeps what served it best: a separable evolution strategy in which
one question is as many trials as there are cells. A cell's number is also about what the cell adds to the answer, so
trials are merged in pairs of more and less, until the answer stays where it has to. The merged record is asked as a
whole, and only what it really scores counts.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from medaudit.core import streams
from medaudit.core.arrays import Array, namespace, to_numpy
from medaudit.core.protocol import Explained, Lanes, Query, Search
from medaudit.core.region import L0, LINF, Region, project
from medaudit.search import entries
from medaudit.search.mutants import bold, mutants

TAG = 1
ROWS = 8  # of a step: two mergers, and mutants
MOST, GROW, SHRINK = 0.4, 1.3, 0.8  # share of the cells that a mutant changes, and what becomes of it after each step
INSIDE = 1 - 1e-5  # of a ball, so that rounding does not leave it
FILLED = 0.6  # of what the answer may move, that a merger uses up


class State(NamedTuple):
    t: Array  # [L] int64
    parent: Array  # [L, D] float32
    merged: Array  # [L, D] float32, asked next
    some: Array  # [L, D] float32, with only some of it
    score: Array  # [L] float64, of the parent
    rate: Array  # [L] float64, share of the cells that a mutant changes
    loss: Array  # [L, S] float64, of the parent's cells
    added: Array  # [L, S] float64
    answer: Array  # [L] float64
    seen: Array  # [L, ROWS, 2 S + 1] float64, loss, added and answer of this step's rows


def search(settings: Explained, ends: bool = False) -> Search:
    """ends: what is wanted lies at the ends of boxes (another map, whichever), and not somewhere in them."""
    parts = partial(init, settings), partial(ask, settings, ends), partial(tell, settings)
    return Search("credit", ROWS, *parts, look=partial(look, settings))


def init(settings: Explained, region: Region, lanes: Lanes) -> State:
    xp, n, on = namespace(lanes.x), lanes.x.shape[0], {"device": lanes.x.device}
    one, none = (xp.full(n, v, dtype=xp.float64, **on) for v in (1.0, 0.0))
    cells = xp.zeros((n, settings.cells), dtype=xp.float64, **on)
    seen = xp.zeros((n, ROWS, 2 * settings.cells + 1), dtype=xp.float64, **on)
    x, zero = lanes.x, xp.zeros(n, dtype=xp.int64, **on)
    return State(zero, x, x, x, one * xp.inf, one * MOST, cells + xp.inf, cells, none, seen)


def ask(settings: Explained, ends: bool, region: Region, lanes: Lanes, state: State) -> Query:
    xp, n, on = namespace(lanes.x), lanes.x.shape[0], {"device": lanes.x.device}
    owner = xp.asarray(np.repeat(np.arange(n), ROWS), **on)
    other = None if settings.donors is None else to_numpy(settings.donors(lanes))
    base = to_numpy(state.parent), to_numpy(state.t), to_numpy(state.rate)
    tried = mutants(settings.of, settings.cells, region, lanes, *base, ROWS - 2, other)
    if ends and region.norm == LINF:
        tried = bold(region, lanes, base[0], base[1], tried)
    if other is not None:  # at first, the way to the other record
        tried = [np.where((base[1] == 0)[:, None], b, m) for b, m in zip(_blends(lanes, other), tried, strict=True)]
    rows = np.stack([to_numpy(state.merged), to_numpy(state.some), *tried], axis=1)
    points = xp.asarray(rows.astype(np.float32), **on)
    if region.norm == L0:  # few places: of mutants any of them
        drop = streams.uniform(lanes.key, state.t, TAG + 2, rows.shape[1] * rows.shape[2])
        points = entries.few(region, lanes, points, xp.reshape(drop, rows.shape))
    inside = region if region.norm == L0 else region._replace(eps=region.eps * INSIDE)  # merged rows end on the ball
    return Query(project(inside, lanes, owner, xp.reshape(points, (n * ROWS, -1))), owner)


def _blends(lanes: Lanes, other: np.ndarray) -> list[np.ndarray]:
    """The record with more and more of the other one [L, D] in it."""
    x, lo, hi = (to_numpy(a) for a in (lanes.x, lanes.lo, lanes.hi))
    lent = np.where(np.isnan(other), x, other)
    return [np.clip(x + (k + 1) / (ROWS - 2) * (lent - x), lo, hi) for k in range(ROWS - 2)]


def look(settings: Explained, region: Region, lanes: Lanes, state: State, query: Query, answers: Array) -> State:
    """What every cell of every row loses, and adds."""
    xp, on = namespace(state.t), {"device": state.t.device}
    told, seen = settings.losses(lanes, query.lane, answers), to_numpy(state.seen).copy()
    every = np.concatenate([told.cells, told.added, told.answer[:, None]], axis=1)
    bad = ~np.isfinite(every).all(axis=1)
    every[bad] = 0.0
    every[bad, : settings.cells] = np.inf
    seen[to_numpy(query.lane)[::ROWS]] = every.reshape(-1, ROWS, every.shape[1])
    return state._replace(seen=xp.asarray(seen, **on))


def tell(
    settings: Explained, region: Region, lanes: Lanes, state: State, query: Query, score: Array, hit: Array
) -> State:
    xp, on, s = namespace(state.t), {"device": state.t.device}, settings.cells
    who = to_numpy(query.lane)[::ROWS]
    own = State(*(to_numpy(leaf).copy() for leaf in state))
    points = to_numpy(query.points).reshape(len(who), ROWS, -1)
    scores = to_numpy(score).astype(np.float64).reshape(len(who), ROWS)
    draw = streams.uniform(to_numpy(lanes.key), own.t, TAG + 3, s)
    for k, i in enumerate(who.tolist()):
        best = int(np.argmin(scores[k]))
        better = scores[k, best] < own.score[i]
        own.rate[i] = np.clip(own.rate[i] * (GROW if better else SHRINK), 1 / s, MOST)
        if better or own.t[i] == 0:
            own.parent[i], own.score[i] = points[k, best], scores[k, best]
            told = own.seen[i, best]
            own.loss[i], own.added[i], own.answer[i] = told[:s], told[s : 2 * s], told[2 * s]
        few = int(region.eps) if region.norm == L0 else s
        rows = np.concatenate([own.parent[i][None], points[k]])
        for out, share in ((own.merged, own.rate[i] ** 0.5), (own.some, own.rate[i])):
            chosen = _merged(own, i, s, few, draw[i] < share)
            out[i] = rows[chosen[settings.of], np.arange(rows.shape[1])]
        own.t[i] += 1
    return State(*(xp.asarray(leaf, **on) for leaf in own))


def _merged(own: State, i: int, s: int, few: int, able: np.ndarray) -> np.ndarray:
    """The row that each cell is taken from [S], 0: the parent. The largest gains first, the answer in balance."""
    loss = np.concatenate([own.loss[i][None], own.seen[i, :, :s]])
    best = loss.argmin(axis=0)
    gain = np.nan_to_num(loss[0] - loss.min(axis=0), posinf=0.0) * able
    added = np.concatenate([own.added[i][None], own.seen[i, :, s : 2 * s]])
    more = added[best, np.arange(s)] - added[0]
    chosen, far = np.zeros(s, dtype=np.int64), float(own.answer[i])
    for cell in np.argsort(-gain, kind="stable")[: int((gain > 0).sum())].tolist():
        if few > 0 and abs(far + more[cell]) <= max(FILLED, abs(far)):
            chosen[cell], far, few = best[cell], far + more[cell], few - 1
    return chosen
