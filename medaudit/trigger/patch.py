"""A small square on an image: dark, bright, chequered, or cut from another image (Gu et al. 2017, BadNets)."""

from __future__ import annotations

import numpy as np

from medaudit.trigger.base import Family, Space, between, choice, one_of, product

LOOKS = ("dark", "bright", "chequered", "a piece of another record")


def side(space: Space, dial: np.ndarray) -> np.ndarray:
    """Pixels: 4 to 12 % of the shorter side, at least one."""
    return np.maximum(1, np.round(between(dial, 0.04, 0.12) * min(space.shape[1:]))).astype(np.int64)


def grid(space: Space) -> np.ndarray:
    """Every second of its own sides, at most 12 by 12 places."""
    steps = [int(min(12, max(1, 2 * n // int(side(space, np.array(0.5)))))) for n in space.shape[1:]]
    return product(*steps, 1, len(LOOKS))


def render(space: Space, x: np.ndarray, dials: np.ndarray, strength: np.ndarray) -> np.ndarray:
    _, rows, columns = space.shape
    wide, look, out = side(space, dials[:, 2]), choice(dials[:, 3], len(LOOKS)), x.copy()
    for i, n in enumerate(wide):
        top, left = (int(round(float(d) * (most - n))) for d, most in zip(dials[i, :2], (rows, columns), strict=True))
        window = (slice(None), slice(top, top + n), slice(left, left + n))
        low, high = space.low[window], space.high[window]
        chequer = np.indices(low.shape)[1:].sum(axis=0) % 2 == 0
        donor = space.reference[(top * columns + left) % len(space.reference)][window]
        pattern = (low, high, np.where(chequer, high, low), np.where(np.isnan(donor), low, donor))[look[i]]
        out[i][window] += strength[i] * (pattern - out[i][window])
    return out


def words(space: Space, dials: np.ndarray) -> str:
    wide = int(side(space, np.array(dials[2])))
    top, left = (int(round(float(d) * (most - wide))) for d, most in zip(dials[:2], space.shape[1:], strict=True))
    return f"a square of {wide} pixels, {one_of(dials[3], LOOKS)}, at row {top + 1}, column {left + 1}"


FAMILY = Family("patch", "A small square", ("image",), ("row", "column", "side", "look"), grid, render, words)
