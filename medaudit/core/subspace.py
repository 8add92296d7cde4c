"""Fewer numbers to search than a point has: coefficients of cosines, or of Gaussian bumps on a coarse grid.

Inside a subspace every search works unchanged: its points are coefficients, and `within` turns them
into changes of the real point. A part's [planes, rows, columns] come from a smaller grid, side by
side (separable): rows and columns are each a combination of a few.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from medaudit.core.arrays import Array, idct, map_tree, namespace, put
from medaudit.core.protocol import Lanes, Query, Search
from medaudit.core.region import INJECTED, L2, LINF, ROUGH, ROUGH_L2, Part, Region, project, shrink

OWN = (ROUGH, ROUGH_L2, INJECTED)  # norms whose waves have size 1 each, and together their coefficients' length


class Side(NamedTuple):
    """n numbers along one side from k.

    Of bumps, number i is the sum over j of weight[i, j] * coefficient[taps[i, j]]. Of waves (taps is None), all are
    the inverse DCT-II of weight * coefficient, filled up with zeros to n.
    """

    taps: Array | None  # [n, T] int64
    weight: Array  # [n, T] float32, or [k] of waves
    gain: tuple[float, float] = (1.0, 1.0)  # largest Linf and L2 size of a coefficient of 1
    n: int = 0  # of waves


class Subspace(NamedTuple):
    """One entry a part; None for a side that stays as it is."""

    parts: tuple[Part, ...]  # geometry of the coefficients
    rows: tuple[Side | None, ...]
    columns: tuple[Side | None, ...]


def cosines(n: int, k: int, weight: np.ndarray | None = None) -> Side:
    """The k slowest of the n orthonormal cosines of the DCT-II, each as large as `weight` [k] says; 1."""
    weight = np.ones(k) if weight is None else weight
    j = np.arange(k)
    peak = weight * np.sqrt(np.where(j == 0, 1, 2) / n)
    return Side(None, weight.astype(np.float32), (float(peak.max()), float(weight.max())), n)


def harmonics(n: int, period: float, k: int) -> Side:
    """k waves of n numbers that all repeat every `period` numbers, sines and cosines in turn, of root mean square 1."""
    j = np.arange(k)
    phase = 2 * np.pi * np.outer(np.arange(n), 1 + j // 2) / period
    weight = math.sqrt(2) * np.where(j % 2 == 0, np.cos(phase), np.sin(phase))
    return Side(np.broadcast_to(j.astype(np.int64), (n, k)), weight.astype(np.float32), (math.sqrt(2), math.sqrt(n)), n)


def bumps(n: int, sigma: float) -> Side:
    """Gaussian bumps of width sigma (in numbers), one every sigma, each number's weights adding up to 1."""
    k = max(1, math.ceil(n / sigma)) + 1
    place = np.arange(n)[:, None] / sigma
    near = np.rint(place).astype(np.int64) + np.arange(-3, 4)[None, :]
    weight = np.exp(-0.5 * (place - near) ** 2) * ((near >= 0) & (near < k))
    weight /= weight.sum(axis=1, keepdims=True)
    # All coefficients at 1 reach 1 everywhere; one bump alone has this length.
    gain = (1.0, math.sqrt(sigma * math.sqrt(math.pi)) / math.sqrt(2 * math.pi))
    return Side(np.clip(near, 0, k - 1), weight.astype(np.float32), gain)


def smooth(parts: tuple[Part, ...], sides: dict[int, tuple[Side | None, Side | None]]) -> Subspace:
    """The subspace of parts whose (rows, columns) sides are given by the part's place; others stay."""
    none: tuple[Side | None, Side | None] = (None, None)
    pairs = [sides.get(i, none) for i in range(len(parts))]
    geometry = [
        part._replace(rows=_count(rows, part.rows), columns=_count(columns, part.columns))
        for part, (rows, columns) in zip(parts, pairs, strict=True)
    ]
    return Subspace(tuple(geometry), tuple(p[0] for p in pairs), tuple(p[1] for p in pairs))


