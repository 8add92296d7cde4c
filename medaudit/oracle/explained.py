"""From questions about explanations to rows: every point becomes the rows of its plan, their answers become its map.

What asks sees one wide answer for a point: the model's own answer, then the map. All points of all lanes share the
engine's blocks, and a lane is told when its last row is answered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from medaudit.core.arrays import Array, map_tree, namespace, to_numpy
from medaudit.core.protocol import Attack, Lanes, Query
from medaudit.probe.explainer import Explainer

BYTES = 4 << 20  # of one lane's rows in a tick

Read = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""answers [R, M'] of rows, answers [R, M'] of what they explain the decision of -> values [R, W] float64"""


class Request(NamedTuple):
    """Points that are to be explained; those of a lane together."""

    points: Array  # [E, D]
    lane: Array  # [E] int64
    plan: Array  # [E] int64


class Asker(NamedTuple):
    """An attack that asks for explanations; `Attack`, with a Request in the place of a Query."""

    name: str
    quantum: int  # most explanations that a lane asks for at once
    init: Callable[[Lanes], Any]
    ask: Callable[[Any], Request]
    tell: Callable[[Any, Request, Array], Any]  # state, request, answers and maps [E, M + S] -> state
    done: Callable[[Any], Array]
    result: Callable[[Any], dict[str, Array]]


class State(NamedTuple):
    inner: Any
    lanes: Lanes
    asked: Array  # [L] int64, rows answered of what is asked for now
    rows: Array  # [L] int64, rows answered in all
    invalid: Array  # [L] int64, of them with a number that is not finite
    values: Array  # [L, quantum * T * W] float32, what is read in the answers so far
    own: Array  # [L, quantum * M] float32, answers to the points themselves


class Window(NamedTuple):
    """Rows of one tick."""

    which: np.ndarray  # [R] request that a row belongs to
    t: np.ndarray  # [R] its number in the request's plan
    lane: np.ndarray  # [R]
    place: np.ndarray  # [R] its number among the lane's requests


