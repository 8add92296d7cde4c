"""A walk along the decision boundary from labels only, as a table of phases: nobody waits for the slowest.

START finds any point that reaches the goal; BISECT moves it to the boundary on the way to the clean
point; GRAD asks eight probes around it, again and again, until the boundary's normal is known. Then
the search's own move: STEP jumps along the normal, halving until the goal is still reached, and
bisects from there (`hopskipjump`); or the next bisection bends along it (`cgba`). The rows that a
phase asks are in `phases`; here is where lanes go by the answers.
"""

from __future__ import annotations

from functools import partial

from medaudit.core.arrays import Array, namespace, put
from medaudit.core.protocol import Lanes, Query, Search
from medaudit.core.region import LINF, Region, free, size
from medaudit.search import normal as normals
from medaudit.search.noise import ROWS
from medaudit.search.phases import BISECT, GRAD, START, STEP, STOP, Settings, State, ask, between, halfway, probe_noise
from medaudit.search.starts import beyond, nearest, outcome


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
    middle = halfway(state)
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
        points = between(bends, region, lanes, state._replace(far=far), who, xp.take(high, who))
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
    noise = probe_noise(settings, region, lanes, state, who)
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
