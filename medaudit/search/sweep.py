"""What a sweep of single changes tries: every other value of every number, then pairs that a relation joins.

An entry of a sweep is a code: feature * slots + slot, a number and which of its values; from D * slots on
4 * pair + ends, two numbers that a relation joins and which ends of their boxes they go to, since one alone
may be unlawful. Single changes come in random order; pairs after them, in random order too.
"""

from __future__ import annotations

from medaudit.core import streams
from medaudit.core.arrays import Array, namespace
from medaudit.core.protocol import Lanes
from medaudit.core.region import Region, changes, free
from medaudit.search.entries import replaced, slots, value

ORDER = 1


def order(region: Region, lanes: Lanes, most: int) -> tuple[Array, Array]:
    """The first `most` entries of each lane's sweep, [L, S] int64, and how many of them are valid, [L] int64."""
    xp = namespace(lanes.x)
    n, d = lanes.x.shape
    on = {"device": lanes.x.device}
    count_of = slots(region)
    feature = xp.arange(d * count_of, dtype=xp.int64, **on) // count_of
    slot = xp.arange(d * count_of, dtype=xp.int64, **on) % count_of
    values = value(region, lanes, xp.broadcast_to(feature, (n, d * count_of)), slot[None, :])
    current = xp.take(lanes.x, feature, axis=1)
    valid = xp.isfinite(values) & (values != current) & xp.take(free(lanes), feature, axis=1)
    late = xp.zeros((d * count_of,), dtype=xp.float64, **on)
    pairs = linked(region)
    if pairs is not None:  # after all single changes
        both = xp.repeat(
            xp.take(free(lanes), pairs[:, 0], axis=1) & xp.take(free(lanes), pairs[:, 1], axis=1), 4, axis=1
        )
        valid = xp.concat([valid, both], axis=1)
        late = xp.concat([late, xp.ones((both.shape[1],), dtype=xp.float64, **on)])
    total = valid.shape[1]
    draw = late + streams.uniform(lanes.key, xp.zeros(n, dtype=xp.int64, **on), ORDER, total)
    ranked = xp.argsort(xp.where(valid, draw, draw + 2), axis=1, stable=True)
    keep = min(most, total)
    count = xp.minimum(xp.sum(xp.astype(valid, xp.int64), axis=1), xp.full((n,), keep, dtype=xp.int64, **on))
    return xp.astype(ranked[:, :keep], xp.int64), count


def changed(region: Region, lanes: Lanes, base: Array, entry: Array) -> Array:
    """base [L, D] with each lane's entry [L] made."""
    xp = namespace(base)
    count_of = slots(region)
    single = lanes.x.shape[1] * count_of
    feature, slot = xp.clip(entry, 0, single - 1) // count_of, entry % count_of
    points = replaced(base, feature, value(region, lanes, feature[:, None], slot[:, None])[:, 0])
    pairs = linked(region)
    if pairs is None:
        return points
    two = _together(region, lanes, base, pairs, xp.clip(entry - single, 0, 4 * pairs.shape[0] - 1))
    return xp.where((entry >= single)[:, None], two, points)


def linked(region: Region) -> Array | None:
    """Pairs of numbers that a relation joins, [P, 2]; None: there are none, or only one number may change."""
    if region.rules is None or not region.rules.relations or region.eps < 2:
        return None
    relations = region.rules.relations
    xp = namespace(relations[0].index)
    ends = [(r.index[a, :], r.index[b, :]) for r in relations for b in range(len(r.weight)) for a in range(b)]
    return xp.concat([xp.stack(pair, axis=1) for pair in ends]) if ends else None


def _together(region: Region, lanes: Lanes, base: Array, pairs: Array, code: Array) -> Array:
    """Both numbers of pair code // 4 at ends of their boxes; base where that would be too many changes."""
    xp = namespace(base)
    pair = xp.take(pairs, code // 4, axis=0)
    points = base
    for k in range(2):
        column = pair[:, k]
        lo, hi = (xp.take_along_axis(bound, column[:, None], axis=1)[:, 0] for bound in (lanes.lo, lanes.hi))
        points = replaced(points, column, xp.where((code // (1 + k)) % 2 == 0, lo, hi))
    fits = changes(region, points != lanes.x) <= region.eps
    return xp.where(fits[:, None], points, base)
