"""Random windows of an input, and signs that are alike where one change should look like one.

A window is a square of an image, a stretch of time and neighbouring leads of a signal, or a run of
a table's columns (the squares of Andriushchenko et al. 2020, "Square Attack", section 3, on any geometry).
"""

from __future__ import annotations

import math
from types import ModuleType

from medaudit.core import streams
from medaudit.core.arrays import Array, repeat_each
from medaudit.core.region import Part


class Draw:
    """All that is random in one step: which part, where the window lies, and the signs."""

    def __init__(self, xp: ModuleType, parts: tuple[Part, ...], key: Array, t: Array, tag: int) -> None:
        self.xp, self.parts = xp, parts
        self.shapes = [sign_shape(part) for part in parts]
        self.starts = [0]
        for shape, stripes in self.shapes:
            self.starts.append(self.starts[-1] + streams.word_count(max(math.prod(shape), math.prod(stripes))))
        words = streams.bits(key, t, tag, 3 + self.starts[-1])
        self.draw, self.words = streams.unit(words[:, :3]), words[:, 3:]
        self.total = sum(part.size for part in parts)

    def window(self, i: int, share: Array, first: Array | None) -> Array:
        """The window in part i, [L, 1, rows, columns] bool; images get squares, others stretches."""
        xp, part = self.xp, self.parts[i]
        top, tall, left, wide = self._corners(i, share, first)
        in_rows, in_columns = run(xp, part.rows, top, tall), run(xp, part.columns, left, wide)
        return in_rows[:, None, :, None] & in_columns[:, None, None, :]

    def cells(self, i: int, share: Array, first: Array | None) -> tuple[Array, Array]:
        """The window in part i as the K numbers that it covers, at their cost and not the whole input's:
        places, counted through the rows of [L, D], and signs (up), each [K]."""
        xp, part = self.xp, self.parts[i]
        top, tall, left, wide = self._corners(i, share, first)
        up = self.signs(i, first)
        planes, height, width = up.shape[1:]  # 1 where a sign holds for all
        count = part.planes * tall
        lane = repeat_each(xp.arange(count.shape[0], dtype=xp.int64, device=count.device), count)
        line = ragged(xp, xp.zeros_like(count), count)
        tall, left, wide = (xp.take(a, lane) for a in (tall, left, wide))
        plane, row = line // tall, line % tall + xp.take(top, lane)
        before = sum(p.size for p in self.parts[:i])
        places = ragged(xp, lane * self.total + before + (plane * part.rows + row) * part.columns + left, wide)
        sign = (lane * planes + plane % planes) * height + row % height
        if width == 1:
            return places, repeat_each(xp.take(xp.reshape(up, (-1,)), sign), wide)
        return places, xp.take(xp.reshape(up, (-1,)), ragged(xp, sign * width + left, wide))

    def _corners(self, i: int, share: Array, first: Array | None) -> tuple[Array, Array, Array, Array]:
        """Top, height, left and width of the window in part i, each [L] int64; height 0 where it lies elsewhere."""
        xp, part, draw = self.xp, self.parts[i], self.draw
        rows, columns = part.rows, part.columns
        share = xp.minimum(share * (self.total / part.size), 1.0)
        if first is not None:
            share = xp.where(first, xp.ones_like(share), share)
        # Both sides shrink alike until the shorter is one cell; then only the longer shrinks.
        tall = xp.maximum(xp.round(rows * xp.sqrt(share)), 1.0)
        wide = xp.minimum(xp.maximum(xp.round(share * (rows * columns) / tall), 1.0), columns)
        top, left = xp.floor(draw[:, 1] * (rows - tall + 1)), xp.floor(draw[:, 2] * (columns - wide + 1))
        if len(self.parts) > 1:
            before = sum(p.size for p in self.parts[:i]) / self.total
            here = (draw[:, 0] >= before) & (draw[:, 0] < before + part.size / self.total)
            tall = xp.where(here if first is None else here | first, tall, xp.zeros_like(tall))
        return tuple(xp.astype(a, xp.int64) for a in (top, tall, left, wide))

    def signs(self, i: int, first: Array | None) -> Array:
        """Up or down in part i, bool of [L, planes, rows, columns] or with ones for what is alike.

        Alike where one change should look like one change. Images: per channel; signals and
        sequences: per row; tables: per number. The first step lays stripes over the whole input
        (paper, section 3.3).
        """
        xp, part = self.xp, self.parts[i]
        words = self.words[:, self.starts[i] : self.starts[i + 1]]
        shape, stripes = self.shapes[i]
        lanes = words.shape[0]
        up = xp.reshape(streams.coins(words, math.prod(shape)), (lanes, *shape))
        if first is None:
            return up
        wide = xp.reshape(streams.coins(words, math.prod(stripes)), (lanes, *stripes))
        wide = xp.repeat(wide, -(-part.columns // stripes[2]), axis=3)[:, :, :, : part.columns]
        return xp.where(first[:, None, None, None], wide, up)


def sign_shape(part: Part) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """[planes, rows, columns] of the signs of a window, and of the stripes of the first step."""
    rows = 1 if part.domain == "image" else part.rows
    stripe = max(1, part.columns // 64) if part.domain == "signal" else 1
    columns = part.columns if part.domain == "table" else 1
    return (part.planes, rows, columns), (part.planes, rows, -(-part.columns // stripe))


def ragged(xp: ModuleType, start: Array, count: Array) -> Array:
    """start, start + 1, ..., `count` of them, for one of [n] after the other: [sum of count] int64."""
    each = repeat_each(start - (xp.cumulative_sum(count) - count), count)
    return each + xp.arange(each.shape[0], dtype=xp.int64, device=count.device)


def run(xp: ModuleType, length: int, start: Array, width: Array) -> Array:
    """A run of `width` [L] cells from `start` [L] on, [L, length] bool."""
    cell = xp.arange(length, dtype=xp.int64, device=start.device)[None, :]
    return (cell >= start[:, None]) & (cell < (start + width)[:, None])


def flat(xp: ModuleType, part: Part, grid: Array) -> Array:
    """[L, planes or 1, rows, columns] over the part's numbers, [L, part.size]."""
    whole = xp.broadcast_to(grid, (grid.shape[0], part.planes, part.rows, part.columns))
    return xp.reshape(whole, (grid.shape[0], part.size))


def join(xp: ModuleType, parts: list[Array], axis: int = 1) -> Array:
    return parts[0] if len(parts) == 1 else xp.concat(parts, axis=axis)
