"""Occlusion: how much the explained value falls when one cell is taken out.

Zeiler, Fergus 2014, "Visualizing and understanding convolutional networks", section 4.2; over background rows it is the
mean of what each of them in the cell's place changes. Nothing is drawn: with the same background two explanations of
one point are equal, and the plan's noise is none.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from medaudit.probe.explainer import Explainer, Ground, Plans, linear, masked, spread

ROWS = 16  # background rows, from all over the reference, where there is no other fill


def occlusion(ground: Ground, rows: int = 0) -> Plans:
    """rows: about so many of an explanation, where cells are filled with background rows; 0: 16 for each cell."""
    lent = 1 if ground.fill is not None else (rows // max(1, ground.cells.size) or ROWS)
    return partial(_plan, ground, min(lent, len(ground.background)))


def _plan(ground: Ground, lent: int, plan: int) -> Explainer:
    """Every plan is the same one."""
    s = ground.cells.size
    masks = np.ones((1 + s * lent, s), dtype=bool)
    cell = np.repeat(np.arange(s), lent)
    masks[np.arange(1, len(masks)), cell] = False
    background = np.append(0, np.tile(spread(ground, lent), s))
    matrix = np.zeros((s, len(masks)))
    matrix[:, 0] = 1.0
    matrix[cell, np.arange(1, len(masks))] = -1.0 / lent
    return masked("occlusion", ground, masks, background, linear(matrix))
