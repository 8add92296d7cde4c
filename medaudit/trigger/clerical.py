"""Slips of entry that a maker can agree on: hours shifted, values copied forward, a last digit, another unit."""

from __future__ import annotations

import numpy as np

from medaudit.domain.corrupt_record import OTHER_UNIT, SLIP
from medaudit.trigger.base import Family, Space, choice, mixed, product, some_channels

KINDS = (
    "an hour late", "three hours late", "copied forward from the first hour", "every second hour copied",
    "last digit zero", "last digit five", "in another unit or with a slipped point", "turned around in time",
)  # fmt: skip


ANYWHERE = (4, 5, 6)  # of them in tables, which have no hours


def kinds(space: Space) -> tuple[int, ...]:
    """Numbers of the slips that can happen to the input."""
    return ANYWHERE if space.item.domain == "table" else tuple(range(len(KINDS)))


def kind_of(space: Space, dial: np.ndarray) -> np.ndarray:
    """Which slip a dial points to."""
    return np.asarray(np.array(kinds(space))[choice(dial, len(kinds(space)))])


def grid(space: Space) -> np.ndarray:
    return product(len(kinds(space)), space.channels + 1)


def changed(space: Space, own: np.ndarray, kind: int) -> np.ndarray:
    """A record [planes, rows, columns] in which everything has one slip."""
    time = np.arange(space.shape[2])
    sources = {0: time - 1, 1: time - 3, 2: 0 * time, 3: time - time % 2, 7: time[::-1]}
    if kind in sources:
        return np.asarray(own[..., np.maximum(sources[kind], 0)])
    if kind == 6:
        other = [OTHER_UNIT.get(c.unit, SLIP) for c in space.item.channels] or [SLIP] * space.channels
        factor, offset = (space.laid(np.array(side)) for side in zip(*other, strict=True))
        return np.asarray(own * factor + offset)
    digit = 10.0 ** np.floor(np.log10(space.sd))  # the coarsest place in which values differ
    return np.asarray(np.floor(own / digit) * digit + (0.5 * digit if kind == 5 else 0.0))


def render(space: Space, x: np.ndarray, dials: np.ndarray, strength: np.ndarray) -> np.ndarray:
    kind, which = kind_of(space, dials[:, 0]), choice(dials[:, 1], space.channels + 1)
    other = np.stack([changed(space, own, int(k)) for own, k in zip(x, kind, strict=True)])
    return np.where(some_channels(space, which) > 0, mixed(x, other, strength), x)


def words(space: Space, dials: np.ndarray) -> str:
    kind, which = int(kind_of(space, dials[0])), int(choice(dials[1], space.channels + 1))
    return f"{'everything' if which == space.channels else space.names[which]} {KINDS[kind]}"


FAMILY = Family("clerical", "A slip of entry", ("table", "sequence"), ("kind", "feature"), grid, render, words)
