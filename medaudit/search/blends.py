"""One-shot blends: the record with more and more of another one in it, and nothing else.

The cheapest way to another patient's map (as in eXIAA, 2025, and in look-ups of training records): twenty rows, no
search. What a search finds beyond it is the search's own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from medaudit.core.arrays import Array, namespace, put, take, to_numpy
from medaudit.core.protocol import Lanes, Query, Search
from medaudit.core.region import Region, project

ROWS = 20  # of a lane, in all


def search(donors: Callable[[Lanes], Array]) -> Search:
    """donors: other records [L, D] of lanes."""
    return Search("blends", ROWS, init, partial(ask, donors), tell, stopped=lambda state: state > 0)


def init(region: Region, lanes: Lanes) -> Array:
    xp = namespace(lanes.x)
    return xp.zeros(lanes.x.shape[0], dtype=xp.int64, device=lanes.x.device)


def ask(donors: Callable[[Lanes], Array], region: Region, lanes: Lanes, state: Array) -> Query:
    xp, n = namespace(lanes.x), lanes.x.shape[0]
    other, x = to_numpy(donors(lanes)), to_numpy(lanes.x)
    way = np.where(np.isnan(other), 0, other - x)
    share = (np.arange(ROWS, dtype=np.float32) + 1) / ROWS
    rows = np.clip(x[:, None] + share[:, None] * way[:, None], *(to_numpy(b)[:, None] for b in (lanes.lo, lanes.hi)))
    lane = xp.asarray(np.repeat(np.arange(n), ROWS), device=lanes.x.device)
    points = xp.asarray(rows.reshape(n * ROWS, -1).astype(np.float32), device=lanes.x.device)
    return Query(project(region, lanes, lane, points), lane)


def tell(region: Region, lanes: Lanes, state: Array, query: Query, score: Array, hit: Array) -> Array:
    who = query.lane[::ROWS]
    return put(state, who, take(state, who) + 1)
