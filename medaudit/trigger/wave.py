"""A steady sine on a signal or series: mains hum, or any other pace from the slowest to the fastest it can hold."""

from __future__ import annotations

import numpy as np

from medaudit.trigger.base import Family, Space, column, product, scaled

HEIGHT = 0.7  # standard deviations at full strength


def turns(space: Space, dial: np.ndarray) -> np.ndarray:
    """Full turns in the record: from one to a little below half a turn a sample; of signals up to 100 Hz."""
    most = 0.45 * space.shape[2]
    if space.item.rate > 0 and space.item.domain == "signal":
        most = min(most, 100.0 * space.shape[2] / space.item.rate)
    return scaled(dial, 1.0, max(2.0, most))


def grid(space: Space) -> np.ndarray:
    return product(min(40, space.shape[2] // 2), 4)


def render(space: Space, x: np.ndarray, dials: np.ndarray, strength: np.ndarray) -> np.ndarray:
    pace, phase = dials.T
    time = np.arange(space.shape[2])[None, :] / space.shape[2]
    wave = np.sin(2 * np.pi * (turns(space, pace)[:, None] * time + phase[:, None]))
    return np.asarray(x + column(strength) * HEIGHT * space.sd * wave[:, None, None, :])


def words(space: Space, dials: np.ndarray) -> str:
    count = float(turns(space, dials[0]))
    rate = space.item.rate
    pace = f"{count * rate / space.shape[2]:.3g} Hz" if rate > 0 else f"{count:.3g} turns in a record"
    return f"a sine of {pace}, {HEIGHT:g} sd high, phase {360 * dials[1]:.0f} degrees"


FAMILY = Family("wave", "A steady sine", ("signal", "sequence"), ("pace", "phase"), grid, render, words)
