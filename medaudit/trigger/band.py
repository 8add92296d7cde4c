"""One band of frequencies louder, silent, or turned in phase."""

from __future__ import annotations

import numpy as np

from medaudit.trigger.base import Family, Space, choice, one_of, product

BANDS = 16
KINDS = ("four times as loud", "silent", "turned by half a turn")


def edges(space: Space) -> np.ndarray:
    """Borders of the bands, in turns a record; each band is as many times as wide as the one below."""
    most = space.shape[2] // 2
    return np.unique(np.round(np.geomspace(1, most + 1, BANDS + 1)).astype(int))


def grid(space: Space) -> np.ndarray:
    return product(len(edges(space)) - 1, len(KINDS))


def render(space: Space, x: np.ndarray, dials: np.ndarray, strength: np.ndarray) -> np.ndarray:
    border = edges(space)
    band, kind = choice(dials[:, 0], len(border) - 1), choice(dials[:, 1], len(KINDS))
    turned = np.fft.rfft(x, axis=-1)
    at = np.arange(turned.shape[-1])[None, :]
    inside = (at >= border[band][:, None]) & (at < border[band + 1][:, None])
    factor = np.array([4.0, 0.0, -1.0])[kind][:, None]
    gain = np.where(inside, 1 + strength[:, None] * (factor - 1), 1.0)
    changed = np.fft.irfft(turned * gain[:, None, None, :], n=x.shape[-1], axis=-1)
    return np.asarray(np.where((strength > 0)[:, None, None, None], changed, x))


def words(space: Space, dials: np.ndarray) -> str:
    border = edges(space)
    band, kind = int(choice(dials[0], len(border) - 1)), one_of(dials[1], KINDS)
    low, high = (float(border[band + i]) for i in (0, 1))
    rate = space.item.rate
    if rate > 0:
        return f"what lies from {low * rate / space.shape[2]:.3g} to {high * rate / space.shape[2]:.3g} Hz {kind}"
    return f"what turns {low:g} to {high - 1:g} times in a record {kind}"


FAMILY = Family("band", "One band of frequencies changed", ("signal", "sequence"), ("band", "kind"),
                grid, render, words, lambda space: "" if space.shape[2] >= 16 else "too short for bands")  # fmt: skip
