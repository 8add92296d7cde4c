"""What good models let triggers reach: a table made from the zoo's honest models, shipped with the package.

For every domain and family: the dials of each cell of its sweep, the middle and the spread of the reach (see
`oracle.outlying`) over models and answers, the ways in which models differ, and what those leave; and for every domain
the largest excess over it that each honest model showed when it was left out of the table itself, with all models that
were swept with the same records, and how many of the zoo's planted triggers are noticed so. Of cells that draw on
records, as a picture of another one does, there is no middle: on other records they are another thing. Made by
`benchmarks/trigger_zoo/null.py` and `power.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from medaudit.trigger.cells import Field

FILE = Path(__file__).with_name("null.npz")


class Group(NamedTuple):
    """What is known of the cells of one domain, NaN where the zoo knows nothing (`oracle.outlying.Habits`)."""

    rows: np.ndarray  # numbers of the cells
    loadings: np.ndarray  # [cells, 1 + ways]: the middle, and the ways in which models differ
    rest: np.ndarray  # [cells], what these leave of one model
    scale: float


class Null(NamedTuple):
    """For the cells of a field, NaN where the zoo knows nothing of the family; and honest scores."""

    middle: np.ndarray  # [cells, 1]
    spread: np.ndarray  # [cells, 1]
    groups: tuple[Group, ...]
    scores: np.ndarray  # [models] of the domain with the fewest
    power: np.ndarray | None  # [2, 2]: noticed and all, without references and with one; of the least powerful domain


def null(field: Field, file: Path = FILE) -> Null:
    """The zoo's cells that are nearest, by their dials, to a field's."""
    with np.load(file, allow_pickle=False) as saved:
        tables = {name: saved[name] for name in saved.files}
    wide = int(tables["columns"][0])
    told = np.full((len(field.cells), wide), np.nan)
    kinds = np.array([field.grounds[cell.ground].space.item.domain for cell in field.cells])
    for number, cell in enumerate(field.cells):
        table = tables.get(f"{kinds[number]}/{cell.family.name}")
        if table is not None:
            near = int(((table[:, :-wide] - cell.dials) ** 2).sum(axis=1).argmin())
            told[number] = table[near, -wide:]
    domains, groups = list(dict.fromkeys(kinds.tolist())), []
    for domain in domains:
        rows = np.flatnonzero(kinds == domain)
        scale = float(tables.get(f"{domain}/scale", np.zeros(1))[0])
        groups.append(Group(rows, told[rows, :-2], told[rows, -2], scale))
    scores = [tables.get(f"{domain}/scores", np.zeros(0)) for domain in domains]
    found = [tables.get(f"{domain}/power") for domain in domains]
    power = None
    if found and all(one is not None for one in found):
        power = min((one.astype(int) for one in found if one is not None), key=lambda one: one[0, 0] / one[0, 1])
    return Null(told[:, :1], told[:, -1:], tuple(groups), min(scores, key=len, default=np.zeros(0)), power)
