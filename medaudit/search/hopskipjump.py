"""HopSkipJump: a walk along the decision boundary that uses answers' labels only (L2 and Linf).

Chen, Jordan, Wainwright 2020, "HopSkipJumpAttack", algorithms 1 and 2, as a table of phases: every
lane is in its own phase, nobody waits for the slowest. Differences from the paper: sign noise in
place of Gaussian; its mean is taken out through running sums (eq. 16), which are integers and so
exact in any order; the start is the nearest clean point of another decision where one is known
(uniform noise otherwise); gradients are normalised per lane; noise is alike inside small cells of
signals and images (the subspace idea of Li et al. 2020, "QEBA", section 3.2).

Per lane: START finds any point that reaches the goal; BISECT moves it to the boundary on the way
to the clean point; GRAD asks `rows` probes around it; STEP jumps along the estimate, halving until
the goal is still reached; then BISECT again.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from medaudit.core.arrays import Array, namespace, put
from medaudit.core.protocol import Lanes, Query, Search
from medaudit.core.region import LINF, Region, clip, size, snap
from medaudit.search.noise import cell_of, in_cells, plain
from medaudit.search.starts import nearest, start

START, BISECT, GRAD, STEP, STOP = 0, 1, 2, 3, 4
NOISE = 2


class Settings(NamedTuple):
    """first: probes of the first gradient, growing with sqrt(iteration); rows: probes per tick."""

    first: int = 20
    rows: int = 8
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
    low: Array  # [L] float32, bisection: share that failed
    high: Array  # [L] float32, share that reached the goal
    step: Array  # [L] float32, length of the jump, in units of scale
    asked: Array  # [L] int64, probes, starts or halvings so far in this phase
    hits: Array  # [L] float32, sum of +-1 outcomes
    noise: Array  # [L, D] float32, sum of noise
    product: Array  # [L, D] float32, sum of outcome * noise; in STEP: the direction
    order: Array  # [L, S] int64, donors from near to far; -1: none


def search(settings: Settings = Settings(), donors: Array | None = None, kinds: Array | None = None) -> Search:
    """donors [S, D]: clean points to start from, with their decisions kinds [S] (-1 unknown)."""
    return Search(
        "hopskipjump",
        settings.rows,
        partial(init, donors, kinds),
        partial(ask, settings, donors),
        partial(tell, settings),
        lambda state: state.phase == STOP,
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
        low=flat,
        high=flat + 1,
        step=flat,
        asked=zero,
        hits=flat,
        noise=xp.zeros_like(lanes.x),
        product=xp.zeros_like(lanes.x),
        order=nearest(donors, kinds, region, lanes),
    )


def ask(settings: Settings, donors: Array | None, region: Region, lanes: Lanes, state: State) -> Query:
    xp = namespace(lanes.x)
    points, owners, claims = [], [], []
    for phase in (START, BISECT, GRAD, STEP):
        who = xp.nonzero(state.phase == phase)[0]
        if who.shape[0] == 0:
            continue
        if phase == GRAD:
            block, rows = _probes(settings, region, lanes, state, who), settings.rows
        else:
            one = {BISECT: _between, STEP: _jump}.get(phase, partial(_start, donors))
            block, rows = one(region, lanes, state, who), 1
        points.append(block)
        owners.append(xp.repeat(who, rows))
        claims.append(xp.full(who.shape[0] * rows, phase != GRAD, dtype=xp.bool, device=lanes.x.device))
    if not points:
        return Query(lanes.x[:0, :], xp.zeros(0, dtype=xp.int64, device=lanes.x.device))
    return Query(xp.concat(points, axis=0), xp.concat(owners), xp.concat(claims))


def tell(
    settings: Settings,
    region: Region,
    lanes: Lanes,
    state: State,
    query: Query,
    score: Array,
    hit: Array,
) -> State:
    xp = namespace(score)
    phases = xp.take(state.phase, query.lane)
    for phase, step in ((START, _after_start), (BISECT, _after_bisect), (STEP, _after_step)):
        rows = xp.nonzero(phases == phase)[0]
        if rows.shape[0]:
            who = xp.take(query.lane, rows)
            state = step(settings, region, lanes, state, who, xp.take(query.points, rows, axis=0), hit[rows])
    rows = xp.nonzero(phases == GRAD)[0]
    if rows.shape[0]:
        who = xp.take(query.lane, rows)[:: settings.rows]
        state = _after_probes(settings, region, lanes, state, who, xp.take(hit, rows))
    seen = xp.zeros_like(state.t)
    seen = put(seen, query.lane, xp.ones_like(query.lane))
    return state._replace(t=state.t + seen)


def _start(donors: Array | None, region: Region, lanes: Lanes, state: State, who: Array) -> Array:
    return start(donors, region, lanes, state.order, state.asked, who)


def _after_start(
    settings: Settings,
    region: Region,
    lanes: Lanes,
    state: State,
    who: Array,
    points: Array,
    hit: Array,
) -> State:
    xp = namespace(points)
    asked = xp.take(state.asked, who) + 1
    failed = xp.where(asked >= settings.tries, xp.full_like(asked, STOP), xp.full_like(asked, START))
    state = state._replace(asked=put(state.asked, who, asked))
    return _to_bisect(region, lanes, state, who, points, hit, failed)


def _to_bisect(
    region: Region, lanes: Lanes, state: State, who: Array, points: Array, hit: Array, failed: Array
) -> State:
    """Lanes that hit start a bisection from their point; the others go to phase `failed`."""
    xp = namespace(points)
    phase = xp.where(hit, xp.full_like(failed, BISECT), failed)
    won = xp.nonzero(hit)[0]
    if won.shape[0]:
        lucky = xp.take(who, won)
        far = xp.take(points, won, axis=0)
        delta = (far - xp.take(lanes.x, lucky, axis=0)) / region.scale
        top = xp.max(xp.abs(delta), axis=1) if region.norm == LINF else xp.ones_like(delta[:, 0])
        state = state._replace(
            far=put(state.far, lucky, far),
            low=put(state.low, lucky, xp.zeros_like(top)),
            high=put(state.high, lucky, top),
        )
    return state._replace(phase=put(state.phase, who, phase))


def _at(region: Region, lanes: Lanes, who: Array, far: Array, share: Array) -> Array:
    """L2: the point at `share` of the way from clean to far; Linf: far, clipped to radius `share`."""
    xp = namespace(far)
    x = xp.take(lanes.x, who, axis=0)
    if region.norm == LINF:
        reach = share[:, None] * region.scale
        points = xp.minimum(xp.maximum(far, x - reach), x + reach)
    else:
        points = x + share[:, None] * (far - x)
    return points if region.step is None else clip(lanes, who, snap(region, points))


def _between(region: Region, lanes: Lanes, state: State, who: Array) -> Array:
    xp = namespace(lanes.x)
    middle = 0.5 * (xp.take(state.low, who) + xp.take(state.high, who))
    return _at(region, lanes, who, xp.take(state.far, who, axis=0), middle)


def _after_bisect(
    settings: Settings,
    region: Region,
    lanes: Lanes,
    state: State,
    who: Array,
    points: Array,
    hit: Array,
) -> State:
    xp = namespace(points)
    low, high = xp.take(state.low, who), xp.take(state.high, who)
    middle = 0.5 * (low + high)
    low, high = xp.where(hit, low, middle), xp.where(hit, middle, high)
    state = state._replace(low=put(state.low, who, low), high=put(state.high, who, high))
    ready = xp.nonzero(high - low <= settings.tolerance * high)[0]
    if ready.shape[0] == 0:
        return state
    who = xp.take(who, ready)
    far = _at(region, lanes, who, xp.take(state.far, who, axis=0), xp.take(high, ready))
    return _to_grad(state._replace(far=put(state.far, who, far)), who)


def _to_grad(state: State, who: Array) -> State:
    """Begin the next round's estimate with empty sums."""
    xp = namespace(state.far)
    blank = xp.zeros_like(xp.take(state.far, who, axis=0))
    return state._replace(
        round=put(state.round, who, xp.take(state.round, who) + 1),
        phase=put(state.phase, who, xp.full_like(who, GRAD)),
        asked=put(state.asked, who, xp.zeros_like(who)),
        hits=put(state.hits, who, blank[:, 0]),
        noise=put(state.noise, who, blank),
        product=put(state.product, who, blank),
    )


