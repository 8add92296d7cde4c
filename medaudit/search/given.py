"""One change that was found elsewhere, laid over each record: a single row, nothing is searched."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from medaudit.core.arrays import Array, namespace, put
from medaudit.core.protocol import Lanes, Query, Search
from medaudit.core.region import Region

Lay = Callable[[Region, Lanes, Array, Array], Array]  # region, lanes, lane [R], changes [R, D] -> points [R, D]


class State(NamedTuple):
    t: Array  # [L] int64, rows asked


def search(change: Array, lay: Lay) -> Search:
    """change: [D] float32."""

    def init(region: Region, lanes: Lanes) -> State:
        return State(namespace(lanes.x).zeros_like(lanes.label))

    def ask(region: Region, lanes: Lanes, state: State) -> Query:
        xp = namespace(lanes.x)
        lane = xp.nonzero(state.t == 0)[0]
        changes = xp.broadcast_to(change[None, :], (lane.shape[0], change.shape[0]))
        return Query(lay(region, lanes, lane, changes), lane)

    def tell(region: Region, lanes: Lanes, state: State, query: Query, score: Array, hit: Array) -> State:
        return State(put(state.t, query.lane, namespace(score).ones_like(query.lane)))

    return Search("given", 1, init, ask, tell, stopped=lambda state: state.t > 0)
