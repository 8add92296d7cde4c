"""Sparse: change few numbers of a table, greedily and then by swaps (score-based, L0).

A sweep tries single changes in random order and keeps the best one, then tries a second change on
top of it, until `eps` numbers differ; what budget is left goes into swaps that take one change back
and try another (Croce, Andriushchenko, Singh, Flammarion, Hein 2022, "Sparse-RS", algorithm 1, with
features in place of pixels). Numbers go to the ends of their box first, anywhere inside it later;
categories go to any other category. Numbers that a relation joins also go to their ends two at a time.
Fixed and missing numbers are never touched. What a sweep tries is in `sweep`.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from medaudit.core import streams
from medaudit.core.arrays import Array, namespace, put, put_where
from medaudit.core.protocol import Lanes, Query, Search
from medaudit.core.region import Region, changes
from medaudit.search import sweep
from medaudit.search.entries import swap

SWAP = 2


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
    order: Array  # [L, S] int64, entries of the sweep (`sweep`), in its order
    count: Array  # [L] int64, valid entries of order


def search(settings: Settings = Settings()) -> Search:
    return Search("sparse", 1, partial(init, settings), ask, tell)


def init(settings: Settings, region: Region, lanes: Lanes) -> State:
    xp = namespace(lanes.x)
    n, on = lanes.x.shape[0], {"device": lanes.x.device}
    order, count = sweep.order(region, lanes, settings.sweep)
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
        order=order,
        count=count,
    )


def ask(region: Region, lanes: Lanes, state: State) -> Query:
    xp = namespace(lanes.x)
    n = lanes.x.shape[0]
    place = xp.clip(state.at, 0, state.order.shape[1] - 1)
    entry = xp.take_along_axis(state.order, place[:, None], axis=1)[:, 0]
    swept = sweep.changed(region, lanes, state.base, entry)
    draw = streams.uniform(lanes.key, state.t, SWAP, 2 * lanes.x.shape[1] + 2)
    swapped = swap(region, lanes, state.base, state.changes >= int(region.eps), draw)
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
    changed = xp.astype(changes(region, base != lanes.x), xp.int64)
    more = gain & (changed < int(region.eps))
    return state._replace(
        base=base,
        score=xp.where(gain, state.trial_score, state.score),
        changes=changed,
        at=xp.where(over, xp.where(more, xp.zeros_like(state.at), xp.zeros_like(state.at) - 1), state.at),
    )
