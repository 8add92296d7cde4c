"""A walk along the decision boundary from labels only, as a table of phases: nobody waits for the slowest.

START finds any point that reaches the goal; BISECT moves it to the boundary on the way to the clean
point; GRAD asks eight probes around it, again and again, until the boundary's normal is known. Then
the search's own move: STEP jumps along the normal, halving until the goal is still reached, and
bisects from there (`hopskipjump`); or the next bisection bends along it (`cgba`).
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from medaudit.core.arrays import Array, namespace, put
from medaudit.core.protocol import Lanes, Query, Search
from medaudit.core.region import LINF, Region, clip, free, size, snap
from medaudit.search import normal as normals
from medaudit.search.noise import ROWS, octets
from medaudit.search.normal import Normal
from medaudit.search.paths import arc, line
from medaudit.search.starts import beyond, nearest, outcome, start

START, BISECT, GRAD, STEP, STOP = 0, 1, 2, 3, 4
NOISE = 2


class Settings(NamedTuple):
    """first: probes of the first normal, growing with sqrt(round)."""

    first: int = 20
    tolerance: float = 1e-3  # of bisection, relative to the distance
    probe: float = 0.02  # size of a probe relative to the distance
    tries: int = 1000  # starts tried before giving up
    halvings: int = 8
    coarse: int = 10  # round from which every other estimate uses single numbers


class State(NamedTuple):
    phase: Array  # [L] int64
    round: Array  # [L] int64, from 1
    far: Array  # [L, D] float32, a point that reaches the goal
    length: Array  # [L] float32, size of the boundary's point
    spread: Array  # [L] float32, square root of the count of numbers that may change
    low: Array  # [L] float32, bisection: share that failed
    high: Array  # [L] float32, share that reached the goal
    step: Array  # [L] float32, length of the jump, in units of scale; bends: 1 once there is a normal
    tried: Array  # [L] int64, starts or halvings so far in this phase
    starts: Array  # [L] int64, rows asked to find a start
    order: Array  # [L, S] int64, donors from near to far; -1: none
    normal: Normal


def search(name: str, bends: bool, settings: Settings, donors: Array | None, kinds: Array | None) -> Search:
    """donors [S, D]: clean points to start from, with their decisions kinds [S] (-1 unknown)."""
    return beyond(
        Search(
            name,
            ROWS,
            partial(init, donors, kinds),
            partial(ask, settings, bends, donors),
            partial(tell, settings, bends),
            lambda state: state.phase == STOP,
            lambda state: state.starts,
        )
    )


def init(donors: Array | None, kinds: Array | None, region: Region, lanes: Lanes) -> State:
    xp = namespace(lanes.x)
    zero = xp.zeros(lanes.x.shape[0], dtype=xp.int64, device=lanes.x.device)
    flat = xp.astype(zero, xp.float32)
    spread = xp.sqrt(xp.maximum(xp.sum(xp.astype(free(lanes), xp.float32), axis=1), flat + 1))
    order = nearest(donors, kinds, region, lanes)
    begin = normals.begin(lanes)
    return State(zero + START, zero, lanes.x, flat, spread, flat, flat + 1, flat, zero, zero, order, begin)


def ask(settings: Settings, bends: bool, donors: Array | None, region: Region, lanes: Lanes, state: State) -> Query:
    """Rows of all lanes, phase after phase; probes may not become a lane's claim."""
    xp = namespace(lanes.x)
    on = {"device": lanes.x.device}
    asking = [(phase, xp.nonzero(state.phase == phase)[0]) for phase in (START, BISECT, STEP, GRAD)]
    sizes = [who.shape[0] * (ROWS if phase == GRAD else 1) for phase, who in asking]
    points = xp.empty((sum(sizes), lanes.x.shape[1]), dtype=xp.float32, **on)
    end = 0
    for (phase, who), rows in zip(asking, sizes, strict=True):
        begin, end = end, end + rows
        if not rows:
            continue
        if phase == START:
            points[begin:end, :] = start(donors, region, lanes, state.order, state.tried, who)
        elif phase == BISECT:
            points[begin:end, :] = _between(bends, region, lanes, state, who, xp.take(_middle(state), who))
        elif phase == STEP:
            points[begin:end, :] = _jump(region, lanes, state, who)
        else:
            reach = settings.probe * xp.take(state.length, who)
            reach = reach if region.norm == LINF else reach / xp.take(state.spread, who)
            noise = _noise(settings, region, lanes, state, who)
            at = xp.take(state.far, who, axis=0)
            normals.probes(region, lanes, who, at, reach, noise, points[begin:end, :])
    owners = [who if phase != GRAD else xp.repeat(who, ROWS) for phase, who in asking]
    claims = xp.arange(end, dtype=xp.int64, **on) < end - sizes[-1]
    return Query(points, xp.concat(owners), claims)


