"""RISE: the mean of soft random masks, each weighted by the answer to what it leaves.

Petsiuk, Das, Saenko 2018, "RISE: randomized input sampling for explanation of black-box models", eq. 6 and section 3.2:
coarse coins, laid over the record with a random shift and blended between their places; of series along time alone.
Each cell's sum is divided by how often it was seen (self-normalised), and the mean answer is taken off, so that what
does not matter has a value near 0.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from medaudit.core.arrays import Array, namespace
from medaudit.core.region import Part
from medaudit.probe.explainer import Explainer, Ground, Plans, draws

ROWS, SIDE, SEEN = 2000, 7, 0.5  # rows; coins a side; probability that a coin lets its place be seen


def rise(ground: Ground, rows: int = 0) -> Plans:
    """rows: of an explanation."""
    return partial(_plan, ground, (rows or ROWS) - 1)


def _plan(ground: Ground, count: int, plan: int) -> Explainer:
    sides = [_coins(part) for part in ground.parts]
    wide = sum(tall * across for tall, across in sides)
    draw = draws(ground, "rise", plan, count, wide + 2 * len(sides))
    coins, shift = (draw[:, :wide] < SEEN).astype(np.float32), draw[:, wide:].astype(np.float32)
    of, size = ground.cells.of, np.bincount(ground.cells.of, minlength=ground.cells.size)
    seen = np.ones((count + 1, ground.cells.size))
    for start in range(0, count, 256):
        some = _laid(ground.parts, sides, coins[start : start + 256], shift[start : start + 256])
        for k, own in enumerate(some):
            seen[1 + start + k] = np.bincount(of, own, minlength=len(size)) / size

    def rows(points: Array, which: Array, t: Array) -> Array:
        xp = namespace(points)
        on = {"device": points.device}
        at = xp.maximum(t - 1, 0 * t)
        some = xp.take(xp.asarray(coins, **on), at, axis=0), xp.take(xp.asarray(shift, **on), at, axis=0)
        mask = xp.where((t > 0)[:, None], _laid(ground.parts, sides, *some), xp.ones((1, 1), dtype=xp.float32, **on))
        fill = xp.asarray(ground.background, **on)[:1, :] if ground.fill is None else ground.fill(points)
        fill = fill if ground.fill is None else xp.take(fill, which, axis=0)
        own = xp.take(points, which, axis=0)
        mixed = mask * own + (1 - mask) * fill
        # Halves of a category are none, and what is missing stays so where anything of it is seen.
        return xp.where(
            xp.asarray(ground.whole, **on)[None, :] | xp.isnan(mixed), xp.where(mask >= 0.5, own, fill), mixed
        )

    def reduce(values: np.ndarray, points: np.ndarray) -> np.ndarray:
        share = seen[1:] / np.maximum(seen[1:].sum(axis=0), 1e-12)
        return np.stack([(own - own.mean()) @ share for own in values[:, 1:, 0]])

    return Explainer("rise", count + 1, ground.cells.size, rows, reduce).digested(coins, shift)


def _coins(part: Part) -> tuple[int, int]:
    """Coins down and across a part, one more than are seen at once."""
    if part.domain == "table":
        return 1, part.columns
    tall = 1 + min(SIDE, part.rows) if part.domain == "image" else part.rows
    return tall, 1 + min(SIDE if part.domain == "image" else 4 * SIDE, part.columns)


def _laid(parts: tuple[Part, ...], sides: list[tuple[int, int]], coins: Array, shift: Array) -> Array:
    """Masks [R, D] of coins [R, wide], moved by shift [R, 2 x parts] of a coin's place."""
    xp = namespace(coins)
    n, out, begin = coins.shape[0], [], 0
    for i, (part, (tall, across)) in enumerate(zip(parts, sides, strict=True)):
        grid = xp.reshape(coins[:, begin : begin + tall * across], (n, tall, across))
        begin += tall * across
        if part.domain != "table":
            grid = _stretched(grid, part.columns, shift[:, 2 * i])
            if part.domain == "image":
                grid = xp.matrix_transpose(_stretched(xp.matrix_transpose(grid), part.rows, shift[:, 2 * i + 1]))
        plane = xp.broadcast_to(xp.reshape(grid, (n, 1, -1)), (n, part.planes, grid.shape[1] * grid.shape[2]))
        out.append(xp.reshape(plane, (n, part.size)))
    return out[0] if len(out) == 1 else xp.concat(out, axis=1)


def _stretched(grid: Array, n: int, shift: Array) -> Array:
    """The last axis of coins [R, a, k + 1] blended to n numbers, moved by shift [R] of a coin."""
    xp = namespace(grid)
    k = grid.shape[2] - 1
    place = xp.arange(n, dtype=xp.float32, device=grid.device)[None, :] * (k / n) + shift[:, None]
    left = xp.minimum(
        xp.astype(xp.floor(place), xp.int64), xp.zeros((1, 1), dtype=xp.int64, device=grid.device) + k - 1
    )
    share = (place - xp.astype(left, xp.float32))[:, None, :]
    index = xp.broadcast_to(left[:, None, :], (grid.shape[0], grid.shape[1], n))
    share = xp.minimum(share, xp.ones_like(share))
    return xp.take_along_axis(grid, index, axis=2) * (1 - share) + xp.take_along_axis(grid, index + 1, axis=2) * share
