"""A patch's own numbers, its canvas: shares of the way from the lowest to the highest legal value.

So one canvas can be laid over many records (`patches`), and a search over canvases sees a box of its own.
"""

from __future__ import annotations

import math

from medaudit.core import cells
from medaudit.core.arrays import Array, namespace
from medaudit.core.protocol import Lanes
from medaudit.core.region import LINF, Part, Region


def canvas(region: Region) -> tuple[Part, ...]:
    """The patch's own numbers, part by part; tables have one that nothing uses."""
    out, begin = [], 0
    for part in region.parts:
        side = max(1, math.floor(region.eps * float(region.scale[begin]) + 1e-6))
        begin += part.size
        wide = min(side, part.columns)
        if part.domain == "table":
            out.append(Part("table", 1, 1, 1))
        elif part.domain == "image":
            wide = min(wide, part.rows)
            out.append(part._replace(rows=wide, columns=wide))
        else:
            out.append(part._replace(columns=wide))
    return tuple(out)


def canvas_region(region: Region) -> Region:
    """What a search over canvases sees: every number between 0 and 1, around one half."""
    xp, parts = namespace(region.scale), canvas(region)
    ones = xp.ones(sum(part.size for part in parts), dtype=xp.float32, device=region.scale.device)
    return Region(LINF, 0.5, ones, None, parts)


def canvas_lanes(region: Region, lanes: Lanes) -> Lanes:
    """Lanes over canvases in place of records."""
    xp = namespace(lanes.x)
    size = sum(part.size for part in canvas(region))
    half = xp.full((lanes.x.shape[0], size), 0.5, dtype=xp.float32, device=lanes.x.device)
    return lanes._replace(x=half, lo=half - 0.5, hi=half + 0.5, missing=None, legal_lo=None, legal_hi=None)


def random_canvas(region: Region, keys: Array, t: Array, tag: int) -> Array:
    """Cells of neighbouring numbers at the lowest or the highest legal value, [L, K] of 0 and 1."""
    return (cells.signs(canvas(region), keys, t, tag) + 1) / 2
