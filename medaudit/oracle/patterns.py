"""The hidden pattern of a planted weakness, and how far along it a point is.

Each lane has a pattern of its own: signs, alike in cells of neighbouring numbers (in a subspace: signs of its
numbers); L0: a few numbers and values for them; patch: up to TILE signs, over and over, so that a patch meets them
wherever it lies; injected: a lag at which a signal is to be its own opposite, whenever it begins. Progress is 0 at
the clean point and 1 at the furthest one that eps and box allow.
"""

from __future__ import annotations

from medaudit.core import cells, streams
from medaudit.core.arrays import Array, namespace, ranks
from medaudit.core.canvas import canvas
from medaudit.core.injection import injection, sent_into
from medaudit.core.protocol import Lanes
from medaudit.core.region import INJECTED, L0, L1, LINF, PATCH, ROUGH, ROUGH_L2, Part, Region, free, length, unit
from medaudit.core.subspace import Subspace, dual, expand

PATTERN = 9001  # tags that no search uses
TILE = 256  # signs in the hidden pattern of a patch
LAGS = 0.03, 0.3  # seconds, shortest and longest lag in the hidden pattern of an injected signal


def pattern(region: Region, lanes: Lanes, narrow: Subspace | None = None) -> Array:
    """The hidden pattern of each lane, [L, D] float32."""
    xp = namespace(lanes.x)
    zero = xp.zeros_like(lanes.label)
    if region.norm == L0:
        draw = streams.uniform(lanes.key, zero, PATTERN, 2 * lanes.x.shape[1])
        one, two = draw[:, : lanes.x.shape[1]], draw[:, lanes.x.shape[1] :]
        low = lanes.x == lanes.lo
        end = xp.where(low | ((two < 0.5) & (lanes.x != lanes.hi)), lanes.hi, lanes.lo)
        few = 2 * int(region.eps)
        rank = ranks(xp.where(free(lanes), one, one + 1))
        return xp.where((rank < few) & free(lanes), end, xp.full_like(end, xp.nan))
    if region.norm == INJECTED:
        return _lag(region, lanes.key)[:, None] + xp.zeros_like(lanes.x)
    if region.norm == PATCH:
        return _tiles(region, lanes.key) * xp.astype(free(lanes), xp.float32)
    if narrow is None:
        way = cells.signs(region.parts, lanes.key, zero, PATTERN)
    else:  # of roughness: so that each wave counts by its share of the size, not by its height
        own = dual(narrow) if region.norm in (ROUGH, ROUGH_L2) else narrow
        way = expand(own, region.parts, cells.signs(narrow.parts, lanes.key, zero, PATTERN))
    return way * xp.astype(free(lanes), xp.float32)


