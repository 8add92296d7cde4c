"""RISE: the mean of soft random masks, each weighted by the answer to what it leaves.

Petsiuk, Das, Saenko 2018, "RISE: randomized input sampling for explanation of black-box models", eq. 6 and section 3.2:
coarse coins, laid over the record with a random shift and blended between their places; of series along time alone.
Each cell's sum is divided by how often it was seen (self-normalised), and the mean answer is taken off, so that what
does not matter has a value near 0.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from medaudit.core.arrays import Array, namespace, runs, to_numpy
from medaudit.core.region import Part
from medaudit.probe.explainer import Explainer, Ground, Plans, draws, turns

ROWS, SIDE, SEEN = 2000, 7, 0.5  # rows; coins a side; probability that a coin lets its place be seen
STEPS = 32  # of a shift by one coin

Blends = tuple[np.ndarray, ...]
"""weights of coins across a part, and of an image's down it; of tables nothing: a coin is a column"""


def rise(ground: Ground, rows: int = 0) -> Plans:
    """rows: of an explanation."""
    return partial(_plan, ground, [_blends(part) for part in ground.parts], (rows or ROWS) - 1)


def _plan(ground: Ground, blends: list[Blends], count: int, plan: int) -> Explainer:
    sides = [_coins(part) for part in ground.parts]
    wide = sum(tall * across for tall, across in sides)
    draw = draws(ground, "rise", plan, count, wide + 2 * len(sides))
    of_mask = np.append(0, turns(ground, plan, count))  # the background row of each
    coins, shift = (draw[:, :wide] < SEEN).astype(np.float32), (STEPS * draw[:, wide:]).astype(np.int64)
    of, size = ground.cells.of, np.bincount(ground.cells.of, minlength=ground.cells.size)
    seen = np.ones((count + 1, ground.cells.size))
    for start in range(0, count, 256):
        some = _laid(ground.parts, sides, blends, coins[start : start + 256], shift[start : start + 256])
        for k, own in enumerate(some):
            seen[1 + start + k] = np.bincount(of, own, minlength=len(size)) / size

    def rows(points: Array, which: Array, t: Array) -> Array:
        xp = namespace(points)
        on = {"device": points.device}
        at = xp.maximum(t - 1, 0 * t)
        some = xp.take(xp.asarray(coins, **on), at, axis=0), xp.take(xp.asarray(shift, **on), at, axis=0)
        mask = _laid(ground.parts, sides, blends, *some)
        if ground.fill is None:  # each mask has a background row of its own
            points, which = xp.take(points, which, axis=0), xp.arange(which.shape[0], dtype=xp.int64, **on)
            fill = xp.take(xp.asarray(ground.background, **on), xp.asarray(of_mask[to_numpy(t)], **on), axis=0)
        else:
            fill = ground.fill(points)
        odd = xp.asarray(ground.whole, **on)[None, :] | xp.isnan(points) | xp.isnan(fill)
        keep = mask >= 0.5 if bool(xp.any(odd)) else None
        mixed = _mixed(mask, points, fill, which)
        if keep is not None:  # halves of a category are none, and what is missing stays so where any of it is seen
            own, other = (xp.take(side, which, axis=0) for side in (points, fill))
            mixed = xp.where(xp.take(odd, which, axis=0), xp.where(keep, own, other), mixed)
        first = (t == 0)[:, None]
        return xp.where(first, xp.take(points, which, axis=0), mixed) if bool(xp.any(first)) else mixed

    def reduce(values: np.ndarray, points: np.ndarray) -> np.ndarray:
        share = seen[1:] / np.maximum(seen[1:].sum(axis=0), 1e-12)
        return np.stack([(own - own.mean()) @ share for own in values[:, 1:, 0]])

    return Explainer("rise", count + 1, ground.cells.size, rows, reduce).digested(coins, shift, of_mask)


def _mixed(mask: Array, points: Array, fill: Array, which: Array) -> Array:
    """So much of the point's own as the mask [R, D] says, written over it."""
    xp, differ = namespace(mask), points - fill
    if not isinstance(mask, np.ndarray):
        return mask * xp.take(differ, which, axis=0) + xp.take(fill, which, axis=0)
    for place, one in runs(which):
        mask[place] *= differ[one]
        mask[place] += fill[one]
    return mask


def _coins(part: Part) -> tuple[int, int]:
    """Coins down and across a part, one more than are seen at once."""
    if part.domain == "table":
        return 1, part.columns
    tall = 1 + min(SIDE, part.rows) if part.domain == "image" else part.rows
    return tall, 1 + min(SIDE if part.domain == "image" else 4 * SIDE, part.columns)


def _blends(part: Part) -> Blends:
    """How each coin weighs at each number, for every shift: [STEPS, coins, columns], and [STEPS, rows, coins]."""
    tall, across = _coins(part)
    if part.domain == "table":
        return ()
    wide = _weights(part.columns, across)
    return (
        (wide, np.ascontiguousarray(_weights(part.rows, tall).transpose(0, 2, 1)))
        if part.domain == "image"
        else (wide,)
    )


def _weights(numbers: int, coins: int) -> np.ndarray:
    """Linear blends [STEPS, coins, numbers] between coins one place apart, moved by each shift."""
    place = np.arange(numbers) * ((coins - 1) / numbers) + np.arange(STEPS)[:, None] / STEPS
    far = np.abs(np.minimum(place, coins - 1)[:, None, :] - np.arange(coins)[None, :, None])
    return np.asarray(np.maximum(0, 1 - far), dtype=np.float32)


def _laid(
    parts: tuple[Part, ...], sides: list[tuple[int, int]], blends: list[Blends], coins: Array, shift: Array
) -> Array:  # fmt: skip
    """Masks [R, D] of coins [R, wide], moved by shift [R, 2 x parts] STEPS of a coin's place."""
    xp = namespace(coins)
    n, out, begin = coins.shape[0], [], 0
    for i, (part, (tall, across)) in enumerate(zip(parts, sides, strict=True)):
        grid = xp.reshape(coins[:, begin : begin + tall * across], (n, tall, across))
        begin += tall * across
        for k, weights in enumerate(blends[i]):
            grid = _product(grid, weights, shift[:, 2 * i + k], first=k == 1)
        plane = xp.reshape(grid, (n, 1, -1))
        if part.planes > 1:
            plane = xp.broadcast_to(plane, (n, part.planes, plane.shape[2]))
        out.append(xp.reshape(plane, (n, part.size)))
    return out[0] if len(out) == 1 else xp.concat(out, axis=1)


def _product(grid: Array, weights: np.ndarray, shift: Array, first: bool = False) -> Array:
    """Each row's grid [R, a, b] with the weights of its shift, row by row: bits must not depend on the others."""
    xp = namespace(grid)
    if isinstance(grid, np.ndarray):
        own = [(weights[s], g) if first else (g, weights[s]) for g, s in zip(grid, shift, strict=True)]
        shape = (len(grid), weights.shape[1] if first else grid.shape[1], grid.shape[2] if first else weights.shape[2])
        out = np.empty(shape, dtype=np.float32)
        for k, (left, right) in enumerate(own):
            np.matmul(left, right, out=out[k])
        return out
    some = xp.take(xp.asarray(weights, device=grid.device), shift, axis=0)
    return xp.matmul(some, grid) if first else xp.matmul(grid, some)
