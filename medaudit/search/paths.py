"""Ways from a point that reaches the goal towards the clean point, for lanes that bisect along them.

`share` runs from 1 (the far point) to 0 (the clean point); all points lie in the box and on the grid.
"""

from __future__ import annotations

import math

from medaudit.core.arrays import Array, namespace
from medaudit.core.protocol import Lanes
from medaudit.core.region import LINF, Region, clip, snap


def line(region: Region, lanes: Lanes, who: Array, far: Array, share: Array) -> Array:
    """L2: the point at `share` [P] of the way; Linf: `far` [P, D] clipped to radius `share`."""
    xp = namespace(far)
    x = xp.take(lanes.x, who, axis=0)
    if region.norm == LINF:
        reach = share[:, None] * region.scale
        points = xp.minimum(xp.maximum(far, x - reach), x + reach)
    else:
        points = far - x
        points *= share[:, None]
        points += x
    return points if region.step is None else clip(lanes, who, snap(region, points))


def arc(region: Region, lanes: Lanes, who: Array, far: Array, way: Array, share: Array) -> Array:
    """Points of the half circle over the line from clean to far that bends towards `way` [P, D] (unit).

    Reza, Rahmati, Wu, Dai 2023, "CGBA", eq. 7 (and Maho, Furon, Le Merrer 2021, "SurFree", eq. 7): at
    angle a from the far point the distance from clean is the diameter times cos a.
    """
    xp = namespace(far)
    x = xp.take(lanes.x, who, axis=0)
    delta = (far - x) / region.scale
    wide = _length(delta)
    along = delta / wide
    way = way - along * xp.sum(way * along, axis=1)[:, None]
    across = way / _length(way)
    angle = ((1 - share) * (0.5 * math.pi))[:, None]
    delta = wide * xp.cos(angle) * (along * xp.cos(angle) + across * xp.sin(angle))
    points = clip(lanes, who, x + xp.astype(delta, xp.float32) * region.scale)
    return points if region.step is None else clip(lanes, who, snap(region, points))


def _length(delta: Array) -> Array:
    """[P, 1], never zero."""
    xp = namespace(delta)
    far = xp.sqrt(xp.sum(delta * delta, axis=1))[:, None]
    return xp.maximum(far, xp.full_like(far, 1e-30))
