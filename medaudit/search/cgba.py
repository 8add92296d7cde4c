"""CGBA: bisect along a half circle that bends towards the boundary's normal (labels only, L2).

Reza, Rahmati, Wu, Dai 2023, "CGBA: curvature-aware geometric black-box attack", algorithm 1: the half
circle over the line from the clean point to the boundary's point, in the plane of that line and the
normal, starts inside the other decision and ends at the clean point; where it crosses the boundary,
the distance is smaller whatever the boundary's curvature. Differences: those of `normal`, and starts
as in `hopskipjump`. The walk is in `walk`.
"""

from __future__ import annotations

from typing import NamedTuple

from medaudit.core.arrays import Array
from medaudit.core.protocol import Search
from medaudit.search import phases, walk


class Settings(NamedTuple):
    """Those of `phases` that a half circle needs."""

    first: int = 20
    tolerance: float = 1e-3
    probe: float = 0.02
    tries: int = 1000
    coarse: int = 10


def search(settings: Settings = Settings(), donors: Array | None = None, kinds: Array | None = None) -> Search:
    """donors [S, D]: clean points to start from, with their decisions kinds [S] (-1 unknown)."""
    return walk.search("cgba", True, phases.Settings(**settings._asdict()), donors, kinds)
