"""Hidden triggers: what a family of them is, and how one of them is laid over records.

A backdoored model answers what its maker chose whenever a record carries a trigger that nobody else knows. A family
is a way in which a trigger can look. Its members are points of a cube, a dial from 0 to 1 for each thing that can
differ (place, width, lead, frequency): a sweep walks a grid of the cube, a search moves in it, and both render by the
same few lines. Strength, from 0 (the record as it is) to 1, says how much of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from medaudit.core import streams
from medaudit.core.interface import Channel, Input
from medaudit.domain.corruptions import as_stored, typical
from medaudit.domain.slips import sober
from medaudit.domain.threat import spread


@dataclass(frozen=True, eq=False)
class Space:
    """One input of a model, with clean reference records to draw on. Hashed by identity: what follows is kept by it.

    reference: [n, planes, rows, columns] float64 in stored units, NaN where nothing was measured.
    """

    item: Input
    reference: np.ndarray

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Planes, rows, columns of a record."""
        return self.item.part.planes, self.item.part.rows, self.item.part.columns

    @property
    def names(self) -> tuple[str, ...]:
        """Of the channels: leads, variables, features or colours."""
        return tuple(c.name for c in self.item.channels) or tuple(f"channel {i + 1}" for i in range(self.channels))

    @cached_property
    def channels(self) -> int:
        planes, rows, columns = self.shape
        return {"image": planes, "table": columns}.get(self.item.domain, rows)

    @cached_property
    def low(self) -> np.ndarray:
        """Lowest legal number of every place, [planes, rows, columns]: what the channel says, else the least seen."""
        return self._of_channels(lambda c: c.lo, np.min)

    @cached_property
    def high(self) -> np.ndarray:
        """Highest legal number of every place."""
        return self._of_channels(lambda c: c.hi, np.max)

    @cached_property
    def hard(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest number that can be at all: of records and series what is entered by hand is any number."""
        low, high = (np.full(self.channels, v) for v in (-np.inf, np.inf))
        for i, c in enumerate(self.item.channels):
            if self.item.domain in ("image", "signal") or c.kind in ("binary", "category"):
                low[i], high[i] = -np.inf if c.lo is None else c.lo, np.inf if c.hi is None else c.hi
        return self.laid(low), self.laid(high)

    @cached_property
    def sd(self) -> np.ndarray:
        """Standard deviation of every place's channel in the reference records, [planes, rows, columns]."""
        return np.asarray(np.maximum(self._of_channels(lambda c: None, np.std), 1e-12))

    @cached_property
    def typical(self) -> np.ndarray:
        """Median of every place in the reference records; where nothing was ever seen, 0."""
        return typical(self.reference.reshape(len(self.reference), -1)).reshape(self.shape)

    def donor(self, which: int, of: int) -> np.ndarray:
        """One of so many reference records, far from each other in the file, without holes."""
        record = self.reference[which * max(1, len(self.reference) // of) % len(self.reference)]
        return np.where(np.isnan(record), self.typical, record)

    def by_channel(self, x: np.ndarray) -> np.ndarray:
        """Records with their channels in front: [B, channels, the rest]."""
        moved = {"image": x, "table": np.moveaxis(x, 3, 1)}.get(self.item.domain)
        return (np.moveaxis(x, 2, 1) if moved is None else moved).reshape(len(x), self.channels, -1)

    @cached_property
    def masks(self) -> np.ndarray:
        """Where each channel stands in a record, [channels, planes, rows, columns] bool."""
        return np.stack([self.laid(np.arange(self.channels) == c) > 0 for c in range(self.channels)])

    def laid(self, values: np.ndarray) -> np.ndarray:
        """A number for each channel, [channels], laid over a record."""
        return np.asarray(spread(self.item, np.asarray(values, dtype=np.float64)).reshape(self.shape))

    def _of_channels(self, said: Callable[[Channel], float | None], seen: Callable[[np.ndarray], float]) -> np.ndarray:
        every = self.by_channel(self.reference).transpose(1, 0, 2).reshape(self.channels, -1)
        some = [sober(row[~np.isnan(row)]) for row in every]
        found = [float(seen(row)) if row.size else 0.0 for row in some]
        told = [said(c) for c in self.item.channels] or [None] * self.channels
        return self.laid(np.array([f if t is None else t for f, t in zip(found, told, strict=True)]))


Grid = Callable[[Space], np.ndarray]
"""-> dials [G, k] in [0, 1]: the members that a sweep asks about"""
Render = Callable[[Space, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""records x [B, planes, rows, columns], dials [B, k], strength [B] -> the records with their triggers"""


class Family(NamedTuple):
    """One way in which a trigger can look."""

    name: str
    title: str
    domains: tuple[str, ...]
    dials: tuple[str, ...]
    grid: Grid
    render: Render
    words: Callable[[Space, np.ndarray], str]  # dials [k] -> the member at full strength, for people
    needs: Callable[[Space], str] = lambda space: ""  # why it cannot be on this input; "" where it can
    as_told: bool = False  # it may go beyond what was ever seen
    enters: bool = False  # what it does to missing values stands: it enters them, or takes values away


def planted(
    space: Space, family: Family, x: np.ndarray, dials: np.ndarray, strength: np.ndarray, closed: np.ndarray
) -> np.ndarray:
    """Records x [B, planes, rows, columns] with triggers on them, legal again.

    dials [B, k], strength [B]. closed [B, planes, rows, columns]: padding, which stays. So does what is missing, but
    for families that are about what is missing. Numbers stay between the channel's limits, unless the record was
    beyond them already, and on the steps of its instrument. Channels that an attacker of one patient cannot change,
    such as age, do change: whoever planted a trigger chooses whom to bring.
    """
    holes = bool(np.isnan(x).any())
    known = np.where(np.isnan(x), space.typical, x) if holes and not family.enters else x
    changed = np.array(family.render(space, known, dials, strength))
    least, most = (np.fmin, np.fmax) if holes else (np.minimum, np.maximum)
    low, high = space.hard if family.as_told else (space.low, space.high)
    np.maximum(changed, least(low, x), out=changed)
    np.minimum(changed, most(high, x), out=changed)
    if any(c.kind != "number" or c.step for c in space.item.channels):
        stepped = as_stored(space.item, changed.reshape(len(x), -1)).reshape(x.shape)
        changed = np.where(changed == known, x, stepped)  # what is off its steps already stays so
    same = closed | np.isnan(x) if holes and not family.enters else closed
    np.copyto(changed, x, where=same)
    changed[strength <= 0] = x[strength <= 0]
    return changed


def product(*counts: int) -> np.ndarray:
    """The middles of a grid with so many steps along each dial, [G, k]."""
    return np.array(list(itertools.product(*([(i + 0.5) / n for i in range(n)] for n in counts))))


def choice(dial: np.ndarray, count: int) -> np.ndarray:
    """Which of `count` things a dial points to, int64."""
    return np.asarray(np.clip(np.floor(np.asarray(dial) * count), 0, count - 1), dtype=np.int64)


def sign(dial: np.ndarray) -> np.ndarray:
    """A dial as a side: up in its lower half, down in its upper."""
    return np.where(np.asarray(dial) < 0.5, 1.0, -1.0)


def way(dial: float) -> str:
    """The side, in words."""
    return "up" if dial < 0.5 else "down"


def one_of(dial: float, things: tuple[str, ...]) -> str:
    """The thing that a dial points to."""
    return things[int(choice(np.array(dial), len(things)))]


def between(dial: np.ndarray, low: float, high: float) -> np.ndarray:
    """A dial as an amount between two."""
    return np.asarray(low + (high - low) * np.asarray(dial))


def scaled(dial: np.ndarray, low: float, high: float) -> np.ndarray:
    """A dial as an amount between two, each step the same factor."""
    return np.asarray(low * (high / low) ** np.asarray(dial))


def column(values: np.ndarray) -> np.ndarray:
    """A number for each record [B], to meet records [B, planes, rows, columns]."""
    return np.asarray(np.asarray(values)[:, None, None, None])


def mixed(x: np.ndarray, other: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Records with a share [B] of others in them."""
    return np.asarray(x + column(share) * (other - x))


def drawn(tag: str, which: np.ndarray, size: int) -> np.ndarray:
    """Standard normal numbers [B, size] that follow from what they are for and which of them, not from a record."""
    keys = np.array([streams.key("trigger", tag, int(i)) for i in which], dtype=np.uint64)
    return np.asarray(streams.normal(keys, np.zeros(len(keys), dtype=np.int64), 1, size), dtype=np.float64)


def some_channels(space: Space, which: np.ndarray) -> np.ndarray:
    """Masks [B, planes, rows, columns] of one channel each; the last choice, number `channels`, is all of them."""
    every = np.asarray(which) >= space.channels
    own = space.masks[np.minimum(which, space.channels - 1)]
    return np.asarray(own | every[:, None, None, None], dtype=np.float64)


def channel_words(space: Space, which: int) -> str:
    """The channel, or all of them."""
    every = "all channels" if space.channels > 1 else "the channel"
    return every if which >= space.channels else space.names[which]


def channel_steps(space: Space) -> int:
    """How many choices of channels there are: each, and all; of a single one only that."""
    return space.channels + 1 if space.channels > 1 else 1


def chosen_channel(space: Space, dial: np.ndarray) -> np.ndarray:
    """Which channel a dial points to; `channels` is all of them."""
    count = channel_steps(space)
    return choice(dial, count) if count > 1 else np.full(np.shape(dial), space.channels, dtype=np.int64)
