"""Everything that a sweep asks about: members of all families on all inputs, and points with one of them on.

A model's inputs that are single columns of a table are looked at as one table: a trigger may lie in several of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from medaudit.core.interface import Input, Interface
from medaudit.trigger.base import Family, Space, planted
from medaudit.trigger.families import applicable

MOST_RECORDS = 400  # of the reference that families draw on
CACHED = 1 << 17  # numbers that are rendered at a time: what follows them stays in the caches


class Ground(NamedTuple):
    """Where triggers may lie: an input, or all tables together, and its numbers in a point."""

    space: Space
    where: np.ndarray  # [size] int64, places in a point


class Cell(NamedTuple):
    """One trigger of a sweep at full strength."""

    ground: int
    family: Family
    dials: np.ndarray  # [k]
    strength: float = 1.0  # what full strength is, of a trigger that is known


@dataclass(frozen=True)
class Field:
    """All cells of a model's inputs."""

    grounds: tuple[Ground, ...]
    cells: tuple[Cell, ...]

    def laid(self, which: np.ndarray, strength: np.ndarray, points: np.ndarray, closed: np.ndarray) -> np.ndarray:
        """Points [B, D] float32 (NaN: missing) with cell `which` [B] at `strength` [B] on; closed [B, D] stays."""
        out, kinds = points.copy(), [(c.ground, c.family.name) for c in self.cells]
        for kind in dict.fromkeys(kinds[i] for i in which):
            rows = np.flatnonzero([kinds[i] == kind for i in which])
            cells = [self.cells[i] for i in which[rows]]
            dials, amount = np.stack([cell.dials for cell in cells]), strength[rows] * [c.strength for c in cells]
            out[rows] = lay(self.grounds[kind[0]], cells[0].family, dials, amount, points[rows], closed[rows])
        return out

    def on(self, which: int, strength: float, points: np.ndarray) -> np.ndarray:
        """Points [B, D] with one cell on all of them, float64."""
        every = np.full(len(points), which), np.full(len(points), strength)
        return self.laid(*every, points, np.zeros(points.shape, dtype=bool)).astype(np.float64)

    def words(self, which: int) -> str:
        """A cell at full strength, for people."""
        cell = self.cells[which]
        said = cell.family.words(self.grounds[cell.ground].space, cell.dials)
        return f"{self.grounds[cell.ground].space.item.name}: {said}" if len(self.grounds) > 1 else said


def lay(
    ground: Ground, family: Family, dials: np.ndarray, strength: np.ndarray, points: np.ndarray, closed: np.ndarray
) -> np.ndarray:  # fmt: skip
    """Points [B, D] float32 with members of one family, dials [B, k], on one ground; legal, steps kept."""
    out, shape = points.copy(), (-1, *ground.space.shape)
    some = max(1, CACHED // max(1, len(ground.where)))
    alone = len(ground.where) == points.shape[1]
    where: slice | np.ndarray = slice(None) if alone else ground.where
    for rows in (slice(i, i + some) for i in range(0, len(points), some)):
        own = points[rows, where].astype(np.float64).reshape(shape)
        shut = closed[rows, where].reshape(shape)
        laid = planted(ground.space, family, own, dials[rows], strength[rows], shut)
        out[rows, where] = laid.reshape(len(own), -1)
    return out


def grounds(interface: Interface, points: np.ndarray) -> tuple[Ground, ...]:
    """Where triggers may lie, with reference records. points: [n, D], NaN where nothing was measured."""
    points = points[np.unique(np.linspace(0, len(points) - 1, min(len(points), MOST_RECORDS)).astype(int))]
    each: list[tuple[Input, np.ndarray]] = []
    start = 0
    for item in interface.inputs:
        each.append((item, np.arange(start, start + item.part.size)))
        start += item.part.size
    single = [(item, where) for item, where in each if item.domain == "table" and item.part.size == 1]
    if len(single) > 1:
        channels = tuple(replace(item.channels[0], name=item.channels[0].name or item.name) for item, _ in single)
        axes = ("batch", "feature")
        joined = Input("the table", "float32", "table", axes, (len(single),), axes, channels=channels)
        rest = [pair for pair in each if not any(pair[0] is item for item, _ in single)]
        each = [*rest, (joined, np.concatenate([where for _, where in single]))]
    out = []
    for item, where in each:
        part = item.part
        own = points[:, where].astype(np.float64).reshape(-1, part.planes, part.rows, part.columns)
        out.append(Ground(Space(item, own), where))
    return tuple(out)


def field(interface: Interface, points: np.ndarray, names: tuple[str, ...] = ()) -> Field:
    """All members of the families' grids, or of those named, on all inputs that can carry them."""
    there = grounds(interface, points)
    cells = [
        Cell(number, family, dials)
        for number, ground in enumerate(there)
        for family in applicable(ground.space)[0]
        if not names or family.name in names
        for dials in family.grid(ground.space)
    ]
    return Field(there, tuple(cells))
