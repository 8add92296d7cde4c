"""Single entries of a record: which values a number or a category may take, and a random one of them."""

from __future__ import annotations

from medaudit.core.arrays import Array, namespace
from medaudit.core.protocol import Lanes
from medaudit.core.region import Region, snap


def slots(region: Region) -> int:
    """Values tried per number in a sweep: both ends of its box, or every category."""
    if region.choices is None:
        return 2
    return max(2, int(namespace(region.choices).max(region.choices)))


def value(region: Region, lanes: Lanes, feature: Array, slot: Array) -> Array:
    """Value of (feature, slot) for each lane, [L, S] float32; NaN where there is no such slot."""
    xp = namespace(lanes.x)
    lo, hi = (xp.take_along_axis(bound, feature, axis=1) for bound in (lanes.lo, lanes.hi))
    nan = xp.full_like(lo, xp.nan)
    number = xp.where(slot == 0, lo, xp.where(slot == 1, hi, nan))
    if region.choices is None:
        return number
    choices = xp.reshape(xp.take(region.choices, xp.reshape(feature, (-1,))), feature.shape)
    return xp.where(choices > 0, xp.where(slot < choices, xp.astype(slot, xp.float32), nan), number)


def random(region: Region, lo: Array, hi: Array, choices: Array | None, share: Array, end: Array) -> Array:
    """A legal value at `share` of the way from lo to hi; half of the draws `end` go to an end of the box,
    where linear parts of a model are worst. Categories: any of `choices`. All of one shape, float32."""
    xp = namespace(lo)
    place = xp.where(end < 0.25, xp.zeros_like(share), xp.where(end > 0.75, xp.ones_like(share), share))
    out = xp.astype(lo + place * (hi - lo), xp.float32)
    if choices is None:
        return out
    category = xp.floor(share * xp.astype(xp.maximum(choices, xp.ones_like(choices)), xp.float64))
    return xp.where(choices > 0, xp.astype(category, xp.float32), out)


def swap(region: Region, lanes: Lanes, base: Array, full: Array, draw: Array) -> Array:
    """Take one change back where `full` [L] says so, then change another number; draw [L, 2 D + 2] in [0, 1)."""
    xp = namespace(lanes.x)
    d = lanes.x.shape[1]
    changed = base != lanes.x
    nothing = xp.full(base.shape, -1.0, dtype=xp.float64, device=lanes.x.device)
    undo = xp.argmax(xp.where(changed, draw[:, :d], nothing), axis=1)
    back = xp.arange(d, dtype=undo.dtype, device=lanes.x.device)[None, :] == undo[:, None]
    if region.alike is not None:  # all that counts as the same change
        back = region.alike[None, :] == xp.take(region.alike, undo)[:, None]
    base = xp.where(back & full[:, None] & changed, lanes.x, base)
    allowed = (lanes.hi > lanes.lo) & (base == lanes.x)
    pick = xp.argmax(xp.where(allowed, draw[:, d : 2 * d], nothing), axis=1)
    lo, hi = (xp.take_along_axis(bound, pick[:, None], axis=1)[:, 0] for bound in (lanes.lo, lanes.hi))
    choices = None if region.choices is None else xp.take(region.choices, pick)
    fresh = random(region, lo, hi, choices, draw[:, 2 * d], draw[:, 2 * d + 1])
    points = snap(region, replaced(base, pick, fresh))
    return xp.minimum(xp.maximum(points, lanes.lo), lanes.hi)


def replaced(points: Array, column: Array, fresh: Array) -> Array:
    """points [L, D] with one number per lane replaced."""
    xp = namespace(points)
    here = xp.arange(points.shape[1], dtype=column.dtype, device=points.device)[None, :] == column[:, None]
    return xp.where(here, fresh[:, None], points)


def few(region: Region, lanes: Lanes, child: Array, drop: Array) -> Array:
    """At most eps entries of each candidate stay changed, drawn at random; those that are alike go together."""
    xp = namespace(child)
    x = lanes.x[:, None, :]
    if region.alike is not None:
        drop = xp.take(drop, region.alike, axis=2)  # one draw a group: that of the number its id names
    changed = child != x
    rank = xp.where(changed, drop, drop + 1)
    order = xp.sort(rank, axis=2)
    # The eps-th smallest draw among distinct groups; without groups all draws differ.
    if region.alike is not None:
        first = xp.concat([order[:, :, :1] >= 0, order[:, :, 1:] != order[:, :, :-1]], axis=2)
        place = xp.cumulative_sum(xp.astype(first, xp.int64), axis=2)
        limit = xp.max(xp.where(place <= int(region.eps), order, xp.zeros_like(order)), axis=2)
    else:
        limit = order[:, :, min(int(region.eps), order.shape[2]) - 1]
    return xp.where(changed & (rank <= limit[:, :, None]), child, x)
