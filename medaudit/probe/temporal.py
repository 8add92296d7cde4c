"""What each moment of a series adds, with all that comes after it: windows taken out up to the end.

Taking a variable out from one hour to the end, less taking it out from the next hour on, is what that hour adds while
the model sees the ones before it: an effect that comes late counts where its cause was. Nested windows as in Leung et
al. 2023, "Temporal dependencies in feature importance for time series prediction" (WinIT), eq. 3, of a model that
answers once. A variable's cells add up to what taking all of it out changes.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from medaudit.probe.explainer import Explainer, Ground, Plans, linear, masked, spread

ROWS = 3  # background rows, where there is no other fill


def temporal(ground: Ground, rows: int = 0) -> Plans:
    """rows: about so many of an explanation, where cells are filled with background rows; 0: 3 for each cell."""
    lent = 1 if ground.fill is not None else (rows // max(1, ground.cells.size) or ROWS)
    return partial(_plan, ground, min(lent, len(ground.background)))


def _plan(ground: Ground, lent: int, plan: int) -> Explainer:
    s = ground.cells.size
    gone = np.zeros((s, s), dtype=bool)  # [window that starts at this cell, cells that it takes out]
    later = np.full(s, -1)  # the window that starts one cell later
    for grid in ground.cells.grids:
        for place in range(grid.size):
            cell, column = grid.begin + place, place % grid.columns
            last = cell + (grid.columns - column if grid.domain in ("signal", "sequence") else 1)
            gone[cell, cell:last] = True
            later[cell] = cell + 1 if cell + 1 < last else -1
    masks = np.concatenate([np.ones((1, s), dtype=bool), np.repeat(~gone, lent, axis=0)])
    matrix = np.zeros((s, len(masks)))
    for cell in range(s):
        matrix[cell, 1 + cell * lent : 1 + (cell + 1) * lent] -= 1 / lent
        if later[cell] < 0:
            matrix[cell, 0] += 1
        else:
            matrix[cell, 1 + later[cell] * lent : 1 + (later[cell] + 1) * lent] += 1 / lent
    background = np.append(0, np.tile(spread(ground, lent), s))
    return masked("temporal", ground, masks, background, linear(matrix))
