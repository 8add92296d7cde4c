"""A patch: one window of a record whose values may be anything legal, placed where chance or a search says.

An image's window is a square of its rows and columns in all planes; that of a signal or a sequence is a
stretch of time in all rows. The patch's own numbers are in `canvas`; here is where it lies, and what a
record with it is.
"""

from __future__ import annotations

from typing import NamedTuple

from medaudit.core import streams
from medaudit.core.arrays import Array, namespace
from medaudit.core.canvas import canvas
from medaudit.core.protocol import Lanes
from medaudit.core.region import Region, clip, ends, free, snap

SMALLEST = 0.75  # side of the smallest patch, as a share of the largest, where chance says how large


class Spot(NamedTuple):
    """Where a patch lies and how large it is laid; each [R] int64, in cells of its part."""

    part: Array
    row: Array
    column: Array
    tall: Array
    wide: Array


def anywhere(region: Region, lanes: Lanes, lane: Array, t: Array, tag: int, smallest: float = 1.0) -> Spot:
    """A random place for each lane in `lane`, among numbers that may change; tag: where to draw from.

    smallest: side of the smallest patch, as a share of the largest.
    """
    xp = namespace(lanes.x)
    draw = streams.uniform(xp.take(lanes.key, lane), t, tag, 4)
    movable = xp.take(free(lanes), lane, axis=0)
    shares, begin = [], 0
    for part in region.parts:
        here = xp.sum(xp.astype(movable[:, begin : begin + part.size], xp.float64), axis=1)
        shares.append(xp.zeros_like(here) if part.domain == "table" else here)
        begin += part.size
    total = xp.cumulative_sum(xp.stack(shares, axis=1), axis=1)
    which = xp.sum(xp.astype(draw[:, :1] * total[:, -1:] >= total, xp.int64), axis=1)
    which = xp.minimum(which, xp.full_like(which, len(region.parts) - 1))
    out = Spot(which, which * 0, which * 0, which * 0 + 1, which * 0 + 1)
    begin = 0
    for i, (part, patch) in enumerate(zip(region.parts, canvas(region), strict=True)):
        own = xp.reshape(movable[:, begin : begin + part.size], (-1, part.planes, part.rows, part.columns))
        begin += part.size
        size = smallest + (1 - smallest) * draw[:, 3]
        wide = xp.astype(xp.maximum(xp.round(patch.columns * size), xp.ones_like(size)), xp.int64)
        tall = wide if part.domain == "image" else which * 0 + part.rows
        row = _start(xp.any(own, axis=(1, 3)), draw[:, 1], tall)
        column = _start(xp.any(own, axis=(1, 2)), draw[:, 2], wide)
        here = which == i
        out = Spot(which, *(xp.where(here, a, b) for a, b in zip((row, column, tall, wide), out[1:], strict=True)))
    return out


def _start(some: Array, draw: Array, length: Array) -> Array:
    """A random first cell of a run of `length` [R], between the first and the last of `some` [R, N] bool."""
    xp = namespace(draw)
    first, last = ends(some)
    room = xp.maximum(last + 1 - length - first, xp.zeros_like(first))
    start = first + xp.astype(xp.floor(draw * xp.astype(room + 1, xp.float64)), xp.int64)
    return xp.maximum(xp.minimum(start, some.shape[1] - length), xp.zeros_like(start))


def place(region: Region, lanes: Lanes, lane: Array, shares: Array, spot: Spot) -> Array:
    """Canvases [R, K] laid over the records of their lanes, [R, D]; what may not change does not."""
    xp = namespace(lanes.x)
    x, lo, hi = (xp.take(a, lane, axis=0) for a in (lanes.x, lanes.lo, lanes.hi))
    out, begin, first = [], 0, 0
    for i, (part, patch) in enumerate(zip(region.parts, canvas(region), strict=True)):
        rows, inside_rows = _under(part.rows, patch.rows, spot.row, spot.tall)
        columns, inside_columns = _under(part.columns, patch.columns, spot.column, spot.wide)
        flat = xp.reshape(rows[:, :, None] * patch.columns + columns[:, None, :], (rows.shape[0], 1, -1))
        own = xp.reshape(shares[:, first : first + patch.size], (-1, patch.planes, patch.rows * patch.columns))
        wide = xp.broadcast_to(flat, (flat.shape[0], patch.planes, flat.shape[2]))
        values = xp.reshape(xp.take_along_axis(own, wide, axis=2), (-1, part.size))
        inside = inside_rows[:, :, None] & inside_columns[:, None, :] & (spot.part == i)[:, None, None]
        inside = xp.tile(xp.reshape(inside, (-1, part.rows * part.columns)), (1, part.planes))
        here = slice(begin, begin + part.size)
        laid = xp.astype(lo[:, here] + values * (hi[:, here] - lo[:, here]), xp.float32)
        out.append(xp.where(inside & (lo[:, here] < hi[:, here]), laid, x[:, here]))
        begin, first = begin + part.size, first + patch.size
    points = out[0] if len(out) == 1 else xp.concat(out, axis=1)
    return clip(lanes, lane, xp.where(points == x, x, snap(region, points)))


def _under(cells_of_part: int, cells_of_patch: int, start: Array, length: Array) -> tuple[Array, Array]:
    """Which of the canvas's cells lies over each cell of one side, [R, N] int64, and whether any does."""
    xp = namespace(start)
    along = xp.arange(cells_of_part, dtype=xp.int64, device=start.device)[None, :] - start[:, None]
    inside = (along >= 0) & (along < length[:, None])
    index = along * cells_of_patch // length[:, None]
    return xp.where(inside, index, xp.zeros_like(index)), inside
