"""A search that knows which piece of a record each number of the answer is about, and gives credit piece by piece.

An explanation answers with a number for every cell, and a cell's number follows mostly from the cell. So one row tries
something else in many cells at once, and each cell keeps what served it best: a separable evolution strategy in which
one question is as many trials as there are cells. The merged record is asked as a whole, and only what it really
scores counts. A multiplier on what the answer itself would move holds it where it was: it doubles when the answer is
lost and is halved after five steps in which it was kept (the schedule of Razmi et al. 2023, section 3).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from medaudit.core import streams
from medaudit.core.arrays import Array, namespace, to_numpy
from medaudit.core.protocol import Lanes, Query, Search
from medaudit.core.region import L0, Region, project
from medaudit.search import entries
from medaudit.search.mutants import mutants

TAG = 1
ROWS = 8  # of a step: the merged record, half of what was merged, and mutants
SAFE = 5  # steps after which the multiplier is halved
LOST = 1.0  # scores from here on are of records whose answer was lost

Losses = Callable[[Lanes, Array, Array, np.ndarray], np.ndarray]
"""lanes, lane [R], answers [R, M], multiplier [R] -> what each cell loses [R, S]"""


class Settings(NamedTuple):
    """of [D]: cell of each number; cells: how many; losses: what is credited; donors: other records [L, D] of lanes."""

    of: np.ndarray
    cells: int
    losses: Losses
    donors: Callable[[Lanes], Array] | None = None


class State(NamedTuple):
    t: Array  # [L] int64
    parent: Array  # [L, D] float32
    merged: Array  # [L, D] float32, asked next
    half: Array  # [L, D] float32
    loss: Array  # [L, S] float64, of the parent's cells
    score: Array  # [L] float64, of the parent
    weight: Array  # [L] float64, the multiplier
    safe: Array  # [L] int64, steps since the answer was lost
    seen: Array  # [L, ROWS, S] float64, losses of this step's rows


def search(settings: Settings) -> Search:
    return Search(
        "credit", ROWS, partial(init, settings), partial(ask, settings), partial(tell, settings),
        look=partial(look, settings),
    )  # fmt: skip


def init(settings: Settings, region: Region, lanes: Lanes) -> State:
    xp, n, on = namespace(lanes.x), lanes.x.shape[0], {"device": lanes.x.device}
    zero = xp.zeros(n, dtype=xp.int64, **on)
    far = xp.full(n, xp.inf, dtype=xp.float64, **on)
    none = xp.full((n, settings.cells), xp.inf, dtype=xp.float64, **on)
    seen = xp.zeros((n, ROWS, settings.cells), dtype=xp.float64, **on)
    return State(zero, lanes.x, lanes.x, lanes.x, none, far, xp.ones(n, dtype=xp.float64, **on), zero, seen)


def ask(settings: Settings, region: Region, lanes: Lanes, state: State) -> Query:
    xp, n, on = namespace(lanes.x), lanes.x.shape[0], {"device": lanes.x.device}
    lane = np.repeat(np.arange(n), ROWS)
    other = None if settings.donors is None else to_numpy(settings.donors(lanes))
    rows = np.stack(
        [
            to_numpy(state.merged),
            to_numpy(state.half),
            *mutants(settings.of, settings.cells, region, lanes, state.parent, state.t, ROWS - 2, other),
        ],
        axis=1,
    )
    owner = xp.asarray(lane, **on)
    points = xp.asarray(rows.astype(np.float32), **on)
    if region.norm == L0:  # few places: of mutants any of them
        drop = streams.uniform(lanes.key, state.t, TAG + 2, rows.shape[1] * rows.shape[2])
        points = entries.few(region, lanes, points, xp.reshape(drop, rows.shape))
    return Query(project(region, lanes, owner, xp.reshape(points, (n * ROWS, -1))), owner)


def look(settings: Settings, region: Region, lanes: Lanes, state: State, query: Query, answers: Array) -> State:
    """What every cell of every row loses."""
    xp, on = namespace(state.t), {"device": state.t.device}
    lane, seen = to_numpy(query.lane), to_numpy(state.seen).copy()
    lost = settings.losses(lanes, query.lane, answers, to_numpy(state.weight)[lane])
    seen[lane[::ROWS]] = np.where(np.isnan(lost), np.inf, lost).reshape(-1, ROWS, settings.cells)
    return state._replace(seen=xp.asarray(seen, **on))


def tell(
    settings: Settings, region: Region, lanes: Lanes, state: State, query: Query, score: Array, hit: Array
) -> State:
    xp, on = namespace(state.t), {"device": state.t.device}
    who = to_numpy(query.lane)[::ROWS]
    own = State(*(to_numpy(leaf).copy() for leaf in state))
    points = to_numpy(query.points).reshape(len(who), ROWS, -1)
    scores = to_numpy(score).astype(np.float64).reshape(len(who), ROWS)
    for k, i in enumerate(who.tolist()):
        best = int(np.argmin(scores[k]))
        if scores[k, best] < own.score[i] or own.t[i] == 0:
            own.parent[i], own.score[i], own.loss[i] = points[k, best], scores[k, best], own.seen[i, best]
        lost = scores[k, 0] >= LOST  # the merged record's answer
        own.safe[i] = 0 if lost else own.safe[i] + 1
        own.weight[i] = min(own.weight[i] * 2, 64.0) if lost else own.weight[i]
        if own.safe[i] >= SAFE:
            own.weight[i], own.safe[i] = max(own.weight[i] / 2, 1 / 64), 0
        own.merged[i], own.half[i] = _merged(settings, region, lanes, own, i, points[k])
        own.t[i] += 1
    return State(*(xp.asarray(leaf, **on) for leaf in own))


def _merged(
    settings: Settings, region: Region, lanes: Lanes, own: State, i: int, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The parent with each cell's best trial in its place, and the same with only half of them."""
    every = np.concatenate([own.loss[i][None], own.seen[i]])  # [1 + ROWS, S]
    best = every.argmin(axis=0)
    gain = np.nan_to_num(every[0] - every.min(axis=0), posinf=0.0)
    draw = streams.uniform(to_numpy(lanes.key)[[i]], own.t[[i]], TAG + 1, settings.cells)[0]
    chosen = best * (gain > 0)
    if region.norm == L0:  # few places: those that gain most
        chosen = chosen * (np.argsort(np.argsort(-gain, kind="stable"), kind="stable") < region.eps)
    out = []
    for take in (chosen, chosen * (draw < 0.5)):
        rows = np.concatenate([own.parent[i][None], points])
        out.append(rows[take[settings.of], np.arange(rows.shape[1])])
    return out[0], out[1]
