"""Few pixels by differential evolution: where they lie and what they hold breed together (score-based, L0).

Su, Vargas, Sakurai 2019, "One pixel attack for fooling deep neural networks", section 3.2: a candidate lists eps
pixels, each by its row, column and a value a plane. Scheme DE/best/1/bin with a step drawn anew in every
generation (Storn, Price 1997; the defaults of scipy's `differential_evolution`), which is the published setting of
attacks on chest X-rays. Two pixels of a candidate may fall on one place; the later holds.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from medaudit.core import streams
from medaudit.core.arrays import Array, namespace, overwrite
from medaudit.core.protocol import Lanes, Query, Search
from medaudit.core.region import Part, Region, clip, snap
from medaudit.search.places import at
from medaudit.search.pool import Pool, begin, crossed, survive

DRAW = 1


class Settings(NamedTuple):
    """rows: candidates of a generation; cross: share of numbers taken from the mutant."""

    rows: int = 20
    cross: float = 0.7


def search(settings: Settings = Settings()) -> Search:
    own = (partial(init, settings), partial(ask, settings), partial(tell, settings))
    return Search("pixels", settings.rows, *own)


def largest(region: Region) -> tuple[int, Part]:
    """Where the largest part begins, and the part: pixels are sought in it."""
    part = max(region.parts, key=lambda p: p.size)
    return sum(p.size for p in region.parts[: region.parts.index(part)]), part


def init(settings: Settings, region: Region, lanes: Lanes) -> Pool:
    """Pixels anywhere, with any legal value; all numbers of a candidate are shares from 0 to 1."""
    xp = namespace(lanes.x)
    n, width = lanes.x.shape[0], max(1, int(region.eps)) * (2 + largest(region)[1].planes)
    zero = xp.zeros(n, dtype=xp.int64, device=lanes.x.device)
    draw = streams.uniform(lanes.key, zero, DRAW + 1, settings.rows * width)
    return begin(xp.reshape(xp.astype(draw, xp.float32), (n, settings.rows, width)))


def ask(settings: Settings, region: Region, lanes: Lanes, state: Pool) -> Query:
    """The first generation is the pool itself."""
    xp = namespace(lanes.x)
    start, part = largest(region)
    child = _children(settings, lanes, state)
    lane = xp.repeat(xp.arange(child.shape[0], dtype=xp.int64, device=child.device), settings.rows)
    genes = xp.reshape(child, (lane.shape[0], -1, 2 + part.planes))  # [R, pixels, genes]
    points, size = xp.take(lanes.x, lane, axis=0), lanes.x.shape[1]
    row, column = (_cell(genes[:, :, i], side) for i, side in enumerate((part.rows, part.columns)))
    first = xp.arange(lane.shape[0], dtype=xp.int64, device=child.device) * size
    for k in range(genes.shape[1]):
        for plane in range(part.planes):
            number = start + (plane * part.rows + row[:, k]) * part.columns + column[:, k]
            low, high = (at(xp.take(bound, lane, axis=0), number) for bound in (lanes.lo, lanes.hi))
            points = overwrite(points, first + number, low + (high - low) * genes[:, k, 2 + plane])
    return Query(clip(lanes, lane, snap(region, points)), lane)


def tell(settings: Settings, region: Region, lanes: Lanes, state: Pool, query: Query, score: Array, hit: Array) -> Pool:
    xp = namespace(score)
    who = query.lane[:: settings.rows]
    return survive(state, who, xp.take(_children(settings, lanes, state), who, axis=0), score)


def _children(settings: Settings, lanes: Lanes, state: Pool) -> Array:
    """best + F (other - another), crossed with the parent; F between 0.5 and 1, one a generation."""
    xp = namespace(state.points)
    n, rows, d = state.points.shape
    draw = streams.uniform(lanes.key, state.t, DRAW, 1 + rows * (3 + 2 * d))
    step, draw = xp.astype(0.5 + 0.5 * draw[:, :1], xp.float32)[:, :, None], draw[:, 1:]
    own = xp.arange(rows, dtype=xp.int64, device=draw.device)[None, :]
    # Two others, neither the candidate itself nor the same one twice.
    first = 1 + xp.astype(xp.floor(draw[:, :rows] * (rows - 1)), xp.int64)
    second = 1 + xp.astype(xp.floor(draw[:, rows : 2 * rows] * (rows - 2)), xp.int64)
    second = second + xp.astype(second >= first, xp.int64)
    others = [xp.take_along_axis(state.points, ((own + k) % rows)[:, :, None], axis=1) for k in (first, second)]
    best = xp.take_along_axis(state.points, xp.argmin(state.score, axis=1)[:, None, None], axis=1)
    mutant = best + step * (others[0] - others[1])
    fresh, chance = (xp.reshape(draw[:, 3 * rows + i * rows * d :][:, : rows * d], (n, rows, d)) for i in (0, 1))
    beyond = (mutant < 0) | (mutant > 1)  # drawn anew, as cutting off would gather pixels at the edges
    mutant = xp.where(beyond, xp.astype(fresh, xp.float32), mutant)
    return crossed(state, mutant, chance, draw[:, 2 * rows : 3 * rows], settings.cross)


def _cell(share: Array, side: int) -> Array:
    """A share from 0 to 1 as one of `side` cells."""
    xp = namespace(share)
    cell = xp.astype(xp.floor(share * side), xp.int64)
    return xp.minimum(cell, xp.full_like(cell, side - 1))