def _lag(region: Region, keys: Array) -> Array:
    """The hidden lag of each lane in numbers, between LAGS and at most half a window, [L] float32."""
    xp, one = namespace(keys), injection(region)
    draw = streams.uniform(keys, xp.zeros_like(keys), PATTERN, 1)[:, 0]
    lag = LAGS[0] * one.rate * (LAGS[1] / LAGS[0]) ** draw
    longest = xp.full_like(lag, max(1, one.columns // 2))
    return xp.astype(xp.minimum(xp.maximum(xp.round(lag), xp.ones_like(lag)), longest), xp.float32)


def _against(region: Region, points: Array, x: Array, lag: Array) -> Array:
    """How far changes [R, D], at full strength, are their own opposite `lag` [R] numbers later, summed along time,
    [R]."""
    xp, (_, part, own) = namespace(points), sent_into(region)
    units = unit(region, (points - x) / region.scale) * region.eps
    delta = xp.reshape(units[:, own], (-1, part.rows, part.columns))
    cell = xp.arange(part.columns, dtype=xp.int64, device=points.device)[None, :] + xp.astype(lag, xp.int64)[:, None]
    inside = xp.astype(cell < part.columns, xp.float32)[:, None, :]
    cell = xp.minimum(cell, xp.full_like(cell, part.columns - 1))
    later = xp.take_along_axis(delta, xp.broadcast_to(cell[:, None, :], delta.shape), axis=2)
    return -xp.sum(xp.sum(delta * later * inside, axis=2), axis=1)


def _tiles(region: Region, keys: Array) -> Array:
    """A pattern of the patch's own size, of up to TILE signs, over and over, [L, D]."""
    xp = namespace(keys)
    patches, out, first = canvas(region), [], 0
    signs = cells.signs(patches, keys, xp.zeros_like(keys), PATTERN, TILE)
    for part, patch in zip(region.parts, patches, strict=True):
        own = xp.reshape(signs[:, first : first + patch.size], (-1, patch.planes, patch.rows, patch.columns))
        first += patch.size
        over = xp.tile(own, (1, 1, -(-part.rows // patch.rows), -(-part.columns // patch.columns)))
        grid = xp.broadcast_to(over, (own.shape[0], part.planes, *over.shape[2:]))[:, :, : part.rows, : part.columns]
        out.append(xp.reshape(grid, (own.shape[0], part.size)))
    return out[0] if len(out) == 1 else xp.concat(out, axis=1)


def bands(parts: tuple[Part, ...], keys: Array) -> Array:
    """+1 or -1, alike wherever a patch may lie: one sign a plane of an image, one a row of other parts, [L, D]."""
    xp = namespace(keys)
    out = []
    for i, part in enumerate(parts):
        rows = part.planes if part.domain == "image" else part.planes * part.rows
        words = streams.bits(keys, xp.zeros_like(keys), PATTERN + i, streams.word_count(rows))
        signs = 2 * xp.astype(streams.coins(words, rows), xp.float32) - 1
        out.append(xp.repeat(signs, part.size // rows, axis=1))
    return out[0] if len(out) == 1 else xp.concat(out, axis=1)


def furthest(region: Region, lanes: Lanes, hidden: Array, narrow: Subspace | None) -> Array:
    """The most that changes in units of scale, times the pattern, can add up to (L0: count), [L]."""
    xp = namespace(lanes.x)
    if region.norm == L0:
        planted_here = xp.sum(xp.astype(~xp.isnan(hidden), xp.float32), axis=1)
        return xp.minimum(planted_here, xp.full_like(planted_here, max(1, int(region.eps))))
    if region.norm == INJECTED:
        one, lag = injection(region), hidden[:, 0]
        rows = xp.astype(xp.any(free(lanes), axis=1), lag.dtype)
        return rows * region.eps**2 * one.numbers * (1 - lag / one.columns)
    if region.norm == PATCH:
        most = max(patch.size for patch in canvas(region) if patch.domain != "table")
        can = xp.sum(xp.abs(hidden), axis=1)
        return xp.minimum(can, xp.full_like(can, most))
    if narrow is not None:
        best = hidden
        if region.norm in (ROUGH, ROUGH_L2):
            signs = cells.signs(narrow.parts, lanes.key, xp.zeros_like(lanes.label), PATTERN)
            best = expand(narrow, region.parts, signs) * xp.astype(free(lanes), xp.float32)
        size = length(region, xp.asarray(best, copy=True))
        return region.eps * xp.sum(best * hidden, axis=1) / xp.maximum(size, xp.full_like(size, 1e-30))
    room = xp.where(hidden > 0, lanes.hi - lanes.x, lanes.x - lanes.lo) / region.scale
    room = xp.sum(xp.abs(hidden) * xp.minimum(room, xp.full_like(room, 1e30)), axis=1)
    return room if region.norm == LINF else xp.minimum(region.eps * _dual(region, hidden), room)


def _dual(region: Region, hidden: Array) -> Array:
    xp = namespace(hidden)
    if region.norm == L1:
        return xp.max(xp.abs(hidden), axis=1)
    return xp.sqrt(xp.sum(hidden * hidden, axis=1))


def progress(region: Region, lanes: Lanes, hidden: Array, far: Array, lane: Array, points: Array) -> Array:
    """How far points [R, D] went along their lanes' patterns, as a share of the furthest eps allows, [R]."""
    xp = namespace(points)
    x, way = (xp.take(a, lane, axis=0) for a in (lanes.x, hidden))
    points = xp.where(xp.isnan(points), x, points)
    most = xp.take(far, lane)
    if region.norm == L0:
        gone = (points - x) / xp.where(way == x, xp.ones_like(x), way - x)
        along = xp.sum(xp.astype(xp.where(xp.isnan(way), xp.zeros_like(x), gone) >= 0.5, xp.float32), axis=1)
    elif region.norm == INJECTED:
        along = _against(region, points, x, way[:, 0])
    elif region.norm == PATCH:  # from -1 at one end of what is legal to 1 at the other, where it changed
        lo, hi = (xp.take(a, lane, axis=0) for a in (lanes.lo, lanes.hi))
        share = 2 * (points - lo) / xp.where(hi > lo, hi - lo, xp.ones_like(hi)) - 1
        along = xp.sum(xp.where(points == x, xp.zeros_like(x), share * way), axis=1)
    else:
        along = xp.sum((points - x) / region.scale * way, axis=1)
    return along / xp.maximum(most, xp.full_like(most, 1e-30))
