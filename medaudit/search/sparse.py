"""Sparse: change few numbers of a table, greedily and then by swaps (score-based, L0).

A sweep tries single changes in random order and keeps the best one, then tries a second change on
top of it, until `eps` numbers differ; what budget is left goes into swaps that take one change back
and try another (Croce, Andriushchenko, Singh, Flammarion, Hein 2022, "Sparse-RS", algorithm 1, with
features in place of pixels). Numbers go to the ends of their box first, anywhere inside it later;
categories go to any other category. Numbers that a relation joins also go to their ends two at a time,
since one alone may be unlawful. Fixed and missing numbers are never touched.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from medaudit.core import streams
from medaudit.core.arrays import Array, namespace, put, put_where
from medaudit.core.protocol import Lanes, Query, Search
from medaudit.core.region import Region, changes, free
from medaudit.search.entries import replaced, slots, swap, value

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
    order = xp.argsort(xp.where(valid, draw, draw + 2), axis=1, stable=True)
    keep = min(settings.sweep, total)
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
    count_of = slots(region)
    place = xp.clip(state.at, 0, state.order.shape[1] - 1)
    entry = xp.take_along_axis(state.order, place[:, None], axis=1)
    single = lanes.x.shape[1] * count_of
    feature, slot = xp.clip(entry, 0, single - 1) // count_of, entry % count_of
    swept = replaced(state.base, feature[:, 0], value(region, lanes, feature, slot)[:, 0])
    pairs = linked(region)
    if pairs is not None:
        two = _together(region, lanes, state.base, pairs, xp.clip(entry[:, 0] - single, 0, 4 * pairs.shape[0] - 1))
        swept = xp.where(entry >= single, two, swept)
    draw = streams.uniform(lanes.key, state.t, SWAP, 2 * lanes.x.shape[1] + 2)
    swapped = swap(region, lanes, state.base, state.changes >= int(region.eps), draw)
    points = xp.where((state.at >= 0)[:, None], swept, swapped)
    return Query(points, xp.arange(n, dtype=xp.int64, device=lanes.x.device))


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
    changed = xp.astype(changes(region, base != lanes.x), xp.int64)
    more = gain & (changed < int(region.eps))
    return state._replace(
        base=base,
        score=xp.where(gain, state.trial_score, state.score),
        changes=changed,
        at=xp.where(over, xp.where(more, xp.zeros_like(state.at), xp.zeros_like(state.at) - 1), state.at),
    )
