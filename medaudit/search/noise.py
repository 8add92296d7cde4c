"""Sign noise for eight rows at a time: bit r of a number's byte is its sign in row r.

A byte a number is all that is drawn and moved; the points of the eight rows are chosen from two
ready ones, and sums over the rows are counts of bits.

Noise may be alike inside small cells of signals and images: what moves a decision is mostly
smooth, and in cells there are far fewer directions to try (the subspace idea of Li et al. 2020,
"QEBA", section 3.2).
"""

from __future__ import annotations

import numpy as np

from medaudit.core import streams
from medaudit.core.arrays import Array, namespace, popcount
from medaudit.core.region import Part, Region

ROWS = 8
CHUNK = 1 << 16  # numbers whose points are chosen at once: they fit a core's own cache


def cell_of(part: Part) -> tuple[int, int]:
    """Rows and columns of numbers that share a sign: about a sixteenth of an image's side, 16
    samples of a signal."""
    if part.domain == "image":
        side = max(1, (min(part.rows, part.columns) + 8) // 16)
        return side, side
    return (1, max(1, min(16, part.columns // 64))) if part.domain == "signal" else (1, 1)


def octets(region: Region, key: Array, t: Array, tag: int, single: Array) -> Array:
    """Bytes of one tick [P, D] at (key [P], t [P], tag): of `single` numbers [P] bool, or alike in cells."""
    xp = namespace(key)
    size = sum(part.size for part in region.parts)
    if all(cell_of(part) == (1, 1) for part in region.parts):
        return streams.octets(key, t, tag, size)
    fine, coarse = xp.nonzero(single)[0], xp.nonzero(xp.logical_not(single))[0]
    pieces = []
    if fine.shape[0]:
        pieces.append(streams.octets(xp.take(key, fine), xp.take(t, fine), tag, size))
    if coarse.shape[0]:
        own, now = xp.take(key, coarse), xp.take(t, coarse)
        parts = [_in_cells(own, now, tag + 1 + i, part, cell_of(part)) for i, part in enumerate(region.parts)]
        pieces.append(parts[0] if len(parts) == 1 else xp.concat(parts, axis=1))
    if len(pieces) == 1:
        return pieces[0]
    back = xp.argsort(xp.concat((fine, coarse)), stable=True)
    return xp.take(xp.concat(pieces, axis=0), back, axis=0)


def _in_cells(key: Array, t: Array, tag: int, part: Part, cell: tuple[int, int]) -> Array:
    """Bytes of one part that are alike inside cells, uint8 [P, part.size]."""
    tall, wide = -(-part.rows // cell[0]), -(-part.columns // cell[1])
    flat = streams.octets(key, t, tag, part.planes * tall * wide)
    xp = namespace(flat)
    grid = xp.reshape(flat, (key.shape[0], part.planes, tall, wide))
    grid = xp.repeat(grid, cell[1], axis=3)[:, :, :, : part.columns]
    if cell[0] > 1:
        grid = xp.repeat(grid, cell[0], axis=2)[:, :, : part.rows, :]
    return xp.reshape(grid, (key.shape[0], part.size))


def either(noise: Array, heads: Array, tails: Array, out: Array) -> None:
    """Fill rows `out` [P * 8, D]: each number from `heads` [P, D] where its bit is set, else from `tails`."""
    xp = namespace(heads)
    lanes, d = heads.shape
    if not isinstance(heads, np.ndarray):
        place = xp.arange(ROWS, dtype=xp.uint8, device=heads.device)
        on = xp.bitwise_and(xp.bitwise_right_shift(noise[:, None, :], place[None, :, None]), xp.ones_like(place[0])) > 0
        out[:, :] = xp.reshape(xp.where(on, heads[:, None, :], tails[:, None, :]), (lanes * ROWS, d))
        return
    # `where` costs several ns a number on random masks; shifting the bit over a word and masking, under one.
    low = np.asarray(tails, dtype=np.float32).view(np.int32)
    flip = np.asarray(heads, dtype=np.float32).view(np.int32) ^ low
    words = out.view(np.int32).reshape(lanes, ROWS, d)
    for begin in range(0, lanes, step := max(1, CHUNK // (ROWS * d))):
        here = slice(begin, begin + step)
        rows = words[here]
        np.left_shift(noise[here].astype(np.int32)[:, None, :], _TO_SIGN_BIT, out=rows)
        rows >>= 31
        rows &= flip[here, None, :]
        rows ^= low[here, None, :]


_TO_SIGN_BIT = (31 - np.arange(ROWS, dtype=np.int32))[:, None]


def balance(noise: Array) -> Array:
    """Sum of each number's eight signs, float32 [P, D]."""
    xp = namespace(noise)
    return xp.astype(popcount(noise), xp.float32) * 2 - ROWS


def agreement(noise: Array, outcome: Array) -> Array:
    """Sum over the rows of sign times outcome (+1 where `outcome` [P, 8] is true, else -1), [P, D]."""
    xp = namespace(noise)
    place = 2 ** xp.arange(ROWS, dtype=xp.int64, device=noise.device)
    byte = xp.sum(xp.where(outcome, place, xp.zeros_like(place)), axis=1)
    return -balance(xp.bitwise_xor(noise, xp.astype(byte, xp.uint8)[:, None]))


def weighted(noise: Array, weight: Array) -> Array:
    """Sum over the rows of sign times `weight` [P, 8] float32, [P, D]: one table of 256 sums a lane."""
    xp = namespace(noise)
    byte = xp.arange(256, dtype=xp.int64, device=noise.device)[:, None]
    place = xp.arange(ROWS, dtype=xp.int64, device=noise.device)[None, :]
    sign = xp.astype(xp.bitwise_and(xp.bitwise_right_shift(byte, place), xp.ones_like(byte)), xp.float32) * 2 - 1
    table = xp.sum(weight[:, None, :] * sign[None, :, :], axis=2)
    lane = xp.arange(noise.shape[0], dtype=xp.int64, device=noise.device)[:, None] * 256
    index = xp.reshape(xp.astype(noise, xp.int64) + lane, (-1,))
    return xp.reshape(xp.take(xp.reshape(table, (-1,)), index), noise.shape)
