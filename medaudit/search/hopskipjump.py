"""HopSkipJump: jump along the boundary's normal, bisect back to the clean point (labels only, L2 and Linf).

Chen, Jordan, Wainwright 2020, "HopSkipJumpAttack", algorithms 1 and 2. Differences from the paper:
`normal` has those of the estimate; the start is the nearest clean point of another decision where one
is known (uniform noise otherwise). The walk is in `walk`.
"""

from __future__ import annotations

from medaudit.core.arrays import Array
from medaudit.core.protocol import Search
from medaudit.search import walk
from medaudit.search.phases import Settings

__all__ = ["Settings", "search"]


def search(settings: Settings = Settings(), donors: Array | None = None, kinds: Array | None = None) -> Search:
    """donors [S, D]: clean points to start from, with their decisions kinds [S] (-1 unknown)."""
    return walk.search("hopskipjump", False, settings, donors, kinds)