def tell(
    settings: Settings, bends: bool, region: Region, lanes: Lanes, state: State, query: Query, score: Array, hit: Array
) -> State:
    """Every lane moves by the outcome of its one row, or adds its eight probes to its sums."""
    xp = namespace(score)
    none = xp.zeros_like(state.phase)
    rows = xp.nonzero(query.claims)[0]
    owner = xp.take(query.lane, rows)
    moved, won = outcome(lanes, owner, xp.take(hit, rows))
    probed = xp.nonzero(xp.logical_not(query.claims))[0]
    told = put(moved, xp.take(query.lane, probed), probed >= 0)

    starts, bisects, steps = (told & (state.phase == phase) for phase in (START, BISECT, STEP))
    tried = state.tried + xp.astype(starts | steps, xp.int64)
    middle = _middle(state)
    low, high = xp.where(bisects & ~won, middle, state.low), xp.where(bisects & won, middle, state.high)
    begins = (starts | steps) & won  # a bisection, from the point that was asked
    at_boundary = bisects & (high - low <= settings.tolerance * high)
    fresh = at_boundary | (steps & ~won & (tried >= settings.halvings))  # the next round's estimate
    phase = xp.where(starts & ~won & (tried >= settings.tries), xp.full_like(none, STOP), state.phase)
    phase = xp.where(begins, xp.full_like(none, BISECT), xp.where(fresh, xp.full_like(none, GRAD), phase))

    far, length = state.far, state.length
    if xp.any(begins):
        place = xp.nonzero(xp.take(begins, owner))[0]
        who = xp.take(owner, place)
        points = xp.take(query.points, xp.take(rows, place), axis=0)
        far = put(far, who, points)
        top = size(region, lanes, who, points) if region.norm == LINF else xp.ones_like(length[: who.shape[0]])
        low, high = put(low, who, xp.zeros_like(top)), put(high, who, top)
    if xp.any(at_boundary):
        who = xp.nonzero(at_boundary)[0]
        points = _between(bends, region, lanes, state._replace(far=far), who, xp.take(high, who))
        far = put(far, who, points)
        length = put(length, who, size(region, lanes, who, points))
    after = state._replace(
        phase=phase,
        round=state.round + xp.astype(fresh, xp.int64),
        far=far,
        length=length,
        low=low,
        high=high,
        step=xp.where(steps, 0.5 * state.step, state.step),
        tried=xp.where(fresh, none, tried),
        starts=state.starts + xp.astype(starts, xp.int64),
        normal=state.normal._replace(t=state.normal.t + xp.astype(told, xp.int64)),
    )
    who = xp.nonzero(told & (state.phase == GRAD))[0]
    if who.shape[0] == 0:
        return after
    noise = _noise(settings, region, lanes, state, who)
    outcomes = xp.reshape(xp.take(hit, probed), (-1, ROWS))
    return _after_probes(settings, bends, region, lanes, after, who, noise, outcomes)


def _after_probes(
    settings: Settings, bends: bool, region: Region, lanes: Lanes, state: State, who: Array, noise: Array, hit: Array
) -> State:
    xp = namespace(lanes.x)
    turn = xp.sqrt(xp.astype(xp.take(state.round, who), xp.float32))
    normal, ready = normals.add(region, lanes, state.normal, who, noise, hit, settings.first * turn)
    phase, step = xp.take(state.phase, who), xp.take(state.step, who)
    length = xp.take(state.length, who)
    tried, low, high = (xp.take(a, who) for a in (state.tried, state.low, state.high))
    return state._replace(
        phase=put(state.phase, who, xp.where(ready, xp.full_like(phase, BISECT if bends else STEP), phase)),
        step=put(state.step, who, xp.where(ready, xp.ones_like(step) if bends else length / turn, step)),
        tried=put(state.tried, who, xp.where(ready, xp.zeros_like(tried), tried)),
        low=put(state.low, who, xp.where(ready, xp.zeros_like(low), low)),
        high=put(state.high, who, xp.where(ready, xp.ones_like(high), high)),
        normal=normal,
    )


def _middle(state: State) -> Array:
    return 0.5 * (state.low + state.high)


def _between(bends: bool, region: Region, lanes: Lanes, state: State, who: Array, share: Array) -> Array:
    """The point at `share` of a lane's way: straight, or along its arc."""
    xp = namespace(lanes.x)
    far = xp.take(state.far, who, axis=0)
    bent = xp.take(state.step, who) > 0
    if not bends or not xp.any(bent):
        return line(region, lanes, who, far, share)
    points = arc(region, lanes, who, far, xp.take(state.normal.direction, who, axis=0), share)
    return points if xp.all(bent) else xp.where(bent[:, None], points, line(region, lanes, who, far, share))


def _noise(settings: Settings, region: Region, lanes: Lanes, state: State, who: Array) -> Array:
    """The first rounds, and every other one later, share one sign per cell of neighbouring numbers."""
    turn = namespace(lanes.x).take(state.round, who)
    # Signals gain from cells for longer: three times as many rounds (measured up to 2,500 rows).
    late = settings.coarse * (1 if region.parts[0].domain == "image" else 3)
    key, t = (namespace(turn).take(a, who) for a in (lanes.key, state.normal.t))
    image = region.parts[0].domain == "image"
    return octets(region, key, t, NOISE, (turn >= late) & ((turn % 2 == 1) | image))


def _jump(region: Region, lanes: Lanes, state: State, who: Array) -> Array:
    xp = namespace(lanes.x)
    step = xp.take(state.step, who)[:, None] * region.scale
    direction = xp.take(state.normal.direction, who, axis=0)
    points = clip(lanes, who, xp.take(state.far, who, axis=0) + step * direction)
    return points if region.step is None else clip(lanes, who, snap(region, points))
