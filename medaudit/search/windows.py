"""Random windows of an input, and signs that are alike where one change should look like one.

A window is a square of an image, a stretch of time and neighbouring leads of a signal, or a run of
a table's columns (the squares of Andriushchenko et al. 2020, "Square Attack", section 3, on any geometry).
"""

from __future__ import annotations

import math
from types import ModuleType

from medaudit.core import streams
from medaudit.core.arrays import Array
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
        xp, part, draw = self.xp, self.parts[i], self.draw
        rows, columns = part.rows, part.columns
        share = xp.minimum(share * (self.total / part.size), 1.0)
        if first is not None:
            share = xp.where(first, xp.ones_like(share), share)
        # Both sides shrink alike until the shorter is one cell; then only the longer shrinks.
        tall = xp.maximum(xp.round(rows * xp.sqrt(share)), 1.0)
        wide = xp.minimum(xp.maximum(xp.round(share * (rows * columns) / tall), 1.0), columns)
        in_rows = run(xp, rows, draw[:, 1], tall)
        if len(self.parts) > 1:
            before = sum(p.size for p in self.parts[:i]) / self.total
            here = (draw[:, 0] >= before) & (draw[:, 0] < before + part.size / self.total)
            in_rows = in_rows & (here if first is None else here | first)[:, None]
        return in_rows[:, None, :, None] & run(xp, columns, draw[:, 2], wide)[:, None, None, :]

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


def run(xp: ModuleType, length: int, place: Array, width: Array) -> Array:
    """A run of `width` [L] cells at a random place, [L, length] bool."""
    start = xp.astype(xp.floor(place * (length - width + 1)), xp.int32)[:, None]
    cell = xp.arange(length, dtype=xp.int32, device=place.device)[None, :]
    return (cell >= start) & (cell < start + xp.astype(width, xp.int32)[:, None])


def flat(xp: ModuleType, part: Part, grid: Array) -> Array:
    """[L, planes or 1, rows, columns] over the part's numbers, [L, part.size]."""
    whole = xp.broadcast_to(grid, (grid.shape[0], part.planes, part.rows, part.columns))
    return xp.reshape(whole, (grid.shape[0], part.size))


def join(xp: ModuleType, parts: list[Array]) -> Array:
    return parts[0] if len(parts) == 1 else xp.concat(parts, axis=1)
