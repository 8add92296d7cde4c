"""What stands in the place of a piece of a record that is taken out of it.

Zero is a lead that fell off, black is a metal plate: what is taken out must look like nothing in particular. Signals
get a straight line between the ends of the window, images their own blur, sequences what is usual at that hour.
"""

from __future__ import annotations

import numpy as np

from medaudit.core.arrays import Array, namespace
from medaudit.core.region import Part
from medaudit.domain.cells import Cells

SOFT = 0.5  # width of the blur, in cells


def filled(cells: Cells, parts: tuple[Part, ...], typical: np.ndarray, points: Array) -> Array:
    """Points [C, D] with every cell taken out at once, each by its own surroundings.

    typical [D]: of sequences and tables; what is not measured stays so in neither.
    """
    xp = namespace(points)
    usual = xp.broadcast_to(xp.asarray(typical, device=points.device)[None, :], points.shape)
    out, begin = [], 0
    for part, grid in zip(parts, cells.grids, strict=True):
        own = points[:, begin : begin + part.size]
        if part.domain == "signal":
            out.append(_bridged(own, part, grid.columns))
        elif part.domain == "image":
            out.append(_blurred(own, part, max(part.rows / grid.rows, part.columns / grid.columns)))
        else:
            out.append(usual[:, begin : begin + part.size])
        begin += part.size
    return out[0] if len(out) == 1 else xp.concat(out, axis=1)


def _bridged(own: Array, part: Part, windows: int) -> Array:
    """Each window as the straight line from the number before it to the one after it."""
    xp = namespace(own)
    place = np.arange(part.columns)
    window = place * windows // part.columns
    first = np.searchsorted(window, np.arange(windows))
    last = np.append(first[1:], part.columns) - 1
    before, after = np.maximum(first - 1, 0)[window], np.minimum(last + 1, part.columns - 1)[window]
    share = ((place - before) / np.maximum(after - before, 1)).astype(np.float32)
    on = {"device": own.device}
    grid = xp.reshape(own, (own.shape[0], part.planes * part.rows, part.columns))
    left, right = (xp.take(grid, xp.asarray(side, **on), axis=2) for side in (before, after))
    return xp.reshape(left + (right - left) * xp.asarray(share, **on), own.shape)


def _blurred(own: Array, part: Part, size: float) -> Array:
    """Each plane under a Gaussian as wide as half a cell, its edges mirrored."""
    xp = namespace(own)
    grid = xp.reshape(own, (own.shape[0], part.planes, part.rows, part.columns))
    down, across = (xp.asarray(_smoother(n, SOFT * size), device=own.device) for n in (part.rows, part.columns))
    return xp.reshape(xp.matmul(xp.matmul(down, grid), xp.matrix_transpose(across)), own.shape)


def _smoother(n: int, sigma: float) -> np.ndarray:
    """Gaussian weights [n, n] with mirrored edges, rows adding up to 1."""
    place = np.arange(n)
    weight = np.zeros((n, n))
    for k in (-1, 0, 1):
        weight += np.exp(-0.5 * ((place[:, None] - (2 * n * k + place)[None, :]) / sigma) ** 2)
        weight += np.exp(-0.5 * ((place[:, None] - (2 * n * k - 1 - place)[None, :]) / sigma) ** 2)
    return np.asarray(weight / weight.sum(axis=1, keepdims=True), dtype=np.float32)
