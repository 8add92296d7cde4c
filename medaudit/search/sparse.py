"""Sparse: change few numbers of a table, greedily and then by swaps (score-based, L0).

A sweep tries single changes in random order and keeps the best one, then tries a second change on
top of it, until `eps` numbers differ; what budget is left goes into swaps that take one change back
and try another (Croce, Andriushchenko, Singh, Flammarion, Hein 2022, "Sparse-RS", algorithm 1, with
features in place of pixels). Numbers go to the ends of their box first, anywhere inside it later;
categories go to any other category. Fixed and missing numbers are never touched.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from medaudit.core import streams
from medaudit.core.arrays import Array, namespace, put, put_where
from medaudit.core.protocol import Lanes, Query, Search
from medaudit.core.region import Region, free, snap

ORDER, SWAP = 1, 2


class Settings(NamedTuple):
    """sweep: most single changes tried per round."""

    sweep: int = 256


class State(NamedTuple):
    t: Array  # [L] int64
    at: Array  # [L] int64, position in the sweep; -1 once sweeps are over
    changes: Array  # [L] int64, numbers changed in `base`
    base: Array  # [L, D] float32, accepted point
    score: Array  # [L] float32, its score
    trial: Array  # [L, D] float32, best single change on top of base
    trial_score: Array  # [L] float32
    order: Array  # [L, S] int64, feature * slots + slot, in the order of the sweep
    count: Array  # [L] int64, valid entries of order


def search(settings: Settings = Settings()) -> Search:
    return Search("sparse", 1, partial(init, settings), ask, tell)


def init(settings: Settings, region: Region, lanes: Lanes) -> State:
    xp = namespace(lanes.x)
    n, d = lanes.x.shape
    on = {"device": lanes.x.device}
    slots = _slots(region)
    feature = xp.arange(d * slots, dtype=xp.int64, **on) // slots
    slot = xp.arange(d * slots, dtype=xp.int64, **on) % slots
    values = _value(region, lanes, xp.broadcast_to(feature, (n, d * slots)), slot[None, :])
    current = xp.take(lanes.x, feature, axis=1)
    valid = xp.isfinite(values) & (values != current) & xp.take(free(lanes), feature, axis=1)
    draw = streams.uniform(lanes.key, xp.zeros(n, dtype=xp.int64, **on), ORDER, d * slots)
    order = xp.argsort(xp.where(valid, draw, draw + 1), axis=1, stable=True)
    keep = min(settings.sweep, d * slots)
    count = xp.minimum(xp.sum(xp.astype(valid, xp.int64), axis=1), xp.full((n,), keep, dtype=xp.int64, **on))
    zero = xp.zeros(n, dtype=xp.int64, **on)
    worst = xp.full(n, xp.inf, dtype=xp.float32, **on)
    return State(
        t=zero,
        at=xp.where(count > 0, zero, zero - 1),
        changes=zero,
        base=lanes.x,
        score=worst,
        trial=lanes.x,
        trial_score=worst,
        order=xp.astype(order[:, :keep], xp.int64),
        count=count,
    )


def ask(region: Region, lanes: Lanes, state: State) -> Query:
    xp = namespace(lanes.x)
    n = lanes.x.shape[0]
    slots = _slots(region)
    place = xp.clip(state.at, 0, state.order.shape[1] - 1)
    entry = xp.take_along_axis(state.order, place[:, None], axis=1)
    feature, slot = entry // slots, entry % slots
    swept = _with(state.base, feature[:, 0], _value(region, lanes, feature, slot)[:, 0])
    swapped = _swap(region, lanes, state)
    points = xp.where((state.at >= 0)[:, None], swept, swapped)
    return Query(points, xp.arange(n, dtype=xp.int64, device=lanes.x.device))


def tell(region: Region, lanes: Lanes, state: State, query: Query, score: Array, hit: Array) -> State:
    xp = namespace(score)
    who = query.lane
    sweeping = xp.take(state.at, who) >= 0
    better = sweeping & (score < xp.take(state.trial_score, who))
    won = xp.logical_not(sweeping) & (score < xp.take(state.score, who))
    state = state._replace(
        t=put(state.t, who, xp.take(state.t, who) + 1),
        trial=put_where(state.trial, who, query.points, better),
        trial_score=put_where(state.trial_score, who, score, better),
        base=put_where(state.base, who, query.points, won),
        score=put_where(state.score, who, score, won),
        at=put(state.at, who, xp.where(sweeping, xp.take(state.at, who) + 1, xp.take(state.at, who))),
    )
    return _end_of_sweep(region, lanes, state)


def _end_of_sweep(region: Region, lanes: Lanes, state: State) -> State:
    """Accept the best single change of a finished sweep; start another while eps allows."""
    xp = namespace(state.score)
    over = state.at >= state.count
    gain = over & (state.trial_score < state.score)
    base = xp.where(gain[:, None], state.trial, state.base)
    changes = xp.sum(xp.astype(base != lanes.x, xp.int64), axis=1)
    more = gain & (changes < int(region.eps))
    return state._replace(
        base=base,
        score=xp.where(gain, state.trial_score, state.score),
        changes=xp.where(over, changes, state.changes),
        at=xp.where(over, xp.where(more, xp.zeros_like(state.at), xp.zeros_like(state.at) - 1), state.at),
    )


def _slots(region: Region) -> int:
    """Values tried per number in a sweep: both ends of its box, or every category."""
    if region.choices is None:
        return 2
    return max(2, int(namespace(region.choices).max(region.choices)))


def _value(region: Region, lanes: Lanes, feature: Array, slot: Array) -> Array:
    """Value of (feature, slot) for each lane, [L, S] float32; NaN where there is no such slot."""
    xp = namespace(lanes.x)
    lo, hi = (
        xp.take_along_axis(lanes.lo, feature, axis=1),
        xp.take_along_axis(lanes.hi, feature, axis=1),
    )
    nan = xp.full_like(lo, xp.nan)
    number = xp.where(slot == 0, lo, xp.where(slot == 1, hi, nan))
    if region.choices is None:
        return number
    choices = xp.reshape(xp.take(region.choices, xp.reshape(feature, (-1,))), feature.shape)
    return xp.where(choices > 0, xp.where(slot < choices, xp.astype(slot, xp.float32), nan), number)


def _swap(region: Region, lanes: Lanes, state: State) -> Array:
    """Take one change back where eps is used up, then change another number at random."""
    xp = namespace(lanes.x)
    n, d = lanes.x.shape
    draw = streams.uniform(lanes.key, state.t, SWAP, 2 * d + 2)
    changed = state.base != lanes.x
    nothing = xp.full((n, d), -1.0, dtype=xp.float64, device=lanes.x.device)
    undo = xp.argmax(xp.where(changed, draw[:, :d], nothing), axis=1)
    full = (state.changes >= int(region.eps))[:, None]
    back = xp.arange(d, dtype=undo.dtype, device=lanes.x.device)[None, :] == undo[:, None]
    base = xp.where(back & full & changed, lanes.x, state.base)
    allowed = free(lanes) & (base == lanes.x)
    pick = xp.argmax(xp.where(allowed, draw[:, d : 2 * d], nothing), axis=1)
    share = draw[:, 2 * d]
    # Half of the draws go to an end of the box, where linear parts of a model are worst.
    share = xp.where(draw[:, 2 * d + 1] < 0.25, xp.zeros_like(share), share)
    share = xp.where(draw[:, 2 * d + 1] > 0.75, xp.ones_like(share), share)
    lo = xp.take_along_axis(lanes.lo, pick[:, None], axis=1)[:, 0]
    hi = xp.take_along_axis(lanes.hi, pick[:, None], axis=1)[:, 0]
    value = xp.astype(lo + share * (hi - lo), xp.float32)
    if region.choices is not None:
        choices = xp.take(region.choices, pick)
        category = xp.floor(draw[:, 2 * d] * xp.astype(xp.maximum(choices, xp.ones_like(choices)), xp.float64))
        value = xp.where(choices > 0, xp.astype(category, xp.float32), value)
    points = snap(region, _with(base, pick, value))
    return xp.minimum(xp.maximum(points, lanes.lo), lanes.hi)


def _with(points: Array, column: Array, value: Array) -> Array:
    """points [L, D] with one number per lane replaced."""
    xp = namespace(points)
    here = xp.arange(points.shape[1], dtype=column.dtype, device=points.device)[None, :] == column[:, None]
    return xp.where(here, value[:, None], points)
