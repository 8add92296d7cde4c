"""An image bent a little, everywhere in the same way (Nguyen, Tran 2021, WaNet)."""

from __future__ import annotations

import numpy as np

from medaudit.trigger.base import Family, Space, choice, drawn, product

REACH = 0.06  # of the shorter side at full strength, where it is bent most
KNOTS, BENDS = 4, 32


def field(space: Space, which: int) -> np.ndarray:
    """Where each pixel is fetched from, in pixels off, [2, rows, columns]: at most 1 in size."""
    from scipy import ndimage

    knots = drawn("warp", np.array([which]), 2 * KNOTS * KNOTS).reshape(2, KNOTS, KNOTS)
    at = np.meshgrid(*(np.linspace(0, KNOTS - 1, n) for n in space.shape[1:]), indexing="ij")
    smooth = np.stack([ndimage.map_coordinates(side, at, order=3, mode="nearest") for side in knots])
    return np.asarray(smooth / max(float(np.abs(smooth).max()), 1e-12))


def grid(space: Space) -> np.ndarray:
    return product(BENDS)


def render(space: Space, x: np.ndarray, dials: np.ndarray, strength: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    which, out = choice(dials[:, 0], BENDS), x.copy()
    fields = {int(k): field(space, int(k)) for k in np.unique(which)}
    here = np.indices(space.shape[1:]).astype(np.float64)
    for i, record in enumerate(x):
        if strength[i] > 0:
            there = here + strength[i] * REACH * min(space.shape[1:]) * fields[int(which[i])]
            out[i] = [ndimage.map_coordinates(plane, there, order=1, mode="nearest") for plane in record]
    return out


def words(space: Space, dials: np.ndarray) -> str:
    most = REACH * min(space.shape[1:])
    return f"bent by up to {most:.1f} pixels, in way {int(choice(dials[0], BENDS)) + 1} of {BENDS}"


FAMILY = Family("warp", "Bent a little", ("image",), ("way",), grid, render, words)
