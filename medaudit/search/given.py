"""One change that was found elsewhere, laid over each record: nothing is searched.

At one moment it is a single row. At many, none of those rows is a success by itself: where at least half of them
reached the goal, the first that did is asked again, and that row is the claim.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from medaudit.core.arrays import Array, namespace, put
from medaudit.core.protocol import Lanes, Query, Search
from medaudit.core.region import Region

# region, lanes, lane [R], changes [R, D], moment [R] -> points [R, D]
Lay = Callable[[Region, Lanes, Array, Array, Array], Array]


class State(NamedTuple):
    t: Array  # [L] int64, rows asked
    hits: Array  # [L] int64, of those before the claim
    first: Array  # [L] int64, the moment of the first hit


def search(change: Array, lay: Lay, moments: int = 1) -> Search:
    """change: [D] float32."""
    rounds = moments if moments > 1 else 0  # of rows that are no claims

    def init(region: Region, lanes: Lanes) -> State:
        zero = namespace(lanes.x).zeros_like(lanes.label)
        return State(zero, zero, zero)

    def ask(region: Region, lanes: Lanes, state: State) -> Query:
        xp = namespace(lanes.x)
        new = xp.nonzero((state.t == 0) & (rounds > 0))[0]
        last = xp.nonzero((state.t == rounds) & (2 * state.hits >= rounds))[0]
        lane = xp.concat([xp.repeat(new, max(1, rounds)), last])
        t = xp.concat([xp.tile(xp.arange(max(1, rounds), dtype=xp.int64, device=lane.device), (new.shape[0],)),
                       xp.take(state.first, last)])  # fmt: skip
        claims = xp.concat([xp.zeros(lane.shape[0] - last.shape[0], dtype=xp.bool, device=lane.device), last >= 0])
        changes = xp.broadcast_to(change[None, :], (lane.shape[0], change.shape[0]))
        return Query(lay(region, lanes, lane, changes, t), lane, claims)

    def tell(region: Region, lanes: Lanes, state: State, query: Query, score: Array, hit: Array) -> State:
        xp = namespace(score)
        claims = query.lane < 0 if query.claims is None else query.claims
        trial = xp.nonzero(~claims)[0]
        who = xp.take(query.lane, trial)[:: max(1, rounds)]
        won = xp.reshape(xp.take(hit, trial), (-1, max(1, rounds)))
        hits = put(state.hits, who, xp.sum(xp.astype(won, xp.int64), axis=1))
        first = put(state.first, who, xp.argmax(xp.astype(won, xp.int64), axis=1))
        t = put(state.t, who, xp.full_like(who, rounds))
        sure = xp.take(query.lane, xp.nonzero(claims)[0])
        return State(put(t, sure, xp.full_like(sure, rounds + 1)), hits, first)

    def stopped(state: State) -> Array:
        return (state.t > rounds) | ((state.t == rounds) & (2 * state.hits < rounds))

    def share(state: State) -> Array:
        xp = namespace(state.hits)
        return xp.astype(state.hits, xp.float32) / rounds

    return Search("given", moments, init, ask, tell, stopped=stopped, share=share if rounds else None)
