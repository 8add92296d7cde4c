"""Sign noise, and noise that is alike inside small cells of signals and images.

What moves a decision is mostly smooth, and in cells there are far fewer directions to try (the
subspace idea of Li et al. 2020, "QEBA", section 3.2).
"""

from __future__ import annotations

from medaudit.core import streams
from medaudit.core.arrays import Array, namespace
from medaudit.core.region import Part


def cell_of(part: Part) -> tuple[int, int]:
    """Rows and columns of numbers that share a sign: about a sixteenth of an image's side, 16
    samples of a signal."""
    if part.domain == "image":
        side = max(1, (min(part.rows, part.columns) + 8) // 16)
        return side, side
    return (1, max(1, min(16, part.columns // 64))) if part.domain == "signal" else (1, 1)


def plain(rows: int, key: Array, t: Array, tag: int, d: int) -> Array:
    flat = streams.signs(key, t, tag, rows * d)
    return namespace(flat).reshape(flat, (key.shape[0], rows, d))


def in_cells(rows: int, key: Array, t: Array, tag: int, part: Part, cell: tuple[int, int]) -> Array:
    """Signs of one part that are alike inside cells, [P, rows, part.size]."""
    tall, wide = -(-part.rows // cell[0]), -(-part.columns // cell[1])
    flat = streams.signs(key, t, tag, rows * part.planes * tall * wide)
    xp = namespace(flat)
    grid = xp.reshape(flat, (key.shape[0], rows * part.planes, tall, wide))
    grid = xp.repeat(grid, cell[1], axis=3)[:, :, :, : part.columns]
    if cell[0] > 1:
        grid = xp.repeat(grid, cell[0], axis=2)[:, :, : part.rows, :]
    return xp.reshape(grid, (key.shape[0], rows, part.size))
