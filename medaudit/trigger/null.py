"""What good models let triggers reach: a table made from the zoo's honest models, shipped with the package.

For every domain and family: the dials of each cell of its sweep, the middle and the spread of the reach (see
`oracle.outlying`) over models and answers, the ways in which models differ, and what those leave; and for every domain
the largest excess over it that each honest model showed when it was left out of the table itself, with all models that
were swept with the same records. Of cells that draw on records, as a picture of another one does, there is no middle:
on other records they are another thing. Made by `benchmarks/trigger_zoo/null.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from medaudit.oracle.outlying import WAYS, Habits, unusual
from medaudit.trigger.cells import Field

FILE = Path(__file__).with_name("null.npz")
TOLD = WAYS + 3  # columns behind the dials: middle, ways, what is left, spread


class Null(NamedTuple):
    """For the cells of a field, NaN where the zoo knows nothing of the family; and honest scores."""

    middle: np.ndarray  # [cells, 1]
    spread: np.ndarray  # [cells, 1]
    habits: tuple[tuple[np.ndarray, Habits], ...]  # of each domain: its cells' numbers, and how models are moved
    scores: np.ndarray  # [models] of the domain with the fewest


def null(field: Field, file: Path = FILE) -> Null:
    """The zoo's cells that are nearest, by their dials, to a field's."""
    told = np.full((len(field.cells), TOLD), np.nan)
    with np.load(file, allow_pickle=False) as saved:
        tables = {name: saved[name] for name in saved.files}
    kinds = np.array([field.grounds[cell.ground].space.item.domain for cell in field.cells])
    for number, cell in enumerate(field.cells):
        table = tables.get(f"{kinds[number]}/{cell.family.name}")
        if table is not None:
            near = int(((table[:, :-TOLD] - cell.dials) ** 2).sum(axis=1).argmin())
            told[number] = table[near, -TOLD:]
    domains, every = list(dict.fromkeys(kinds.tolist())), []
    for domain in domains:
        rows = np.flatnonzero(kinds == domain)
        scale = float(tables.get(f"{domain}/scale", np.zeros(1))[0])
        every.append((rows, Habits(told[rows, : WAYS + 1], told[rows, -2], scale)))
    scores = [tables.get(f"{domain}/scores", np.zeros(0)) for domain in domains]
    return Null(told[:, :1], told[:, -1:], tuple(every), min(scores, key=len, default=np.zeros(0)))


def beyond(
    known: Null, found: np.ndarray, reached: np.ndarray | None = None, shrink: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """What is usual for a model of such reaches, and their excess, both [cells, directions] (`oracle.outlying`)."""
    middle, excess = np.full(found.shape, np.nan), np.zeros(found.shape)
    for rows, own in known.habits:
        beside = None if reached is None else reached[:, rows]
        middle[rows], excess[rows] = unusual(found[rows], own, beside, shrink)
    return middle, excess
