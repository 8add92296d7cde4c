"""Places of a record: a pixel with all its planes, a sample of a signal, a cell of a sequence, a number of a table."""

from __future__ import annotations

from functools import cache

import numpy as np

from medaudit.core.arrays import Array, namespace
from medaudit.core.protocol import Lanes
from medaudit.core.region import Part, Region, free


@cache
def members(parts: tuple[Part, ...]) -> np.ndarray:
    """Numbers of each place, [S, P] int64: a pixel's planes; places with fewer repeat their last."""
    rows, begin = [], 0
    deep = max(part.planes for part in parts)
    for part in parts:
        grid = begin + np.arange(part.size).reshape(part.planes, -1).T
        rows.append(np.pad(grid, ((0, 0), (0, deep - part.planes)), mode="edge"))
        begin += part.size
    return np.concatenate(rows)


def changeable(region: Region, lanes: Lanes) -> Array:
    """Places of which some number may change, [L, S] bool."""
    xp = namespace(lanes.x)
    movable = free(lanes)
    index = xp.asarray(members(region.parts), device=lanes.x.device)
    usable = xp.take(movable, index[:, 0], axis=1)
    for j in range(1, index.shape[1]):
        usable = usable | xp.take(movable, index[:, j], axis=1)
    return usable


def at(values: Array, column: Array) -> Array:
    """Of each row [R, D] the number in `column` [R], [R]."""
    return namespace(values).take_along_axis(values, column[:, None], axis=1)[:, 0]
