"""The whole, its halves, its quarters ...: runs of neighbouring numbers, one a step."""

from __future__ import annotations

from typing import NamedTuple

from medaudit.core.arrays import Array, namespace
from medaudit.core.protocol import Lanes
from medaudit.core.region import free


class Order(NamedTuple):
    """Only numbers that may change count, so that padding and frozen ones cost nothing."""

    place: Array  # [L, D] int32, how many numbers before this one may change
    count: Array  # [L] int64, how many may change


def order(lanes: Lanes) -> Order:
    xp = namespace(lanes.x)
    total = xp.cumulative_sum(xp.astype(free(lanes), xp.int32), axis=1, dtype=xp.int32)
    return Order(total - 1, xp.astype(total[:, -1], xp.int64))


def turns(these: Order) -> Array:
    """How many runs there are, down to single numbers, [L] int64."""
    xp = namespace(these.count)
    most = xp.astype(xp.maximum(these.count, xp.ones_like(these.count)), xp.float64)
    return 2 * xp.astype(2 ** xp.ceil(xp.log2(most)), xp.int64) - 1


def run(these: Order, turn: Array) -> Array:
    """The run of turn [L], [L, D] bool: none at 0, then the 2^h runs of level h = 0, 1 ...

    After runs of single numbers the levels begin again.
    """
    xp = namespace(turn)
    node = (turn - 1) % turns(these) + 1  # of a heap of runs, from 1
    level = xp.floor(xp.log2(xp.astype(xp.maximum(node, xp.ones_like(node)), xp.float64)))
    runs = xp.astype(2**level, xp.int64)
    start = ((node - runs) * these.count // runs)[:, None]
    end = ((node - runs + 1) * these.count // runs)[:, None]
    return (these.place >= start) & (these.place < end) & (turn > 0)[:, None]
