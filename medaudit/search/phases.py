"""The phases of a walk along the decision boundary, and the rows that each of them asks.

START asks a point that may reach the goal (`starts`); BISECT the middle of what is left of the way to the
clean point, straight or along an arc (`paths`); GRAD eight probes around the boundary's point (`normal`);
STEP a jump along the normal (bisection and jump: Chen, Jordan, Wainwright 2020, "HopSkipJumpAttack",
algorithms 1 and 2). What follows from the answers is in `walk`.
"""

from __future__ import annotations

from typing import NamedTuple

from medaudit.core.arrays import Array, namespace
from medaudit.core.protocol import Lanes, Query
from medaudit.core.region import LINF, Region, clip, snap
from medaudit.search import normal as normals
from medaudit.search.noise import ROWS, octets
from medaudit.search.normal import Normal
from medaudit.search.paths import arc, line
from medaudit.search.starts import start

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
            points[begin:end, :] = between(bends, region, lanes, state, who, xp.take(halfway(state), who))
        elif phase == STEP:
            points[begin:end, :] = jump(region, lanes, state, who)
        else:
            reach = settings.probe * xp.take(state.length, who)
            reach = reach if region.norm == LINF else reach / xp.take(state.spread, who)
            noise = probe_noise(settings, region, lanes, state, who)
            at = xp.take(state.far, who, axis=0)
            normals.probes(region, lanes, who, at, reach, noise, points[begin:end, :])
    owners = [who if phase != GRAD else xp.repeat(who, ROWS) for phase, who in asking]
    claims = xp.arange(end, dtype=xp.int64, **on) < end - sizes[-1]
    return Query(points, xp.concat(owners), claims)


def halfway(state: State) -> Array:
    """Where lanes bisect: a share of their way (Linf: a radius), [L]."""
    return 0.5 * (state.low + state.high)


def between(bends: bool, region: Region, lanes: Lanes, state: State, who: Array, share: Array) -> Array:
    """The point at `share` of a lane's way: straight, or along its arc."""
    xp = namespace(lanes.x)
    far = xp.take(state.far, who, axis=0)
    bent = xp.take(state.step, who) > 0
    if not bends or not xp.any(bent):
        return line(region, lanes, who, far, share)
    points = arc(region, lanes, who, far, xp.take(state.normal.direction, who, axis=0), share)
    return points if xp.all(bent) else xp.where(bent[:, None], points, line(region, lanes, who, far, share))


def probe_noise(settings: Settings, region: Region, lanes: Lanes, state: State, who: Array) -> Array:
    """The first rounds, and every other one later, share one sign per cell of neighbouring numbers."""
    turn = namespace(lanes.x).take(state.round, who)
    # Signals gain from cells for longer: three times as many rounds (measured up to 2,500 rows).
    late = settings.coarse * (1 if region.parts[0].domain == "image" else 3)
    key, t = (namespace(turn).take(a, who) for a in (lanes.key, state.normal.t))
    image = region.parts[0].domain == "image"
    return octets(region, key, t, NOISE, (turn >= late) & ((turn % 2 == 1) | image))


def jump(region: Region, lanes: Lanes, state: State, who: Array) -> Array:
    """Along the normal, by the step that is left after halvings."""
    xp = namespace(lanes.x)
    step = xp.take(state.step, who)[:, None] * region.scale
    direction = xp.take(state.normal.direction, who, axis=0)
    points = clip(lanes, who, xp.take(state.far, who, axis=0) + step * direction)
    return points if region.step is None else clip(lanes, who, snap(region, points))