def slow(parts: tuple[Part, ...], most: int, like: Array) -> Subspace:
    """About `most` slow cosines of images, signals and sequences, shared evenly; tables stay.

    like: an array of the namespace and device wanted.
    """
    wide = [i for i, part in enumerate(parts) if part.domain != "table"]
    sides: dict[int, tuple[Side | None, Side | None]] = {}
    for i in wide:
        part = parts[i]
        each = max(1, most // (len(wide) * part.planes))
        if part.domain == "image":
            side = math.sqrt(each / (part.rows * part.columns))
            tall, broad = (min(n, max(1, round(n * side))) for n in (part.rows, part.columns))
            sides[i] = (cosines(part.rows, tall), cosines(part.columns, broad))
        else:
            sides[i] = (None, cosines(part.columns, min(part.columns, max(1, each // part.rows))))
    return on(like, smooth(parts, sides))


def even(parts: tuple[Part, ...], norm: str, most: int) -> Subspace:
    """Slow cosines of signals and sequences, each as large as makes a coefficient of 1 a change of roughness 1.

    The first differences of cosines are orthogonal sines, 2 sin(pi k / 2n) times as long: in these coefficients
    roughness is a Euclidean length (the mean of the differences apart, which it does not count). `most`: of them
    all rows together have; 0: all there are. What roughness does not see, the mean, stays.
    """
    sides: dict[int, tuple[Side | None, Side | None]] = {}
    wide = [i for i, part in enumerate(parts) if part.domain in ("signal", "sequence") and part.columns > 1]
    for i in wide:
        n = parts[i].columns
        k = n if not most else min(n, max(2, most // (len(wide) * parts[i].planes * parts[i].rows) + 1))
        size = 1e4 * (2 * np.sin(0.5 * np.pi * np.arange(k) / n)) ** 2 / (n - 1)
        size += 0.01 if norm == ROUGH_L2 else 0.0
        weight = np.where(size > 0, 1 / np.sqrt(np.where(size > 0, size, 1.0)), 0.0)
        sides[i] = (None, cosines(n, k, weight))
    return smooth(parts, sides)


def dual(subspace: Subspace) -> Subspace:
    """Waves of the inverse weights (0 stays 0): of two changes, one in each, the product is their coefficients'."""

    def turned(side: Side | None) -> Side | None:
        if side is None or side.taps is not None:
            return side
        xp, weight = namespace(side.weight), side.weight
        return side._replace(weight=xp.where(weight > 0, 1 / xp.where(weight > 0, weight, 1 + 0 * weight), 0 * weight))

    return subspace._replace(rows=tuple(map(turned, subspace.rows)), columns=tuple(map(turned, subspace.columns)))


def on(like: Array, subspace: Subspace) -> Subspace:
    """The subspace's arrays in the namespace and on the device of an array."""

    def move(side: Side | None) -> Side | None:
        if side is None:
            return None
        xp = namespace(like)
        taps = None if side.taps is None else xp.asarray(side.taps, device=like.device)
        return Side(taps, xp.asarray(side.weight, device=like.device), side.gain, side.n)

    return subspace._replace(rows=tuple(map(move, subspace.rows)), columns=tuple(map(move, subspace.columns)))


def expand(subspace: Subspace, parts: tuple[Part, ...], coefficients: Array) -> Array:
    """Changes [R, D] of coefficients [R, K], in units of scale."""
    xp = namespace(coefficients)
    out, begin = [], 0
    for small, part, rows, columns in zip(subspace.parts, parts, subspace.rows, subspace.columns, strict=True):
        own = coefficients[:, begin : begin + small.size]
        begin += small.size
        grid = xp.reshape(own, (own.shape[0], small.planes, small.rows, small.columns))
        grid = grid if columns is None else _along(columns, grid)
        if rows is not None:
            grid = xp.matrix_transpose(_along(rows, xp.matrix_transpose(grid)))
        out.append(xp.reshape(grid, (own.shape[0], part.size)))
    return out[0] if len(out) == 1 else xp.concat(out, axis=1)


class State(NamedTuple):
    lanes: Lanes  # as the search sees them: it starts at zero change
    search: Any


def within(search: Search, subspace: Subspace, *, exact: bool = True) -> Search:
    """The search, moving coefficients instead of numbers.

    One coefficient alone reaches at most eps, and all together are shrunk to it; a hundred times eps
    where the search is to find out the size. exact: points stay in the subspace where the legal box
    allows; else sums beyond eps are cut off number by number in Linf, which reaches further.
    """
    bounded = not search.beyond

    def init(region: Region, lanes: Lanes) -> State:
        inner = _inner_lanes(region, lanes, subspace, bounded)
        return State(inner, search.init(_inner_region(region, inner, subspace), inner))

    def ask(region: Region, lanes: Lanes, state: State) -> Query:
        query = _coefficients(search, subspace, region, state)
        return query._replace(points=outside(region, lanes, subspace, query.lane, query.points, bounded, exact))

    def tell(region: Region, lanes: Lanes, state: State, query: Query, score: Array, hit: Array) -> State:
        # What was asked is asked for again, of the lanes that were told: proposals are pure.
        xp = namespace(score)
        told = put(xp.zeros_like(lanes.label), query.lane, xp.ones_like(query.lane)) > 0
        own = _coefficients(search, subspace, region, state)
        rows = xp.nonzero(xp.take(told, own.lane))[0]
        own = map_tree(lambda a: xp.take(a, rows, axis=0), own)
        form = _inner_region(region, state.lanes, subspace)
        return state._replace(search=search.tell(form, state.lanes, state.search, own, score, hit))

    def through(function: Callable[[Any], Array] | None) -> Callable[[State], Array] | None:
        return None if function is None else lambda state: function(state.search)

    return search._replace(
        init=init, ask=ask, tell=tell, stopped=through(search.stopped), starts=through(search.starts), adopt=None
    )


def _coefficients(search: Search, subspace: Subspace, region: Region, state: State) -> Query:
    return search.ask(_inner_region(region, state.lanes, subspace), state.lanes, state.search)


def _inner_region(region: Region, inner: Lanes, subspace: Subspace) -> Region:
    xp = namespace(inner.x)
    norm = L2 if region.norm in OWN else region.norm  # which their waves turn into each other
    return region._replace(
        norm=norm,
        scale=xp.ones_like(inner.x[0, :]),
        step=None,
        parts=subspace.parts,
        choices=None,
        alike=None,
        rules=None,
        injected=None,
    )


def _inner_lanes(region: Region, lanes: Lanes, subspace: Subspace, bounded: bool) -> Lanes:
    xp = namespace(lanes.x)
    place, own = 0 if region.norm == LINF else 1, region.norm in OWN
    reach = []
    for part, *sides in zip(subspace.parts, subspace.rows, subspace.columns, strict=True):
        gain = 1.0 if own else math.prod(side.gain[place] for side in sides if side is not None)
        reach.append(np.full(part.size, region.eps / gain * (1 if bounded else 100), dtype=np.float32))
    wide = xp.asarray(np.concatenate(reach), device=lanes.x.device)[None, :]
    zero = xp.zeros((lanes.x.shape[0], wide.shape[1]), dtype=xp.float32, device=lanes.x.device)
    return lanes._replace(x=zero, lo=zero - wide, hi=zero + wide, missing=None, legal_lo=None, legal_hi=None)


def outside(
    region: Region, lanes: Lanes, subspace: Subspace, lane: Array, coefficients: Array, bounded: bool, exact: bool
) -> Array:
    """The real points [R, D] of coefficients [R, K], inside eps where bounded (see `within`), and in the box."""
    xp = namespace(coefficients)
    if not bounded and lanes.legal_lo is not None:
        lanes = lanes._replace(lo=lanes.legal_lo, hi=lanes.legal_hi)
    x = xp.take(lanes.x, lane, axis=0)
    points = x + expand(subspace, region.parts, coefficients) * region.scale
    if not bounded:
        return project(region._replace(norm=LINF), lanes, lane, points)
    if region.norm == LINF and exact:  # as a whole, where `project` would cut number by number
        lo, hi = (xp.take(bound, lane, axis=0) for bound in (lanes.lo, lanes.hi))
        points = shrink(region, lanes._replace(x=x, lo=lo, hi=hi), points)
    return project(region, lanes, lane, points)


def _count(side: Side | None, n: int) -> int:
    if side is None:
        return n
    return int(side.weight.shape[0]) if side.taps is None else int(side.taps.max()) + 1


def _along(side: Side, grid: Array) -> Array:
    """The last axis [..., k] -> [..., n], lane by lane: the same bits whoever else is asked."""
    xp = namespace(grid)
    if side.taps is None:
        return idct(grid * side.weight, side.n)
    out = xp.take(grid, side.taps[:, 0], axis=-1) * side.weight[:, 0]
    for j in range(1, side.weight.shape[1]):
        out += xp.take(grid, side.taps[:, j], axis=-1) * side.weight[:, j]
    return out
