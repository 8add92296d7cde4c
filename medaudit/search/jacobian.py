"""Explanation-Jacobian: how every cell's move changes the map, then a linear programme for all moves at once.

Each round gives every cell a pattern of ends of its box and asks the record with a step of one cell towards its
pattern: the columns of the map's derivative. A linear programme then chooses how far each cell goes, so that the map
comes as near as it can to the wanted one (L1, where weights say), while what the answer moves stays within its room;
what is found is tried at several lengths. Maps are nearly linear in small steps, so that few explanations tell much.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from medaudit.core import streams
from medaudit.core.arrays import Array, namespace, to_numpy
from medaudit.core.protocol import Explained, Lanes, Query, Search
from medaudit.core.region import Region, project

TAG = 1401
STEP = 0.25  # of the way to a pattern, at which derivatives are taken
LENGTHS = (1.0, 0.7, 0.5, 0.35, 0.25, 0.15, 0.08, 0.04)  # of the programme's move
ROOM = 0.8  # of what the answer may move
AT_ONCE = 16
MOST = 120  # cells that a round moves


class State(NamedTuple):
    t: Array  # [L] int64, rows asked
    base: Array  # [L, D] float32, where the round begins
    score: Array  # [L] float64
    map: Array  # [L, S] float64, of the base
    answer: Array  # [L] float64, how far it moved there, in shares of its room
    slopes: Array  # [L, B, S + 1] float64, of the map and of the answer
    move: Array  # [L, D] float32, what the programme found
    tried: Array  # [L, LENGTHS, S + 1] float64, maps and answers at the round's lengths


def search(settings: Explained) -> Search:
    parts = partial(init, settings), partial(ask, settings), partial(tell, settings)
    return Search("jacobian", AT_ONCE, *parts, look=partial(look, settings))


def init(settings: Explained, region: Region, lanes: Lanes) -> State:
    xp, n, on = namespace(lanes.x), lanes.x.shape[0], {"device": lanes.x.device}
    one = xp.ones(n, dtype=xp.float64, **on)
    none = xp.zeros((n, settings.cells), dtype=xp.float64, **on)
    slopes = xp.zeros((n, _width(settings), settings.cells + 1), dtype=xp.float64, **on)
    zero = xp.zeros(n, dtype=xp.int64, **on)
    tried = xp.zeros((n, len(LENGTHS), settings.cells + 1), dtype=xp.float64, **on)
    return State(zero, lanes.x, one * xp.inf, none, 0 * one, slopes, 0 * lanes.x, tried)


def ask(settings: Explained, region: Region, lanes: Lanes, state: State) -> Query:
    xp, on = namespace(lanes.x), {"device": lanes.x.device}
    b, own = _width(settings), State(*(to_numpy(leaf) for leaf in state))
    place = own.t % (b + len(LENGTHS))
    count = np.minimum(np.where(place < b, b - place, b + len(LENGTHS) - place), AT_ONCE)
    owner = np.repeat(np.arange(len(count)), count)
    number = place[owner] + np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    ends, moved = _patterns(settings, lanes, own.t)
    early = number < b
    rows = own.base[owner].copy()
    i = np.flatnonzero(early)
    mine = moved[owner[i], number[i]][:, None] == settings.of[None, :]
    rows[i] += np.where(mine, STEP * (ends[owner[i]] - rows[i]), 0)
    k = np.flatnonzero(~early)
    rows[k] += np.array(LENGTHS)[number[k] - b, None].astype(np.float32) * own.move[owner[k]]
    lane = xp.asarray(owner, **on)
    return Query(project(region, lanes, lane, xp.asarray(rows.astype(np.float32), **on)), lane)


def _width(settings: Explained) -> int:
    return min(MOST, settings.cells)


def _patterns(settings: Explained, lanes: Lanes, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the box that each number goes to [L, D], in stretches of a cell, and which cells move [L, B]."""
    lo, hi, key = (to_numpy(a) for a in (lanes.lo, lanes.hi, lanes.key))
    b = _width(settings)
    turn = t // (b + len(LENGTHS))
    place = np.arange(len(settings.of))  # stretches are of the point's own order
    wide = np.array([8, 4, 16, 2, 32, 1])[turn % 6]
    draw = streams.uniform(key, turn, TAG, len(place) + 1)
    shift = (draw[:, -1] * wide).astype(int)
    side = np.take_along_axis(draw, (place[None, :] + shift[:, None]) // wide[:, None], axis=1) < 0.5
    order = np.argsort(streams.uniform(key, turn, TAG + 1, settings.cells), axis=1, kind="stable")
    return np.where(side, lo, hi), order[:, :b]


def look(settings: Explained, region: Region, lanes: Lanes, state: State, query: Query, answers: Array) -> State:
    """Slopes of the rows that moved one cell, and the maps of the best lengths."""
    xp, on = namespace(state.t), {"device": state.t.device}
    own = State(*(to_numpy(leaf).copy() for leaf in state))
    lane, b = to_numpy(query.lane), _width(settings)
    told = settings.losses(lanes, query.lane, answers)
    m = answers.shape[1] - settings.cells
    every = np.concatenate([to_numpy(answers)[:, m:].astype(np.float64), told.answer[:, None]], axis=1)
    every[~np.isfinite(every).all(axis=1)] = np.nan
    for i in np.unique(lane):
        at = np.flatnonzero(lane == i)
        first = int(own.t[i] % (b + len(LENGTHS)))
        if own.t[i] == 0:
            own.map[i] = to_numpy(lanes.ref)[i, m : m + settings.cells]
        if first < b:
            base = np.append(own.map[i], own.answer[i])
            own.slopes[i, first : first + len(at)] = np.nan_to_num((every[at] - base) / STEP)
        else:
            own.tried[i] = every[at]
    return State(*(xp.asarray(leaf, **on) for leaf in own))


def tell(
    settings: Explained, region: Region, lanes: Lanes, state: State, query: Query, score: Array, hit: Array
) -> State:
    xp, on = namespace(state.t), {"device": state.t.device}
    own = State(*(to_numpy(leaf).copy() for leaf in state))
    lane, scores, points = to_numpy(query.lane), to_numpy(score).astype(np.float64), to_numpy(query.points)
    b, wanted = _width(settings), settings.wish(lanes) if settings.wish is not None else (own.map, 0 * own.map)
    ends, moved = _patterns(settings, lanes, own.t)
    start = np.full(len(own.t), np.inf) if lanes.score is None else to_numpy(lanes.score)
    for i in np.unique(lane):
        at = np.flatnonzero(lane == i)
        first = int(own.t[i] % (b + len(LENGTHS)))
        if first < b and first + len(at) == b:
            far = _programme(own.map[i], own.slopes[i], wanted[0][i], wanted[1][i], own.answer[i])
            share = np.zeros(settings.cells)
            share[moved[i]] = far
            own.move[i] = share[settings.of] * (ends[i] - own.base[i])
        elif first >= b:
            k = int(np.argmin(scores[at]))
            if scores[at[k]] < min(own.score[i], start[i]):
                own.score[i], own.base[i] = scores[at[k]], points[at[k]]
                own.map[i], own.answer[i] = own.tried[i, k, :-1], own.tried[i, k, -1]
        own.t[i] += len(at)
    return State(*(xp.asarray(leaf, **on) for leaf in own))


def _programme(
    own: np.ndarray, slopes: np.ndarray, wanted: np.ndarray, weight: np.ndarray, answer: float
) -> np.ndarray:
    """How far each cell goes [B], 0 to 1: least sum of weight |own + slopes - wanted|, the answer within its room."""
    from scipy.optimize import linprog

    some = np.flatnonzero(weight > 0)
    b, s = len(slopes), len(some)
    jac, off = slopes[:, some].T, (own - wanted)[some]
    cost = np.concatenate([np.zeros(b), weight[some]])
    eye = np.eye(s)
    answers = np.concatenate([slopes[:, -1], np.zeros(s)])
    left = np.block([[jac, -eye], [-jac, -eye]])
    left = np.concatenate([left, answers[None], -answers[None]])
    right = np.concatenate([-off, off, [max(0.0, ROOM - answer), max(0.0, ROOM + answer)]])
    found = linprog(cost, A_ub=left, b_ub=right, bounds=[(0, 1)] * b + [(0, None)] * s, method="highs")
    return np.zeros(b) if found.x is None else np.asarray(found.x[:b])
