"""A genetic search over records: entries are crossed between candidates and mutated (score-based, any norm).

Alzantot et al. 2019, "GenAttack", algorithm 1, with the constrained tables of Simonetto et al. 2022, "A
unified framework for adversarial attack and defense in constrained feature space" (MoEvA2, section 4):
numbers, whole numbers and categories mutate each in their own way, frozen and missing ones never. One
objective in place of three, since candidates that break a constraint are repaired before they are
asked (`core.relations`). A child replaces the parent in whose place it stands where it scores better.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from medaudit.core import streams
from medaudit.core.arrays import Array, namespace
from medaudit.core.protocol import Lanes, Query, Search
from medaudit.core.region import L0, LINF, Region, free, project
from medaudit.search import entries
from medaudit.search.pool import Pool, begin, survive

DRAW = 1


class Settings(NamedTuple):
    """rows: candidates; mutate: entries of a child that mutate, on average."""

    rows: int = 16
    mutate: float = 1.5


def search(settings: Settings = Settings()) -> Search:
    return Search("genetic", settings.rows, partial(init, settings), partial(ask, settings), partial(tell, settings))


def init(settings: Settings, region: Region, lanes: Lanes) -> Pool:
    xp = namespace(lanes.x)
    n, d = lanes.x.shape
    return begin(xp.asarray(xp.broadcast_to(lanes.x[:, None, :], (n, settings.rows, d)), copy=True))


def ask(settings: Settings, region: Region, lanes: Lanes, state: Pool) -> Query:
    xp = namespace(lanes.x)
    n, rows, d = state.points.shape
    draw = streams.uniform(lanes.key, state.t, DRAW, rows * (5 * d + 2))
    pick = draw[:, : 2 * rows]
    mix, mutate, share, end, drop = (
        xp.reshape(draw[:, 2 * rows + i * rows * d : 2 * rows + (i + 1) * rows * d], (n, rows, d)) for i in range(5)
    )
    # The mate is the better of two drawn at random.
    one, two = (xp.astype(xp.floor(part * rows), xp.int64) for part in (pick[:, :rows], pick[:, rows:]))
    better = xp.take_along_axis(state.score, one, axis=1) <= xp.take_along_axis(state.score, two, axis=1)
    mate = xp.take_along_axis(state.points, xp.where(better, one, two)[:, :, None], axis=1)
    child = xp.where(mix < 0.5, state.points, mate)
    movable = free(lanes)
    many = xp.maximum(xp.sum(xp.astype(movable, xp.float64), axis=1), xp.ones_like(draw[:, 0]))[:, None, None]
    changes = (mutate < settings.mutate / many) & movable[:, None, :]
    low, high = lanes.lo, lanes.hi
    if region.norm not in (L0, LINF):  # a number alone reaches eps, or the others would be shrunk to nothing
        reach = 0.5 * region.eps * region.scale
        low, high = xp.maximum(low, lanes.x - reach), xp.minimum(high, lanes.x + reach)
    lo, hi = (xp.broadcast_to(bound[:, None, :], child.shape) for bound in (low, high))
    choices = None if region.choices is None else xp.broadcast_to(region.choices[None, None, :], child.shape)
    child = xp.where(changes, entries.random(region, lo, hi, choices, share, end), child)
    if region.norm == L0:
        child = entries.few(region, lanes, child, drop)
    lane = xp.repeat(xp.arange(n, dtype=xp.int64, device=lanes.x.device), rows)
    return Query(project(region, lanes, lane, xp.reshape(child, (n * rows, d))), lane)


def tell(settings: Settings, region: Region, lanes: Lanes, state: Pool, query: Query, score: Array, hit: Array) -> Pool:
    xp = namespace(score)
    who = query.lane[:: settings.rows]
    child = xp.reshape(query.points, (-1, settings.rows, lanes.x.shape[1]))
    return survive(state, who, child, score)
