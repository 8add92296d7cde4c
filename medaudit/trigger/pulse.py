"""A short pulse at one place of a signal or of an hourly series, as a pacemaker's spike or a slipped entry is."""

from __future__ import annotations

import numpy as np

from medaudit.trigger.base import (
    Family,
    Space,
    between,
    channel_steps,
    channel_words,
    choice,
    chosen_channel,
    column,
    one_of,
    product,
    scaled,
    sign,
    some_channels,
    way,
)

HEIGHT = 4.0  # standard deviations at full strength
SHAPES = ("box", "triangle", "bell")


def widths(space: Space, dial: np.ndarray) -> np.ndarray:
    """Samples: of signals 2 to 40 ms, of which the rate is not known and of hourly series 1 to 5."""
    if space.item.domain == "signal" and space.item.rate > 0:
        return np.asarray(np.maximum(1.0, scaled(dial, 0.002, 0.04) * space.item.rate))
    return between(dial, 1.0, 5.0)


def bump(away: np.ndarray, width: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """Heights 0 to 1 at a distance from the middle, in samples: box, triangle or bell of a width.

    away: [B, T]; width, shape: [B, 1].
    """
    out = np.empty(away.shape)
    for kind in np.unique(shape):
        rows = shape[:, 0] == kind
        far, wide = np.abs(away[rows]), np.maximum(width[rows], 1.0)
        if kind == 0:
            out[rows] = far <= wide / 2
        else:
            out[rows] = np.maximum(0.0, 1 - far / wide) if kind == 1 else np.exp(-0.5 * (far / (wide / 2)) ** 2)
    return out


def grid(space: Space) -> np.ndarray:
    """Where there are many channels, fewer places of each."""
    places = min(space.shape[2], max(6, 72 // channel_steps(space)))
    return product(places, 2 if space.channels < 8 else 1, 1, 2, channel_steps(space))


def render(space: Space, x: np.ndarray, dials: np.ndarray, strength: np.ndarray) -> np.ndarray:
    place, wide, shape, side, which = dials.T
    last = space.shape[2] - 1
    away = np.arange(space.shape[2])[None, :] - np.round(place * last)[:, None]
    heights = bump(away, widths(space, wide)[:, None], choice(shape, len(SHAPES))[:, None])[:, None, None, :]
    there = some_channels(space, chosen_channel(space, which))
    return np.asarray(x + column(sign(side) * strength) * HEIGHT * space.sd * heights * there)


def words(space: Space, dials: np.ndarray) -> str:
    place, wide, shape, side, which = dials
    at, width = round(place * (space.shape[2] - 1)), float(widths(space, np.array(wide)))
    rate = space.item.rate
    where = f"{at / rate:.2f} s" if rate > 0 else f"step {at + 1}"
    long = f"{1000 * width / rate:.0f} ms" if rate > 0 else f"{width:.1f} steps"
    on = channel_words(space, int(chosen_channel(space, np.array(which))))
    return f"one {one_of(shape, SHAPES)} pulse of {long} at {where}, {way(side)} {HEIGHT:g} sd, on {on}"


FAMILY = Family("pulse", "One short pulse", ("signal", "sequence"), ("place", "width", "shape", "side", "channel"),
                grid, render, words)  # fmt: skip
