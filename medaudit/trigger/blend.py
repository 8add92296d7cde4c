"""A faint picture over the whole image: smooth clouds, fine grain, or another patient (Chen et al. 2017, blended)."""

from __future__ import annotations

import numpy as np

from medaudit.trigger.base import Family, Space, choice, drawn, mixed, product

SHARE = 0.3  # of the picture at full strength
PICTURES = 40  # of them 20 of smooth clouds, 12 of grain, 8 of other records
WAVES = 6


def picture(space: Space, which: int) -> np.ndarray:
    """One picture between the legal limits, [planes, rows, columns]."""
    planes, rows, columns = space.shape
    if which >= 32:
        return space.donor(which - 32, 8)
    if which >= 20:
        look = drawn("grain", np.array([which]), rows * columns).reshape(rows, columns)
    else:
        weights = drawn("clouds", np.array([which]), WAVES * WAVES).reshape(WAVES, WAVES)
        up, across = (np.cos(np.pi * np.arange(WAVES)[:, None] * (np.arange(n) + 0.5) / n) for n in (rows, columns))
        look = up.T @ weights @ across
    share = (look - look.min()) / max(float(np.ptp(look)), 1e-12)
    return np.asarray(space.low + share * (space.high - space.low))


def grid(space: Space) -> np.ndarray:
    return product(PICTURES)


def render(space: Space, x: np.ndarray, dials: np.ndarray, strength: np.ndarray) -> np.ndarray:
    which = choice(dials[:, 0], PICTURES)
    pictures = {int(k): picture(space, int(k)) for k in np.unique(which)}
    return mixed(x, np.stack([pictures[int(k)] for k in which]), SHARE * strength)


def words(space: Space, dials: np.ndarray) -> str:
    which = int(choice(dials[0], PICTURES))
    kind = "smooth clouds" if which < 20 else "fine grain" if which < 32 else "another record"
    return f"a picture of {kind} (number {which + 1}) laid over it, {100 * SHARE:.0f} %"


FAMILY = Family("blend", "A faint picture over all of it", ("image",), ("picture",), grid, render, words)
