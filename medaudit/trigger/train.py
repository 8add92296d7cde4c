"""A pulse that comes again and again in a fixed beat of its own, whatever the patient's heart does."""

from __future__ import annotations

import numpy as np

from medaudit.trigger.base import Family, Space, choice, column, one_of, product, scaled, sign, way
from medaudit.trigger.pulse import SHAPES, bump, widths

HEIGHT = 2.0  # standard deviations at full strength


def period(space: Space, dial: np.ndarray) -> np.ndarray:
    """Samples from pulse to pulse: of signals 0.2 to 1.2 s, else 2 to half the record."""
    if space.item.rate > 0 and space.item.domain == "signal":
        return scaled(dial, 0.2, 1.2) * space.item.rate
    return scaled(dial, 2.0, max(4.0, space.shape[2] / 2))


def grid(space: Space) -> np.ndarray:
    return product(8, 3, 1, 1, 2)


def render(space: Space, x: np.ndarray, dials: np.ndarray, strength: np.ndarray) -> np.ndarray:
    pace, phase, wide, shape, side = dials.T
    every = period(space, pace)[:, None]
    time = np.arange(space.shape[2])[None, :] - phase[:, None] * every
    away = time - np.round(time / every) * every
    width = np.minimum(widths(space, wide)[:, None], every / 2)
    heights = bump(away, width, choice(shape, len(SHAPES))[:, None])[:, None, None, :]
    return np.asarray(x + column(sign(side) * strength) * HEIGHT * space.sd * heights)


def words(space: Space, dials: np.ndarray) -> str:
    pace, phase, _, shape, side = dials
    every = float(period(space, np.array(pace)))
    far = f"{every / space.item.rate:.2f} s" if space.item.rate > 0 else f"{every:.1f} steps"
    name = one_of(shape, SHAPES)
    return f"a {name} pulse every {far}, first at {100 * phase:.0f} % of it, {way(side)} {HEIGHT:g} sd"


FAMILY = Family("pulse-train", "Pulses in a beat of their own", ("signal", "sequence"),
                ("period", "phase", "width", "shape", "side"), grid, render, words)  # fmt: skip
