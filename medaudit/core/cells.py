"""Coarse random patterns: one sign for each of a few dozen cells of neighbouring numbers."""

from __future__ import annotations

from medaudit.core import streams
from medaudit.core.arrays import Array, namespace
from medaudit.core.region import Part

CELLS = 32  # at most so many a part


def signs(parts: tuple[Part, ...], keys: Array, step: Array, tag: int, most: int = CELLS) -> Array:
    """+1 or -1 for every number, alike inside cells, float32 [L, D]; at (keys [L], step [L], tag)."""
    xp = namespace(keys)
    out = []
    for i, part in enumerate(parts):
        tall, wide = part.rows, part.columns
        while tall * wide > most:  # halve the longer side
            tall, wide = (tall, -(-wide // 2)) if wide >= tall else (-(-tall // 2), wide)
        words = streams.bits(keys, step, tag + i, streams.word_count(tall * wide))
        grid = xp.reshape(xp.astype(streams.coins(words, tall * wide), xp.float32), (keys.shape[0], 1, tall, wide))
        grid = xp.repeat(2 * grid - 1, -(-part.columns // wide), axis=3)[:, :, :, : part.columns]
        grid = xp.repeat(grid, -(-part.rows // tall), axis=2)[:, :, : part.rows, :]
        whole = xp.broadcast_to(grid, (keys.shape[0], part.planes, part.rows, part.columns))
        out.append(xp.reshape(whole, (keys.shape[0], part.size)))
    return out[0] if len(out) == 1 else xp.concat(out, axis=1)
