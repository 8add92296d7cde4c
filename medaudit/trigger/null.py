"""What good models let triggers reach: a table made from the zoo's honest models, shipped with the package.

For every domain and family: the dials of each cell of its sweep, and the middle and spread of the reach (see
`oracle.outlying`) over models and answers; and for every domain the largest excess over it that each honest model
showed when it was left out of the table itself. Made by `benchmarks/trigger_zoo/null.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from medaudit.trigger.cells import Field

FILE = Path(__file__).with_name("null.npz")


class Null(NamedTuple):
    """For the cells of a field: [cells, 1] each, NaN where the zoo knows nothing of the family; and honest scores."""

    middle: np.ndarray
    spread: np.ndarray
    scores: np.ndarray  # [models] of the domain with the fewest


def null(field: Field, file: Path = FILE) -> Null:
    """The zoo's cells that are nearest, by their dials, to a field's."""
    middle, spread = (np.full((len(field.cells), 1), np.nan) for _ in range(2))
    with np.load(file, allow_pickle=False) as saved:
        tables = {name: saved[name] for name in saved.files}
    for number, cell in enumerate(field.cells):
        table = tables.get(f"{field.grounds[cell.ground].space.item.domain}/{cell.family.name}")
        if table is not None:
            near = int(((table[:, :-2] - cell.dials) ** 2).sum(axis=1).argmin())
            middle[number], spread[number] = table[near, -2:]
    domains = {ground.space.item.domain for ground in field.grounds}
    scores = [tables.get(f"{domain}/scores", np.zeros(0)) for domain in domains]
    return Null(middle, spread, min(scores, key=len, default=np.zeros(0)))
