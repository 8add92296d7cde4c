"""Cells: the pieces of a record that an explanation gives numbers to.

Of a signal, leads in groups over windows of time; of an image, a grid of squares in all planes; of a sequence,
each variable over blocks of hours; of a table, its columns. A cell never spans two inputs.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from medaudit.core.interface import Input, Interface

CELLS = 150  # of a signal, about
SIDE = 14  # of an image's grid, at most


class Grid(NamedTuple):
    """The cells of one input: rows (leads, variables; of images down) by columns (time, hours; of images across)."""

    domain: str
    rows: int
    columns: int
    begin: int  # number of its first cell

    @property
    def size(self) -> int:
        return self.rows * self.columns


class Cells(NamedTuple):
    """What belongs to which cell."""

    of: np.ndarray  # [D] int64, the cell of each number
    grids: tuple[Grid, ...]  # one an input
    names: tuple[str, ...]  # of the cells

    @property
    def size(self) -> int:
        return len(self.names)

    def named(self, features: tuple[str, ...]) -> tuple[int, ...]:
        """Cells that are (pieces of) the named channels."""
        return tuple(i for i, name in enumerate(self.names) if any(f"{name}, ".startswith(f"{f}, ") for f in features))


class Wanted(NamedTuple):
    """How fine; 0: what suits the domain."""

    groups: int = 0  # signals: groups of neighbouring leads
    windows: int = 0  # signals: windows of a record
    grid: int = 0  # images: squares a side
    hours: int = 0  # sequences: hours of a block


def cells_of(interface: Interface, wanted: Wanted = Wanted()) -> Cells:
    """The cells of a model's inputs."""
    of: list[np.ndarray] = []
    grids: list[Grid] = []
    names: list[str] = []
    for item in interface.inputs:
        part = item.part
        rows, columns = _fine(item, wanted)
        down, across = np.arange(part.rows) * rows // part.rows, np.arange(part.columns) * columns // part.columns
        place = np.broadcast_to(down[:, None] * columns + across[None, :], (part.planes, part.rows, part.columns))
        of.append(len(names) + place.reshape(-1))
        grids.append(Grid(item.domain, rows, columns, len(names)))
        names += _names(item, rows, columns)
    return Cells(np.concatenate(of).astype(np.int64), tuple(grids), tuple(names))


def _fine(item: Input, wanted: Wanted) -> tuple[int, int]:
    """Rows and columns of an input's cells."""
    part = item.part
    if item.domain == "signal":
        rows = min(part.rows, wanted.groups or max(1, math.ceil(part.rows / 2)))
        return rows, min(part.columns, wanted.windows or max(25, min(60, CELLS // rows)))
    if item.domain == "image":
        side = wanted.grid or min(SIDE, max(1, min(part.rows, part.columns) // 4))
        return min(part.rows, side), min(part.columns, side)
    if item.domain == "sequence":
        return part.rows, math.ceil(part.columns / (wanted.hours or max(1, part.columns // 12)))
    return part.rows, part.columns


def _names(item: Input, rows: int, columns: int) -> list[str]:
    part = item.part
    channels = [c.name for c in item.channels]

    def span(k: int, of: int, length: int) -> tuple[int, int]:
        """First and last of the numbers that are k-th of `of`."""
        own = np.flatnonzero(np.arange(length) * of // length == k)
        return int(own[0]), int(own[-1])

    def channel(k: int) -> str:
        if len(channels) != part.rows:
            return channels[0] if len(channels) == 1 else f"row {k + 1}"
        first, last = span(k, rows, part.rows)
        return channels[first] if first == last else f"{channels[first]} to {channels[last]}"

    a_second = (item.rate or 0) * columns / part.columns  # cells
    digits = max(2, math.ceil(math.log10(max(a_second, 1))))
    out = []
    for row in range(rows):
        for column in range(columns):
            if item.domain == "table":
                out.append(channels[column] if len(channels) == columns else f"{item.name} {column + 1}")
                continue
            first, last = span(column, columns, part.columns)
            if item.domain == "image":
                top, bottom = span(row, rows, part.rows)
                out.append(f"rows {top + 1}-{bottom + 1}, columns {first + 1}-{last + 1}")
            elif item.domain == "signal" and item.rate:
                since, until = (f"{k / item.rate:.{digits}f}" for k in (first, last + 1))
                out.append(f"{channel(row)}, {since}-{until} s")
            else:
                word = "hour" if item.domain == "sequence" else "samples"
                place = f"{first + 1}" if first == last else f"{first + 1}-{last + 1}"
                out.append(f"{channel(row)}, {word}{'s' if word == 'hour' and first != last else ''} {place}")
    return out