def _signs(settings: Settings, region: Region, lanes: Lanes, state: State, who: Array) -> Array:
    """Noise of one tick, [P, rows, D] of signs; derived again by `_after_probes`.

    The first rounds, and every other one later, share one sign per cell of neighbouring numbers:
    what moves a decision is mostly smooth, and there are far fewer directions to try.
    """
    xp = namespace(lanes.x)
    key, t = xp.take(lanes.key, who), xp.take(state.t, who)
    cells = [cell_of(part) for part in region.parts]
    if all(cell == (1, 1) for cell in cells):
        return plain(settings.rows, key, t, NOISE, lanes.x.shape[1])
    turn = xp.take(state.round, who)
    # Signals gain from cells for longer: three times as many rounds (measured up to 2,500 rows).
    late = settings.coarse * (1 if region.parts[0].domain == "image" else 3)
    single = (turn >= late) & (turn % 2 == 1)
    fine, coarse = xp.nonzero(single)[0], xp.nonzero(xp.logical_not(single))[0]
    pieces = []
    if fine.shape[0]:
        own, now = xp.take(key, fine), xp.take(t, fine)
        pieces.append(plain(settings.rows, own, now, NOISE, lanes.x.shape[1]))
    if coarse.shape[0]:
        own, now = xp.take(key, coarse), xp.take(t, coarse)
        parts = [
            in_cells(settings.rows, own, now, NOISE + 1 + i, part, cell)
            for i, (part, cell) in enumerate(zip(region.parts, cells, strict=True))
        ]
        pieces.append(parts[0] if len(parts) == 1 else xp.concat(parts, axis=2))
    if len(pieces) == 1:
        return pieces[0]
    back = xp.argsort(xp.concat((fine, coarse)), stable=True)
    return xp.take(xp.concat(pieces, axis=0), back, axis=0)


