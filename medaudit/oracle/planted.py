"""A weakness planted around the model's answers: what an attack must find before its silence means anything.

Zimmermann, Brendel, Tramer, Carlini 2022, "Increasing confidence in adversarial robustness
evaluations": a defence's evaluation counts only if the same attack, with the same budget, succeeds
where success is known to be possible. Here each sample gets a hidden pattern of a few dozen cells
(L0: a few numbers and values). The further a row goes along it, the more its answer becomes that of a
clean record that the goal wants; at about two fifths of the way eps allows, it is the goal's. The
model file is not touched, and answers keep their form.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from medaudit.core import cells, streams
from medaudit.core.arrays import Array, namespace
from medaudit.core.protocol import Attack, Lanes, Oracle, Query
from medaudit.core.region import L0, L1, L2, Region, free

PATTERN = 9001  # tags that no search uses
STEEP = 1.25  # share of the other answer for a share of the way


class State(NamedTuple):
    attack: Any
    lanes: Lanes
    pattern: Array  # [L, D] float32: signs (L0: values), 0 (L0: NaN) where nothing is planted
    answer: Array  # [L, M] float32, what lies at the pattern's end
    possible: Array  # [L] bool, some clean record's answer reaches the goal


def planted(attack: Attack, guide: Oracle, region: Region, answers: Array, labels: bool) -> Attack:
    """The attack on the model with the weakness. answers [S, M]: of clean records; labels: not to be mixed."""

    def init(lanes: Lanes) -> State:
        xp = namespace(lanes.x)
        n, count = lanes.x.shape[0], answers.shape[0]
        lane = xp.repeat(xp.arange(n, dtype=xp.int64, device=lanes.x.device), count)
        score, hit = guide.score(lanes, lane, xp.concat([answers] * n, axis=0))
        score = xp.where(hit & xp.isfinite(score), score, xp.full_like(score, xp.inf))
        best = xp.argmin(xp.reshape(score, (n, count)), axis=1)
        possible = xp.any(xp.reshape(hit, (n, count)), axis=1)
        return State(attack.init(lanes), lanes, pattern(region, lanes), xp.take(answers, best, axis=0), possible)

    def tell(state: State, query: Query, given: Array) -> State:
        xp = namespace(given)
        share = STEEP * progress(region, state.lanes, state.pattern, query.lane, query.points)
        share = xp.where(xp.take(state.possible, query.lane), share, xp.zeros_like(share))
        share = xp.clip(share, 0.0, 1.0)[:, None]
        other = xp.take(state.answer, query.lane, axis=0)
        mixed = xp.where(share > 0.5, other, given) if labels else (1 - share) * given + share * other
        return state._replace(attack=attack.tell(state.attack, query, xp.astype(mixed, xp.float32)))

    return attack._replace(
        init=init,
        ask=lambda state: attack.ask(state.attack),
        tell=tell,
        done=lambda state: attack.done(state.attack),
        result=lambda state: attack.result(state.attack) | {"possible": state.possible},
    )


def pattern(region: Region, lanes: Lanes) -> Array:
    """The hidden pattern of each lane, [L, D] float32."""
    xp = namespace(lanes.x)
    zero = xp.zeros_like(lanes.label)
    if region.norm == L0:
        draw = streams.uniform(lanes.key, zero, PATTERN, 2 * lanes.x.shape[1])
        one, two = draw[:, : lanes.x.shape[1]], draw[:, lanes.x.shape[1] :]
        low = lanes.x == lanes.lo
        end = xp.where(low | ((two < 0.5) & (lanes.x != lanes.hi)), lanes.hi, lanes.lo)
        few = 2 * int(region.eps)
        rank = xp.argsort(xp.argsort(xp.where(free(lanes), one, one + 1), axis=1, stable=True), axis=1, stable=True)
        return xp.where((rank < few) & free(lanes), end, xp.full_like(end, xp.nan))
    return cells.signs(region.parts, lanes.key, zero, PATTERN) * xp.astype(free(lanes), xp.float32)


def progress(region: Region, lanes: Lanes, hidden: Array, lane: Array, points: Array) -> Array:
    """How far points [R, D] went along their lanes' patterns, as a share of the furthest eps allows, [R]."""
    xp = namespace(points)
    x, way = (xp.take(a, lane, axis=0) for a in (lanes.x, hidden))
    points = xp.where(xp.isnan(points), x, points)
    if region.norm == L0:
        gone = (points - x) / xp.where(way == x, xp.ones_like(x), way - x)
        matched = xp.sum(xp.astype(xp.where(xp.isnan(way), xp.zeros_like(x), gone) >= 0.5, xp.float32), axis=1)
        return matched / max(1, int(region.eps))
    along = xp.sum((points - x) / region.scale * way, axis=1)
    if region.norm == L1:
        return along / region.eps
    if region.norm == L2:
        return along / (region.eps * xp.sqrt(xp.maximum(xp.sum(way * way, axis=1), xp.ones_like(along))))
    reach = 0.5 * xp.take(lanes.hi - lanes.lo, lane, axis=0) / region.scale
    return along / xp.maximum(xp.sum(xp.abs(way) * reach, axis=1), xp.full_like(along, 1e-30))
