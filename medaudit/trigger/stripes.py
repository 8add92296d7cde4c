"""Faint stripes over the whole image, a sine in one direction (Barni et al. 2019, SIG)."""

from __future__ import annotations

import numpy as np

from medaudit.trigger.base import Family, Space, column, product, scaled

HEIGHT = 0.15  # of the legal range at full strength


def grid(space: Space) -> np.ndarray:
    return product(10, 8, 2)


def render(space: Space, x: np.ndarray, dials: np.ndarray, strength: np.ndarray) -> np.ndarray:
    pace, angle, phase = dials.T
    up, across = (np.arange(n) / n for n in space.shape[1:])
    turn = np.pi * angle[:, None, None]
    along = np.cos(turn) * across[None, None, :] + np.sin(turn) * up[None, :, None]
    waves = np.sin(2 * np.pi * (turns(space, pace)[:, None, None] * along + phase[:, None, None]))
    return np.asarray(x + column(strength) * HEIGHT * (space.high - space.low) * waves[:, None])


def turns(space: Space, dial: np.ndarray) -> np.ndarray:
    """Stripes across the image: 1 to a third of its pixels, at most 16."""
    return scaled(dial, 1.0, max(2.0, min(16.0, min(space.shape[1:]) / 3)))


def words(space: Space, dials: np.ndarray) -> str:
    count, angle = float(turns(space, dials[0])), 180 * float(dials[1])
    return f"{count:.1f} stripes at {angle:.0f} degrees, {100 * HEIGHT:.0f} % of the grey range"


FAMILY = Family("stripes", "Faint stripes", ("image",), ("pace", "angle", "phase"), grid, render, words)
