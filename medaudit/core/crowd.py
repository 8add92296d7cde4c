"""One change for many records: a lane whose points are changes, and the records that answer for it.

Moosavi-Dezfooli, Fawzi, Fawzi, Frossard 2017, "Universal adversarial perturbations". A search sees one
lane around zero; every change it asks is laid over each record of the crowd, and its score is the mean
over the crowd of tanh(score / usual clean score): records that are far beyond the goal, or far from it,
pull no harder than others.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from medaudit.core.arrays import Array, map_tree, namespace, to_numpy
from medaudit.core.canvas import canvas_lanes, canvas_region
from medaudit.core.compose import permitted
from medaudit.core.injection import inject, signal_lanes, signal_region
from medaudit.core.patches import SMALLEST, anywhere, place
from medaudit.core.protocol import Attack, Lanes, Oracle, Query
from medaudit.core.region import INJECTED, PATCH, Region, project

PLACE = 7001  # tag that no search uses


class Crowd(NamedTuple):
    """The records that one change is fitted on, each at so many moments."""

    region: Region
    lanes: Lanes  # [F]: a record's moments side by side
    guide: Oracle  # of one record
    usual: float  # median size of their clean scores
    moments: int = 1

    @property
    def size(self) -> int:
        return int(self.lanes.x.shape[0])


def gather(region: Region, lanes: Lanes, guide: Oracle, moments: int = 1) -> Crowd:
    """The crowd of these lanes, each at so many moments; they hold the records and the clean answers."""
    xp = namespace(lanes.x)
    each = xp.repeat(xp.arange(lanes.x.shape[0], dtype=xp.int64, device=lanes.x.device), moments)
    lanes = lanes if moments == 1 else map_tree(lambda a: xp.take(a, each, axis=0), lanes)
    score, _ = guide.score(lanes, xp.arange(lanes.x.shape[0], dtype=xp.int64, device=lanes.x.device), lanes.ref)
    sizes = xp.sort(xp.abs(score))
    usual = float(sizes[sizes.shape[0] // 2])
    return Crowd(region, lanes, guide, usual if 0 < usual < float("inf") else 1.0, moments)


def changes_lane(crowd: Crowd, key: Array) -> Lanes:
    """The one lane that a search sees: zero is no change, its box the widest that any record allows."""
    xp, lanes = namespace(crowd.lanes.x), crowd.lanes
    one = xp.full(1, -1, dtype=xp.int64, device=lanes.x.device)
    if crowd.region.norm in (PATCH, INJECTED):
        first = map_tree(lambda a: a[:1, ...], lanes)
        own = canvas_lanes if crowd.region.norm == PATCH else signal_lanes
        return own(crowd.region, first)._replace(key=key, ref=xp.reshape(lanes.ref, (1, -1)))
    return Lanes(
        key=key,
        x=xp.zeros_like(lanes.x[:1, :]),
        lo=xp.min(lanes.lo - lanes.x, axis=0)[None, :],
        hi=xp.max(lanes.hi - lanes.x, axis=0)[None, :],
        missing=None,
        ref=xp.reshape(lanes.ref, (1, -1)),
        label=one,
        target=one,
    )


def changes_region(region: Region) -> Region:
    """Where a search for the one change looks."""
    if region.norm == INJECTED:
        return signal_region(region)
    return canvas_region(region) if region.norm == PATCH else region._replace(rules=None)


def lay(region: Region, lanes: Lanes, lane: Array, changes: Array, t: Array, *, heard: bool = True) -> Array:
    """Changes laid over the records of their lanes and brought into their boxes, [R, D].

    Changes [R, D] are added; patches [R, K] lie at each lane's own random place, a little smaller or not; injected
    signals [R, K] begin at its moment t [R], heard through the recorder's filters or not.
    """
    xp = namespace(changes)
    if region.norm == INJECTED:
        return inject(region, lanes, lane, changes, t, heard=heard)
    if region.norm == PATCH:
        spot = anywhere(region, lanes, lane, xp.zeros_like(lane), PLACE, SMALLEST)
        return place(region, lanes, lane, changes, spot)
    return project(region, lanes, lane, xp.take(lanes.x, lane, axis=0) + changes)


def goal(crowd: Crowd) -> Oracle:
    """How near the crowd is to the goal, from answers [R, F * M]; a hit turned at least half of it."""

    def score(lanes: Lanes, lane: Array, answers: Array) -> tuple[Array, Array]:
        xp = namespace(answers)
        rows, size = answers.shape[0], crowd.size
        who = xp.tile(xp.arange(size, dtype=xp.int64, device=answers.device), (rows,))
        each, hit = crowd.guide.score(crowd.lanes, who, xp.reshape(answers, (rows * size, -1)))
        each = xp.reshape(xp.tanh(each / crowd.usual), (rows, size))
        share = xp.mean(xp.astype(xp.reshape(hit, (rows, size)), xp.float32), axis=1)
        return xp.astype(xp.mean(each, axis=1), xp.float32), share >= 0.5

    return Oracle(f"crowd·{crowd.guide.name}", score)


def ask_crowd(attack: Attack, crowd: Crowd) -> Attack:
    """The attack of one lane of changes, as rows that a model can answer: every record under every change."""
    size = crowd.size

    def ask(state: Any) -> Query:
        query = attack.ask(state)
        xp = namespace(query.points)
        who = xp.tile(xp.arange(size, dtype=xp.int64, device=query.points.device), (query.points.shape[0],))
        points = lay(
            crowd.region, crowd.lanes, who, xp.repeat(query.points, size, axis=0), who % crowd.moments, heard=False
        )
        return Query(permitted(crowd.region, crowd.lanes, who, points), xp.repeat(query.lane, size))

    def tell(state: Any, query: Query, answers: Array) -> Any:
        own = attack.ask(state)
        return attack.tell(state, own, namespace(answers).reshape(answers, (own.points.shape[0], -1)))

    def result(state: Any) -> Any:
        found = attack.result(state)
        return found | {"rows": to_numpy(found["rows"]) * size}

    return attack._replace(quantum=attack.quantum * size, ask=ask, tell=tell, result=result)