def _probes(settings: Settings, region: Region, lanes: Lanes, state: State, who: Array) -> Array:
    xp = namespace(lanes.x)
    far = xp.take(state.far, who, axis=0)
    lo, hi = xp.take(lanes.lo, who, axis=0), xp.take(lanes.hi, who, axis=0)
    movable = hi > lo
    length = settings.probe * size(region, lanes, who, far)
    if region.norm != LINF:
        count = xp.sum(xp.astype(movable, xp.float32), axis=1)
        length = length / xp.sqrt(xp.maximum(count, xp.ones_like(count)))
    amplitude = length[:, None] * region.scale
    if region.step is not None:
        # A probe below one step of the grid would be rounded away.
        amplitude = xp.maximum(amplitude, region.step)
    points = _signs(settings, region, lanes, state, who)
    points = points * amplitude[:, None, :] + far[:, None, :]
    points = xp.minimum(xp.maximum(points, lo[:, None, :]), hi[:, None, :])
    if region.step is not None:  # a number of the grid may round to just outside the box
        points = xp.minimum(xp.maximum(snap(region, points), lo[:, None, :]), hi[:, None, :])
    return xp.reshape(points, (-1, far.shape[1]))


def _after_probes(settings: Settings, region: Region, lanes: Lanes, state: State, who: Array, hit: Array) -> State:
    xp = namespace(lanes.x)
    outcome = xp.reshape(2 * xp.astype(hit, xp.float32) - 1, (who.shape[0], settings.rows))
    both = xp.stack((outcome, xp.ones_like(outcome)), axis=1)
    sums = xp.matmul(both, _signs(settings, region, lanes, state, who))  # small integers: exact
    product = xp.take(state.product, who, axis=0) + sums[:, 0, :]
    noise = xp.take(state.noise, who, axis=0) + sums[:, 1, :]
    hits = xp.take(state.hits, who) + xp.sum(outcome, axis=1)
    asked = xp.take(state.asked, who) + settings.rows
    wanted = settings.first * xp.sqrt(xp.astype(xp.take(state.round, who), xp.float32))
    ready = xp.nonzero(xp.astype(asked, xp.float32) >= wanted)[0]
    if ready.shape[0]:
        won = xp.take(who, ready)
        mean = (xp.take(hits, ready) / xp.astype(xp.take(asked, ready), xp.float32))[:, None]
        # eq. 16, with the baseline taken out; all outcomes alike: follow (or leave) their mean.
        level = xp.where(xp.abs(mean) < 1, mean, xp.zeros_like(mean))
        raw = xp.take(product, ready, axis=0) - level * xp.take(noise, ready, axis=0)
        length = size(region, lanes, won, xp.take(state.far, won, axis=0))
        jump = length / xp.sqrt(xp.astype(xp.take(state.round, won), xp.float32))
        product = put(product, ready, _unit(region, lanes, won, raw))
        asked = put(asked, ready, xp.zeros_like(won))
        state = state._replace(step=put(state.step, won, jump), phase=put(state.phase, won, xp.full_like(won, STEP)))
    return state._replace(
        product=put(state.product, who, product),
        noise=put(state.noise, who, noise),
        hits=put(state.hits, who, hits),
        asked=put(state.asked, who, asked),
    )


def _unit(region: Region, lanes: Lanes, who: Array, direction: Array) -> Array:
    xp = namespace(direction)
    lo, hi = xp.take(lanes.lo, who, axis=0), xp.take(lanes.hi, who, axis=0)
    direction = xp.where(hi > lo, direction, xp.zeros_like(direction))
    if region.norm == LINF:
        return xp.sign(direction)
    length = xp.sqrt(xp.sum(direction * direction, axis=1))[:, None]
    return direction / xp.maximum(length, xp.full_like(length, 1e-30))


def _jump(region: Region, lanes: Lanes, state: State, who: Array) -> Array:
    xp = namespace(lanes.x)
    step = xp.take(state.step, who)[:, None] * region.scale
    points = xp.take(state.far, who, axis=0) + step * xp.take(state.product, who, axis=0)
    return clip(lanes, who, snap(region, clip(lanes, who, points)))


def _after_step(
    settings: Settings,
    region: Region,
    lanes: Lanes,
    state: State,
    who: Array,
    points: Array,
    hit: Array,
) -> State:
    """Halve the jump until the goal is still reached; after too many halvings, estimate anew."""
    xp = namespace(points)
    asked = xp.take(state.asked, who) + 1
    give_up = asked >= settings.halvings
    state = state._replace(
        step=put(state.step, who, 0.5 * xp.take(state.step, who)),
        asked=put(state.asked, who, asked),
    )
    state = _to_bisect(region, lanes, state, who, points, hit, xp.full_like(asked, STEP))
    stuck = xp.nonzero(give_up & xp.logical_not(hit))[0]
    return state if stuck.shape[0] == 0 else _to_grad(state, xp.take(who, stuck))
