"""HopSkipJump: a walk along the decision boundary that uses answers' labels only (L2 and Linf).

Chen, Jordan, Wainwright 2020, "HopSkipJumpAttack", algorithms 1 and 2, as a table of phases: every
lane is in its own phase, nobody waits for the slowest. Differences from the paper: sign noise in
place of Gaussian; its mean is taken out through running sums (eq. 16), which are integers and so
exact in any order; the start is the nearest clean point of another decision where one is known
(uniform noise otherwise); gradients are normalised per lane; noise is alike inside small cells of
signals and images (the subspace idea of Li et al. 2020, "QEBA", section 3.2).

Per lane: START finds any point that reaches the goal; BISECT moves it to the boundary on the way
to the clean point; GRAD asks eight probes around it, again and again; STEP jumps along the estimate, halving until
the goal is still reached; then BISECT again.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from medaudit.core import streams
from medaudit.core.arrays import Array, namespace, put
from medaudit.core.protocol import Lanes, Query, Search
from medaudit.core.region import LINF, Region, clip, free, size, snap
from medaudit.search.noise import ROWS, agreement, balance, cell_of, either, in_cells
from medaudit.search.starts import nearest, start

START, BISECT, GRAD, STEP, STOP = 0, 1, 2, 3, 4
NOISE = 2


class Settings(NamedTuple):
    """first: probes of the first gradient, growing with sqrt(iteration)."""

    first: int = 20
    tolerance: float = 1e-3  # of bisection, relative to the distance
    probe: float = 0.02  # size of a probe relative to the distance
    tries: int = 40  # starts tried before giving up
    halvings: int = 8
    coarse: int = 10  # round from which every other estimate uses single numbers


class State(NamedTuple):
    t: Array  # [L] int64, ticks: the address of noise
    phase: Array  # [L] int64
    round: Array  # [L] int64, iteration of the walk, from 1
    far: Array  # [L, D] float32, a point that reaches the goal
    length: Array  # [L] float32, size of the boundary's point
    spread: Array  # [L] float32, square root of the count of numbers that may change
    low: Array  # [L] float32, bisection: share that failed
    high: Array  # [L] float32, share that reached the goal
    step: Array  # [L] float32, length of the jump, in units of scale
    asked: Array  # [L] int64, probes, starts or halvings so far in this phase
    hits: Array  # [L] float32, sum of +-1 outcomes
    noise: Array  # [L, D] float32, sum of noise
    product: Array  # [L, D] float32, sum of outcome * noise; in STEP: the direction
    starts: Array  # [L] int64, rows asked to find a start
    order: Array  # [L, S] int64, donors from near to far; -1: none


def search(settings: Settings = Settings(), donors: Array | None = None, kinds: Array | None = None) -> Search:
    """donors [S, D]: clean points to start from, with their decisions kinds [S] (-1 unknown)."""
    return Search(
        "hopskipjump",
        ROWS,
        partial(init, donors, kinds),
        partial(ask, settings, donors),
        partial(tell, settings),
        lambda state: state.phase == STOP,
        lambda state: state.starts,
    )


def init(donors: Array | None, kinds: Array | None, region: Region, lanes: Lanes) -> State:
    xp = namespace(lanes.x)
    n = lanes.x.shape[0]
    on = {"device": lanes.x.device}
    zero = xp.zeros(n, dtype=xp.int64, **on)
    flat = xp.zeros(n, dtype=xp.float32, **on)
    return State(
        t=zero,
        phase=zero + START,
        round=zero,
        far=lanes.x,
        length=flat,
        spread=xp.sqrt(xp.maximum(xp.sum(xp.astype(free(lanes), xp.float32), axis=1), flat + 1)),
        low=flat,
        high=flat + 1,
        step=flat,
        asked=zero,
        hits=flat,
        noise=xp.zeros_like(lanes.x),
        product=xp.zeros_like(lanes.x),
        starts=zero,
        order=nearest(donors, kinds, region, lanes),
    )


def ask(settings: Settings, donors: Array | None, region: Region, lanes: Lanes, state: State) -> Query:
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
        if phase == GRAD:
            _probes(settings, region, lanes, state, who, points[begin:end, :])
        elif phase == BISECT:
            points[begin:end, :] = _toward(
                region, lanes, who, xp.take(state.far, who, axis=0), xp.take(_middle(state), who)
            )
        elif phase == STEP:
            points[begin:end, :] = _jump(region, lanes, state, who)
        else:
            points[begin:end, :] = start(donors, region, lanes, state.order, state.asked, who)
    owners = [who if phase != GRAD else xp.repeat(who, ROWS) for phase, who in asking]
    claims = xp.arange(end, dtype=xp.int64, **on) < end - sizes[-1]
    return Query(points, xp.concat(owners), claims)


def tell(
    settings: Settings,
    region: Region,
    lanes: Lanes,
    state: State,
    query: Query,
    score: Array,
    hit: Array,
) -> State:
    """Every lane moves by the outcome of its one row, or adds its eight probes to its sums."""
    xp = namespace(score)
    none = xp.zeros_like(state.phase)
    told = put(none, query.lane, xp.ones_like(query.lane)) > 0
    rows = xp.nonzero(query.claims)[0]
    owner = xp.take(query.lane, rows)
    won = put(none, owner, xp.astype(xp.take(hit, rows), xp.int64)) > 0

    starts, bisects, steps = (told & (state.phase == phase) for phase in (START, BISECT, STEP))
    asked = state.asked + xp.astype(starts | steps, xp.int64)
    middle = _middle(state)
    low, high = xp.where(bisects & ~won, middle, state.low), xp.where(bisects & won, middle, state.high)
    begins = (starts | steps) & won  # a bisection, from the point that was asked
    at_boundary = bisects & (high - low <= settings.tolerance * high)
    stuck = steps & ~won & (asked >= settings.halvings)
    fresh = at_boundary | stuck  # the next round's estimate
    phase = xp.where(starts & ~won & (asked >= settings.tries), xp.full_like(none, STOP), state.phase)
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
        points = _toward(region, lanes, who, xp.take(far, who, axis=0), xp.take(high, who))
        far = put(far, who, points)
        length = put(length, who, size(region, lanes, who, points))
    probing = told & (state.phase == GRAD)
    after = state._replace(
        t=state.t + xp.astype(told, xp.int64),
        phase=phase,
        round=state.round + xp.astype(fresh, xp.int64),
        far=far,
        length=length,
        low=low,
        high=high,
        step=xp.where(steps, 0.5 * state.step, state.step),
        asked=xp.where(fresh, none, asked),
        starts=state.starts + xp.astype(starts, xp.int64),
    )
    who = xp.nonzero(probing)[0]
    if who.shape[0] == 0:
        return after
    noise = _noise(settings, region, lanes, state, who)
    probes = xp.reshape(xp.take(hit, xp.nonzero(xp.logical_not(query.claims))[0]), (-1, ROWS))
    return _after_probes(settings, region, lanes, after, who, noise, probes)


def _middle(state: State) -> Array:
    return 0.5 * (state.low + state.high)


def _toward(region: Region, lanes: Lanes, who: Array, far: Array, share: Array) -> Array:
    """L2: the point at `share` of the way from clean to far; Linf: far, clipped to radius `share`."""
    xp = namespace(far)
    x = xp.take(lanes.x, who, axis=0)
    if region.norm == LINF:
        reach = share[:, None] * region.scale
        points = xp.minimum(xp.maximum(far, x - reach), x + reach)
    else:
        points = far - x
        points *= share[:, None]
        points += x
    return points if region.step is None else clip(lanes, who, snap(region, points))


def _noise(settings: Settings, region: Region, lanes: Lanes, state: State, who: Array) -> Array:
    """Noise of one tick, a byte a number [P, D]; derived again by `_after_probes`.

    The first rounds, and every other one later, share one sign per cell of neighbouring numbers:
    what moves a decision is mostly smooth, and there are far fewer directions to try.
    """
    xp = namespace(lanes.x)
    key, t = xp.take(lanes.key, who), xp.take(state.t, who)
    cells = [cell_of(part) for part in region.parts]
    if all(cell == (1, 1) for cell in cells):
        return streams.octets(key, t, NOISE, lanes.x.shape[1])
    turn = xp.take(state.round, who)
    # Signals gain from cells for longer: three times as many rounds (measured up to 2,500 rows).
    late = settings.coarse * (1 if region.parts[0].domain == "image" else 3)
    single = (turn >= late) & (turn % 2 == 1)
    fine, coarse = xp.nonzero(single)[0], xp.nonzero(xp.logical_not(single))[0]
    pieces = []
    if fine.shape[0]:
        pieces.append(streams.octets(xp.take(key, fine), xp.take(t, fine), NOISE, lanes.x.shape[1]))
    if coarse.shape[0]:
        own, now = xp.take(key, coarse), xp.take(t, coarse)
        parts = [
            in_cells(own, now, NOISE + 1 + i, part, cell)
            for i, (part, cell) in enumerate(zip(region.parts, cells, strict=True))
        ]
        pieces.append(parts[0] if len(parts) == 1 else xp.concat(parts, axis=1))
    if len(pieces) == 1:
        return pieces[0]
    back = xp.argsort(xp.concat((fine, coarse)), stable=True)
    return xp.take(xp.concat(pieces, axis=0), back, axis=0)


def _probes(settings: Settings, region: Region, lanes: Lanes, state: State, who: Array, out: Array) -> None:
    xp = namespace(lanes.x)
    far, lo, hi = (xp.take(a, who, axis=0) for a in (state.far, lanes.lo, lanes.hi))
    length = settings.probe * xp.take(state.length, who)
    if region.norm != LINF:
        length = length / xp.take(state.spread, who)
    amplitude = length[:, None] * region.scale
    if region.step is not None:
        # A probe below one step of the grid would be rounded away.
        amplitude = xp.maximum(amplitude, region.step)
    ends = []
    for end in (far + amplitude, far - amplitude):
        end = xp.minimum(xp.maximum(end, lo), hi)
        if region.step is not None:  # a number of the grid may round to just outside the box
            end = xp.minimum(xp.maximum(snap(region, end), lo), hi)
        ends.append(end)
    either(_noise(settings, region, lanes, state, who), ends[0], ends[1], out)


def _after_probes(
    settings: Settings,
    region: Region,
    lanes: Lanes,
    state: State,
    who: Array,
    signs: Array,
    hit: Array,
) -> State:
    """Add the outcomes `hit` [P, 8] to the sums; with enough of them, turn these into a direction."""
    xp = namespace(lanes.x)
    asked, turn = xp.take(state.asked, who), xp.astype(xp.take(state.round, who), xp.float32)
    old = xp.astype(asked > 0, xp.float32)  # sums of an earlier round are dropped
    product = xp.take(state.product, who, axis=0) * old[:, None] + agreement(signs, hit)  # integers: exact
    noise = xp.take(state.noise, who, axis=0) * old[:, None] + balance(signs)
    hits = xp.take(state.hits, who) * old + xp.sum(2 * xp.astype(hit, xp.float32) - 1, axis=1)
    asked = asked + ROWS
    phase, step = xp.take(state.phase, who), xp.take(state.step, who)
    done = xp.astype(asked, xp.float32) >= settings.first * xp.sqrt(turn)
    ready = xp.nonzero(done)[0]
    if ready.shape[0]:
        mean = (xp.take(hits, ready) / xp.astype(xp.take(asked, ready), xp.float32))[:, None]
        # eq. 16, with the baseline taken out; all outcomes alike: follow (or leave) their mean.
        level = xp.where(xp.abs(mean) < 1, mean, xp.zeros_like(mean))
        raw = xp.take(product, ready, axis=0) - level * xp.take(noise, ready, axis=0)
        product = put(product, ready, _unit(region, lanes, xp.take(who, ready), raw))
        phase = xp.where(done, xp.full_like(phase, STEP), phase)
        step = xp.where(done, xp.take(state.length, who) / xp.sqrt(turn), step)
        asked = xp.where(done, xp.zeros_like(asked), asked)
    return state._replace(
        phase=put(state.phase, who, phase),
        step=put(state.step, who, step),
        product=put(state.product, who, product),
        noise=put(state.noise, who, noise),
        hits=put(state.hits, who, hits),
        asked=put(state.asked, who, asked),
    )


def _unit(region: Region, lanes: Lanes, who: Array, direction: Array) -> Array:
    xp = namespace(direction)
    lo, hi = xp.take(lanes.lo, who, axis=0), xp.take(lanes.hi, who, axis=0)
    direction = direction * xp.astype(hi > lo, xp.float32)
    if region.norm == LINF:
        return xp.sign(direction)
    length = xp.sqrt(xp.sum(direction * direction, axis=1))[:, None]
    return direction / xp.maximum(length, xp.full_like(length, 1e-30))


def _jump(region: Region, lanes: Lanes, state: State, who: Array) -> Array:
    xp = namespace(lanes.x)
    step = xp.take(state.step, who)[:, None] * region.scale
    points = clip(lanes, who, xp.take(state.far, who, axis=0) + step * xp.take(state.product, who, axis=0))
    return points if region.step is None else clip(lanes, who, snap(region, points))
