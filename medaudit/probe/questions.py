"""Fixed lists of questions: rows that follow from a record alone, whatever the model answers.

The engine runs them as it runs attacks, so that lanes, budgets, restarts and counts are the same for both; nothing
is searched, and nothing is claimed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from medaudit.core.arrays import Array, namespace, take, to_numpy
from medaudit.core.protocol import Attack, Lanes, Query

Points = Callable[[Lanes, Array], Array]
"""lanes of the rows [R, ...], number of the question t [R] int64 -> points [R, D] float32"""
Note = Callable[[Lanes, Array, Array], tuple[Array, Array]]
"""lanes of the rows, t [R], answers [R, M] -> places [R] int64 in what is kept, and what is added there:
one number each [R], or several side by side from there on [R, K]"""


class State(NamedTuple):
    lanes: Lanes
    t: Array  # [L] int64, questions answered
    kept: Array  # [L, K] float64
    invalid: Array  # [L] int64, answers that are not finite; nothing of them is kept


def questions(
    name: str, count: int, width: int, points: Points, note: Note, *, at_once: int = 8, votes: int = 1
) -> Attack:
    """`count` questions of each lane, `at_once` a tick; of their answers `width` sums are kept."""

    def init(lanes: Lanes) -> State:
        xp, on = namespace(lanes.x), {"device": lanes.x.device}
        n = lanes.x.shape[0]
        zero = xp.zeros(n, dtype=xp.int64, **on)
        return State(lanes, zero, xp.zeros((n, width), dtype=xp.float64, **on), zero)

    def ask(state: State) -> Query:
        xp = namespace(state.t)
        step = xp.arange(at_once, dtype=xp.int64, device=state.t.device)
        due = state.t[:, None] + step[None, :]
        lane = xp.broadcast_to(xp.arange(due.shape[0], dtype=xp.int64, device=due.device)[:, None], due.shape)
        lane, due = lane[due < count], due[due < count]
        return Query(points(take(state.lanes, lane), due), lane)

    def tell(state: State, query: Query, answers: Array) -> State:
        xp = namespace(state.t)
        first = xp.searchsorted(query.lane, query.lane)
        due = xp.take(state.t, query.lane) + xp.arange(query.lane.shape[0], dtype=xp.int64, device=first.device) - first
        valid = xp.all(xp.isfinite(answers), axis=1)
        place, value = note(take(state.lanes, query.lane), due, answers)
        # Few numbers, and several of one lane may go to one place: summed on the host, in the order of the questions.
        kept, invalid, t = (to_numpy(a).copy() for a in (state.kept, state.invalid, state.t))
        more = to_numpy(value).astype(np.float64).reshape(query.lane.shape[0], -1)
        side = np.arange(more.shape[1])
        for i, (own, at, good) in enumerate(
            zip(*(to_numpy(a).tolist() for a in (query.lane, place, valid)), strict=True)
        ):
            t[own] += 1
            if good:
                kept[own, at + side] += more[i]
            else:
                invalid[own] += 1
        t, kept, invalid = (xp.asarray(a, device=state.t.device) for a in (t, kept, invalid))
        return State(state.lanes, t, kept, invalid)

    def result(state: State) -> dict[str, Array]:
        return {
            "rows": votes * to_numpy(state.t),
            "kept": to_numpy(state.kept),
            "invalid": votes * to_numpy(state.invalid),
        }

    return Attack(name, at_once, init, ask, tell, lambda state: state.t >= count, result, votes=votes)
