"""NES with antithetic sign noise and momentum (score-based, Linf and L2).

The gradient of a smoothed score is estimated from antithetic pairs (`antithetic`: Ilyas, Engstrom,
Athalye, Lin 2018, "Black-box adversarial attacks with limited queries and information", section 2;
sign noise as in SPSA, Spall 1992), and followed with momentum (Dong et al. 2018, MI-FGSM, eq. 6): the
gradient-free stand-in for FGSM, I-FGSM, PGD and MI-FGSM. Every probe lies inside the region, so
every probe can be the success. Step and probe sizes are shares of the region and depend on the
absolute step only.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from medaudit.core.arrays import Array, namespace, put, put_where
from medaudit.core.protocol import Lanes, Query, Search
from medaudit.core.region import LINF, Region, project, unit
from medaudit.search.antithetic import PAIRED, gradient, pairs, probe_size
from medaudit.search.noise import octets
from medaudit.search.relay import go_on

NOISE = 1


class Settings(NamedTuple):
    """probe, rate: shares of the region; momentum: mu."""

    probe: float = 0.3
    rate: float = 0.3
    momentum: float = 0.7
    knee: float = 10.0  # steps after which the rate has halved
    patience: int = 4  # steps without a better iterate after which it goes back to the best, with smaller steps
    coarse: int = 40  # step from which every other estimate uses single numbers instead of small cells


class State(NamedTuple):
    t: Array  # [L] int64
    x: Array  # [L, D] float32, iterate
    velocity: Array  # [L, D] float32
    best: Array  # [L, D] float32, the iterate with the best score
    score: Array  # [L] float32, its score
    stuck: Array  # [L] int64, steps since then
    size: Array  # [L] float32, of probes and steps, halved whenever it goes back


def search(settings: Settings = Settings()) -> Search:
    return Search("nes", PAIRED, init, partial(ask, settings), partial(tell, settings), adopt=adopt)


def init(region: Region, lanes: Lanes) -> State:
    xp = namespace(lanes.x)
    return State(
        t=xp.zeros(lanes.x.shape[0], dtype=xp.int64, device=lanes.x.device),
        x=lanes.x,
        velocity=xp.zeros_like(lanes.x),
        best=lanes.x,
        score=xp.full(lanes.x.shape[0], xp.inf, dtype=xp.float32, device=lanes.x.device),
        stuck=xp.zeros(lanes.x.shape[0], dtype=xp.int64, device=lanes.x.device),
        size=xp.ones(lanes.x.shape[0], dtype=xp.float32, device=lanes.x.device),
    )


def ask(settings: Settings, region: Region, lanes: Lanes, state: State) -> Query:
    """Rows of a lane: the iterate, the iterate plus each probe, then minus each probe."""
    amplitude = probe_size(region, lanes, settings.probe, state.size[:, None])
    return pairs(region, lanes, state.x, amplitude, _noise(settings, region, lanes.key, state.t))


def tell(
    settings: Settings, region: Region, lanes: Lanes, state: State, query: Query, score: Array, hit: Array
) -> State:
    xp = namespace(score)
    who = query.lane[::PAIRED]
    score = xp.reshape(score, (-1, PAIRED))
    noise = _noise(settings, region, xp.take(lanes.key, who), xp.take(state.t, who))
    slope = gradient(lanes, who, noise, score)
    velocity = settings.momentum * xp.take(state.velocity, who, axis=0) + slope
    t = xp.astype(xp.take(state.t, who), xp.float32)
    rate = (settings.rate / (1 + t / settings.knee) ** 0.5)[:, None]
    if region.norm == LINF:
        step = 0.5 * xp.take(lanes.hi - lanes.lo, who, axis=0) * xp.sign(velocity)
    else:
        step = region.eps * region.scale * unit(region, velocity)
    size = xp.take(state.size, who)
    moved = project(region._replace(step=None), lanes, who, xp.take(state.x, who, axis=0) - rate * size[:, None] * step)
    better = score[:, 0] < xp.take(state.score, who)
    best = put_where(state.best, who, xp.take(state.x, who, axis=0), better)
    stuck = xp.where(better, xp.zeros_like(who), xp.take(state.stuck, who) + 1)
    back = stuck >= settings.patience
    return State(
        t=put(state.t, who, xp.take(state.t, who) + 1),
        x=put(state.x, who, xp.where(back[:, None], xp.take(best, who, axis=0), moved)),
        velocity=put(state.velocity, who, xp.where(back[:, None], xp.zeros_like(velocity), velocity)),
        best=best,
        score=put_where(state.score, who, score[:, 0], better),
        stuck=put(state.stuck, who, xp.where(back, xp.zeros_like(who), stuck)),
        size=put(state.size, who, xp.where(back, 0.5 * size, size)),
    )


def adopt(state: State, points: Array, score: Array) -> State:
    """Goes on from there, at rest."""
    xp = namespace(score)
    better = score < state.score
    after: State = go_on(state, points, score)
    return after._replace(
        x=xp.where(better[:, None], points, state.x),
        velocity=xp.where(better[:, None], xp.zeros_like(points), state.velocity),
        stuck=xp.where(better, xp.zeros_like(state.stuck), state.stuck),
    )


def _noise(settings: Settings, region: Region, key: Array, t: Array) -> Array:
    """[P, D], derived again by `tell`. What moves a score is mostly smooth, and cells are few."""
    return octets(region, key, t, NOISE, (t >= settings.coarse) & (t % 2 == 1))
