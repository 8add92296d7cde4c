"""Exhaustive search of tables: every pair of entries at every legal value of a fixed sample, kept to the constraints.

Nothing of the package is used. Whole numbers and grids of up to `VALUES` values, categories and one-hot groups are
tried whole; finer ones at `VALUES` even steps of their range, both ends among them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from benchmarks.lawful import Book, bounds

VALUES = 17
CHUNK = 1 << 16  # rows of one call
Decide = Callable[[np.ndarray], np.ndarray]  # points [R, D] -> decisions [R]


@dataclass(frozen=True)
class Entry:
    """What counts as one change: a number, or a one-hot group; its legal values, one a row."""

    name: str
    cells: tuple[int, ...]
    values: np.ndarray  # [V, len(cells)] float32


@dataclass
class Found:
    """Outcome for one record: entries changed (0: nothing breaks it), one point that breaks it, rows asked."""

    changes: int
    point: np.ndarray | None
    entries: tuple[str, ...]
    rows: int


def entries(book: Book, threat: dict[str, Any], clean: np.ndarray) -> list[Entry]:
    """Every entry of a record that a threat may change, with its other legal values."""
    grouped = {i: group for group in book.groups for i in group}
    out = []
    for i, cell in enumerate(book.cells):
        if cell.fixed or np.isnan(clean[i]):
            continue
        if i in grouped:
            group = grouped[i]
            if i == group[0] and clean[list(group)].sum() == 1 and not any(book.cells[j].fixed for j in group):
                values = np.eye(len(group), dtype=np.float32)
                name = "|".join(book.cells[j].channel for j in group)
                out.append(Entry(name, group, values[clean[list(group)] == 0]))
            continue
        values = legal(book, threat, i, float(clean[i]))
        out.append(Entry(cell.channel, (i,), values[values != clean[i]][:, None]))
    return out


def legal(book: Book, threat: dict[str, Any], i: int, clean: float) -> np.ndarray:
    """The sample of legal values of a number that is `clean` now."""
    cell = book.cells[i]
    lo, hi = bounds(threat, cell, clean)
    if cell.kind == "category":
        return np.arange(lo, hi + 1, dtype=np.float32)
    step = cell.step or (1.0 if cell.kind != "number" else 0.0)
    if not step:
        return _inside(np.linspace(lo, hi, VALUES), lo, hi)
    first, last = np.ceil(lo / step - 1e-9), np.floor(hi / step + 1e-9)
    count = min(VALUES, int(last - first) + 1)
    return _inside(np.unique(np.rint(np.linspace(first, last, count))) * step, lo, hi)


def _inside(values: np.ndarray, lo: float, hi: float) -> np.ndarray:
    """As float32, rounded into the range."""
    out = values.astype(np.float32)
    out = np.where(out.astype(np.float64) < lo, np.nextafter(out, np.float32(np.inf)), out)
    out = np.where(out.astype(np.float64) > hi, np.nextafter(out, np.float32(-np.inf)), out)
    return np.unique(out)


class Laws:
    """The relations that one record is held to, for many points at once."""

    def __init__(self, book: Book, clean: np.ndarray) -> None:
        bound = [r for r in book.relations if not np.isnan(clean[list(r.cells)]).any() and r.holds(clean)]
        self.weights = np.zeros((len(clean), len(bound)))
        for k, one in enumerate(bound):
            self.weights[list(one.cells), k] = [float(w) for w in one.weights]
        self.constant = np.array([float(r.constant) for r in bound])
        self.strict = np.array([r.strict for r in bound], dtype=bool)

    def hold(self, points: np.ndarray) -> np.ndarray:
        """Whether each point [R, D] keeps all of them, [R] bool."""
        total = np.nan_to_num(points.astype(np.float64)) @ self.weights + self.constant
        return np.asarray(((total > 0) | ((total == 0) & ~self.strict)).all(axis=1))


def candidates(clean: np.ndarray, some: tuple[Entry, ...]) -> np.ndarray:
    """Every combination of values of the entries, [R, D] float32."""
    grids = np.meshgrid(*(np.arange(len(entry.values)) for entry in some), indexing="ij")
    points = np.repeat(clean[None], grids[0].size, axis=0)
    for entry, grid in zip(some, grids, strict=True):
        points[:, list(entry.cells)] = entry.values[grid.ravel()]
    return points


def chunks(
    book: Book, threat: dict[str, Any], clean: np.ndarray, changes: int
) -> Iterator[tuple[np.ndarray, list[tuple[str, ...]]]]:
    """Lawful points with exactly so many entries changed, in large blocks; the entries of each point."""
    laws, own = Laws(book, clean), entries(book, threat, clean)
    held: list[np.ndarray] = []
    names: list[tuple[str, ...]] = []
    for some in combinations(own, changes):
        points = candidates(clean, some)
        points = points[laws.hold(points)]
        held.append(points)
        names += [tuple(entry.name for entry in some)] * len(points)
        if len(names) >= CHUNK:
            yield np.concatenate(held), names
            held, names = [], []
    if names:
        yield np.concatenate(held), names


def search(book: Book, threat: dict[str, Any], decide: Decide, clean: np.ndarray, most: int) -> Found:
    """The fewest changes, up to `most`, that give another decision."""
    before, rows = decide(clean[None])[0], 0
    for changes in range(1, most + 1):
        for points, names in chunks(book, threat, clean, changes):
            turned = np.flatnonzero(decide(points) != before)
            rows += len(points)
            if turned.size:
                return Found(changes, points[turned[0]], names[turned[0]], rows)
    return Found(0, None, (), rows)


def ways(
    book: Book, threat: dict[str, Any], decide: Decide, clean: np.ndarray, changes: int
) -> dict[tuple[str, ...], list[np.ndarray]]:
    """All points with so many changes that give another decision, by the entries changed."""
    before = decide(clean[None])[0]
    out: dict[tuple[str, ...], list[np.ndarray]] = {}
    for points, names in chunks(book, threat, clean, changes):
        for k in np.flatnonzero(decide(points) != before):
            out.setdefault(names[k], []).append(points[k])
    return out


def corners(book: Book, threat: dict[str, Any], decide: Decide, clean: np.ndarray) -> bool:
    """Whether any mix of five values a number, both ends of its reach and its own among them, turns a record."""
    own = []
    for i, cell in enumerate(book.cells):
        if not cell.fixed and cell.kind != "category" and not np.isnan(clean[i]):
            values = legal(book, threat, i, float(clean[i]))
            some = np.unique(np.append(values[np.linspace(0, len(values) - 1, 4).astype(int)], clean[i]))
            own.append(Entry(cell.channel, (i,), some[:, None]))
    points = candidates(clean, tuple(own))
    points = points[Laws(book, clean).hold(points)]
    return bool((decide(points) != decide(clean[None])[0]).any())
