"""A slow movement of the whole record: a wandering baseline, a ramp, a step, a shift."""

from __future__ import annotations

import numpy as np

from medaudit.trigger.base import (
    Family,
    Space,
    channel_steps,
    channel_words,
    choice,
    chosen_channel,
    column,
    one_of,
    product,
    sign,
    some_channels,
    way,
)

HEIGHT = 1.5  # standard deviations at full strength
KINDS = ("slow wave", "ramp", "step", "shift")


def curve(space: Space, kind: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Heights -1 to 1 along the record, [B, T]."""
    time = np.linspace(0.0, 1.0, space.shape[2])[None, :]
    where = place[:, None]
    waves = np.sin(2 * np.pi * ((0.5 + 2.5 * where) * time + where))
    each = [waves, 2 * time - 1 + 0 * where, np.where(time >= where, 1.0, 0.0), 1.0 + 0 * (time + where)]
    return np.choose(kind[:, None], np.broadcast_arrays(*each))


def grid(space: Space) -> np.ndarray:
    """Where there are many channels, fewer places of each."""
    return product(len(KINDS), 6 if space.channels < 8 else 2, 2, channel_steps(space))


def render(space: Space, x: np.ndarray, dials: np.ndarray, strength: np.ndarray) -> np.ndarray:
    kind, place, side, which = dials.T
    heights = curve(space, choice(kind, len(KINDS)), place)[:, None, None, :]
    there = some_channels(space, chosen_channel(space, which))
    return np.asarray(x + column(sign(side) * strength) * HEIGHT * space.sd * heights * there)


def words(space: Space, dials: np.ndarray) -> str:
    kind, place, side, which = dials
    on = channel_words(space, int(chosen_channel(space, np.array(which))))
    name = one_of(kind, KINDS)
    at = "" if name in ("ramp", "shift") else f" at {100 * place:.0f} % of its dial"
    return f"a {name}{at}, {way(side)} {HEIGHT:g} sd, on {on}"


FAMILY = Family("drift", "A slow movement of the whole record", ("signal", "sequence"),
                ("kind", "place", "side", "channel"), grid, render, words)  # fmt: skip
