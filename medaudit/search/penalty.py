"""The published attack on explanations of health records, without its gradients.

Razmi, Lou, Hong, Xiong 2023, "Interpretation attacks and defenses on predictive models using electronic health
records": least a |C(x + d) - C*|_1 + b g(x + d) + c |d|_1 in the box, where g wants the label kept; entries of d that
are next to nothing become nothing at each step; where the label flips, b doubles and a halves, and both are as at the
start after five steps in which it stayed. Its gradient is told here by antithetic pairs (Salimans et al. 2017,
"Evolution strategies as a scalable alternative to reinforcement learning", section 2.1); d is in shares of the box.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from medaudit.core import streams
from medaudit.core.arrays import Array, namespace, to_numpy
from medaudit.core.protocol import Costs, Lanes, Query, Search
from medaudit.core.region import Region, project

TAG = 1451
PAIRS = 7
SIGMA, RATE = 0.02, 0.02  # of the pairs, and of a step, in shares of the box
SPARSE, FAINT = 0.5, 1e-4  # c, and what counts as nothing
SAFE = 5  # steps


class State(NamedTuple):
    t: Array  # [L] int64
    point: Array  # [L, D] float32
    a: Array  # [L] float64
    b: Array  # [L] float64
    safe: Array  # [L] int64, steps since the label flipped
    cost: Array  # [L, 1 + 2 PAIRS, 3] float64, of this step's rows: distance, label, kept


def search(costs: Costs) -> Search:
    return Search("penalty", 1 + 2 * PAIRS, init, ask, tell, look=partial(look, costs))


def init(region: Region, lanes: Lanes) -> State:
    xp, n, on = namespace(lanes.x), lanes.x.shape[0], {"device": lanes.x.device}
    zero, one = xp.zeros(n, dtype=xp.int64, **on), xp.ones(n, dtype=xp.float64, **on)
    return State(zero, lanes.x, one, one, zero, xp.zeros((n, 1 + 2 * PAIRS, 3), dtype=xp.float64, **on))


def _ways(lanes: Lanes, t: np.ndarray) -> np.ndarray:
    """Directions [L, PAIRS, D] of a step, normal."""
    n, d = lanes.x.shape
    keys = np.repeat(to_numpy(lanes.key), PAIRS)
    step = np.repeat(t, PAIRS) * PAIRS + np.tile(np.arange(PAIRS), n)
    return np.asarray(streams.normal(keys, step, TAG, d)).reshape(n, PAIRS, d)


def ask(region: Region, lanes: Lanes, state: State) -> Query:
    xp, n = namespace(lanes.x), lanes.x.shape[0]
    point, wide = to_numpy(state.point), to_numpy(lanes.hi) - to_numpy(lanes.lo)
    ways = SIGMA * _ways(lanes, to_numpy(state.t)) * wide[:, None]
    rows = np.concatenate([point[:, None], point[:, None] + ways, point[:, None] - ways], axis=1)
    lane = xp.asarray(np.repeat(np.arange(n), rows.shape[1]), device=lanes.x.device)
    points = xp.asarray(rows.reshape(-1, rows.shape[2]).astype(np.float32), device=lanes.x.device)
    return Query(project(region, lanes, lane, points), lane)


def look(costs: Costs, region: Region, lanes: Lanes, state: State, query: Query, answers: Array) -> State:
    cost = to_numpy(state.cost).copy()
    told = np.stack([part.astype(np.float64) for part in costs(lanes, query.lane, answers)], axis=1)
    told[~np.isfinite(told).all(axis=1)] = np.nan
    who = to_numpy(query.lane)[:: cost.shape[1]]
    cost[who] = told.reshape(len(who), *cost.shape[1:])
    return state._replace(cost=namespace(state.t).asarray(cost, device=state.t.device))


def tell(region: Region, lanes: Lanes, state: State, query: Query, score: Array, hit: Array) -> State:
    xp, own = namespace(state.t), State(*(to_numpy(leaf).copy() for leaf in state))
    x, lo, hi = (to_numpy(v).astype(np.float64) for v in (lanes.x, lanes.lo, lanes.hi))
    wide, ways = hi - lo, _ways(lanes, own.t)
    for i in to_numpy(query.lane)[:: own.cost.shape[1]].tolist():
        value = own.a[i] * own.cost[i, :, 0] + own.b[i] * own.cost[i, :, 1]
        slope = np.nan_to_num(value[1 : 1 + PAIRS] - value[1 + PAIRS :]) @ ways[i] / (2 * SIGMA * PAIRS)
        off = np.where(wide[i] > 0, (own.point[i] - x[i]) / np.maximum(wide[i], 1e-12), 0)
        slope = slope + SPARSE * np.sign(off)
        off = off - RATE * slope / max(float(np.sqrt((slope**2).mean())), 1e-12)
        off = np.where(np.abs(off) <= FAINT, 0, off)
        own.point[i] = np.clip(x[i] + off * wide[i], lo[i], hi[i])
        flipped = own.cost[i, 0, 2] != 1
        own.safe[i] = 0 if flipped else own.safe[i] + 1
        if flipped:
            own.a[i], own.b[i] = own.a[i] / 2, own.b[i] * 2
        elif own.safe[i] >= SAFE:
            own.a[i], own.b[i] = 1.0, 1.0
        own.t[i] += 1
    return State(*(xp.asarray(leaf, device=state.t.device) for leaf in own))
