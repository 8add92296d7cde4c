"""Square in L2 and L1: a window gives its mass to another (score-based).

Andriushchenko et al. 2020, "Square Attack", algorithm 3 (L2); Croce, Hein 2021, "Mind the box",
section 5 (L1). Two windows are drawn; one is emptied, and its mass, with what is unused of eps,
goes into the other.
"""

from __future__ import annotations

from medaudit.core.arrays import Array, namespace
from medaudit.core.protocol import Lanes
from medaudit.core.region import L1, Region, free, project


def move_mass(region: Region, lanes: Lanes, best: Array, up: Array, down: Array, away: Array) -> Array:
    """Points [L, D] that differ from `best` in the windows up | down [L, D] (to be filled) and `away` (emptied)."""
    xp = namespace(lanes.x)
    power = 1 if region.norm == L1 else 2
    window = up | down
    delta = (best - lanes.x) / region.scale
    inside = xp.astype(window & free(lanes), xp.float32)
    both = xp.where(window | away, delta, xp.zeros_like(delta))
    # What the two windows hold, and what is left of eps: sums of |change|^power.
    used = _mass(delta, power)
    mass = _mass(both, power) + xp.maximum(region.eps**power - used, xp.zeros_like(used))
    old = delta * inside
    old = old / (_mass(old, power) ** (1 / power) + 1e-12)[:, None]
    count = xp.maximum(xp.sum(inside, axis=1), xp.ones_like(used)) ** (1 / power)
    sign = xp.astype(up, xp.float32) - xp.astype(down, xp.float32)
    fresh = sign * inside / count[:, None] + old
    size = _mass(fresh, power) ** (1 / power) + 1e-12
    fresh = fresh * (mass ** (1 / power) / size)[:, None]
    delta = xp.where(window, fresh, xp.where(away, xp.zeros_like(delta), delta))
    lane = xp.arange(delta.shape[0], dtype=xp.int64, device=delta.device)
    return project(region, lanes, lane, lanes.x + delta * region.scale)


def _mass(delta: Array, power: int) -> Array:
    """Sum of |change|^power, [L]."""
    xp = namespace(delta)
    return xp.sum(xp.abs(delta) if power == 1 else delta * delta, axis=1)