def remembered(ask: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The same, which does not work out twice what the state it last saw asks: proposals are pure, and take long."""
    last: list[Any] = []

    def asked(state: Any) -> Any:
        if not last or last[0] is not state:
            last[:] = [state, ask(state)]
        return last[1]

    return asked


def explaining(
    asker: Asker, plans: list[Explainer], read: Read, width: int, numbers: int, *, own: bool, votes: int
) -> Attack:
    """The attack on the model.

    plans: by number. read: what is explained. width: M, numbers of an answer; numbers: D. own: the decision that each
    point itself gets is explained, else the clean one. votes: model rows behind one answer.
    """
    most, columns = max(plan.asks for plan in plans), max(plan.width for plan in plans)
    at_once = int(max(16, min(2048, BYTES // (4 * numbers))))
    wide = most * columns
    asked = remembered(asker.ask)

    def init(lanes: Lanes) -> State:
        xp, n, on = namespace(lanes.x), lanes.x.shape[0], {"device": lanes.x.device}
        zero = xp.zeros(n, dtype=xp.int64, **on)
        values = xp.zeros((n, asker.quantum * wide), dtype=xp.float32, **on)
        answers = xp.zeros((n, asker.quantum * width), dtype=xp.float32, **on)
        return State(asker.init(lanes), lanes, zero, zero, zero, values, answers)

    def window(state: State, request: Request) -> Window:
        lane, plan, before = (to_numpy(a) for a in (request.lane, request.plan, state.asked))
        asks = np.array([one.asks for one in plans])[plan]
        parts = []
        for i in np.unique(lane):
            own_rows = np.flatnonzero(lane == i)
            ends = np.cumsum(asks[own_rows])
            at = np.arange(before[i], min(before[i] + at_once, ends[-1]))
            place = np.searchsorted(ends, at, side="right")
            t = at - (ends - asks[own_rows])[place]
            parts.append(Window(own_rows[place], t, np.full(len(at), i), place))
        if not parts:
            none = np.zeros(0, dtype=np.int64)
            return Window(none, none, none, none)
        return Window(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def ask(state: State) -> Query:
        request = asked(state.inner)
        xp, on = namespace(request.points), {"device": request.points.device}
        due = window(state, request)
        plan = to_numpy(request.plan)[due.which]
        parts, order = [], []
        for k in np.unique(plan):
            at = np.flatnonzero(plan == k)
            some, back = np.unique(due.which[at], return_inverse=True)
            points = xp.take(request.points, xp.asarray(some, **on), axis=0)
            parts.append(plans[int(k)].rows(points, xp.asarray(back, **on), xp.asarray(due.t[at], **on)))
            order.append(at)
        lane = xp.asarray(due.lane, **on)
        if not parts:
            return Query(request.points[:0, :], lane)
        if len(parts) == 1:
            return Query(parts[0], lane)
        sorted_back = np.argsort(np.concatenate(order), kind="stable")
        return Query(xp.take(xp.concat(parts, axis=0), xp.asarray(sorted_back, **on), axis=0), lane)

    def tell(state: State, query: Query, answers: Array) -> State:
        request = asked(state.inner)
        due = window(state, request)
        told = np.isin(due.lane, np.unique(to_numpy(query.lane)))  # some lanes may wait for the next tick
        due = Window(*(column[told] for column in due))
        found = to_numpy(answers)
        n = state.asked.shape[0]
        values, first, counts = (to_numpy(a).copy() for a in (state.values, state.own, state.asked))
        heads = np.flatnonzero(due.t == 0)
        for i in heads:
            first[due.lane[i], due.place[i] * width + np.arange(width)] = found[i, :width]
        of = to_numpy(state.lanes.ref)[due.lane, :width]
        if own:
            of = np.stack([first[i, k * width + np.arange(width)] for i, k in zip(due.lane, due.place, strict=True)])
        got = read(found, of)
        at = due.place[:, None] * wide + due.t[:, None] * columns + np.arange(got.shape[1])[None, :]
        values[due.lane[:, None], at] = got
        counts += np.bincount(due.lane, minlength=n)
        rows = to_numpy(state.rows) + votes * np.bincount(due.lane, minlength=n)
        bad = ~np.isfinite(found).all(axis=1)
        invalid = to_numpy(state.invalid) + votes * np.bincount(due.lane[bad], minlength=n)
        inner = _finished(state, request, due, values, first, counts)
        xp, on = namespace(state.values), {"device": state.values.device}
        fresh = (xp.asarray(a, **on) for a in (counts, rows, invalid, values, first))
        return State(inner, state.lanes, *fresh)

    def _finished(
        state: State, request: Request, due: Window, values: np.ndarray, first: np.ndarray, counts: np.ndarray
    ) -> Any:
        """Tell the lanes whose last row was answered, and let them begin again."""
        lane, plan = to_numpy(request.lane), to_numpy(request.plan)
        asks = np.array([one.asks for one in plans])[plan]
        total = np.bincount(lane, asks, minlength=len(counts)).astype(np.int64)
        full = np.unique(due.lane)
        full = full[counts[full] >= total[full]]
        mine = np.flatnonzero(np.isin(lane, full))
        if not mine.size:
            return state.inner
        xp, on = namespace(request.points), {"device": request.points.device}
        own_points = to_numpy(xp.take(request.points, xp.asarray(mine, **on), axis=0))
        out = np.empty((len(mine), width + plans[0].cells), dtype=np.float32)
        counted: dict[int, int] = {}
        for e, k in enumerate(mine):
            i, one = int(lane[k]), plans[int(plan[k])]
            place = counted.get(i, 0)
            counted[i] = place + 1
            read_out = values[i, place * wide : place * wide + one.asks * columns].reshape(1, one.asks, columns)
            out[e, :width] = first[i, place * width : (place + 1) * width]
            out[e, width:] = one.reduce(read_out.astype(np.float64), own_points[e : e + 1])[0]
        counts[full] = 0
        told = map_tree(lambda a: xp.take(a, xp.asarray(mine, **on), axis=0), request)
        return asker.tell(state.inner, told, xp.asarray(out, **on))

    def result(state: State) -> dict[str, Array]:
        counts = {"rows": to_numpy(state.rows), "invalid": to_numpy(state.invalid)}
        return asker.result(state.inner) | counts

    return Attack(asker.name, at_once, init, ask, tell, lambda state: asker.done(state.inner), result, votes=votes)
