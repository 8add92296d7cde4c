"""A weakness planted around the model's answers: what an attack must find before its silence means anything.

Zimmermann, Brendel, Tramer, Carlini 2022, "Increasing confidence in adversarial robustness
evaluations": a defence's evaluation counts only if the same attack, with the same budget, succeeds
where success is known to be possible. Here each sample gets a hidden pattern of a few dozen cells
(L0: a few numbers and values). The further a row goes along it, the more its answer becomes that of a
clean record that the goal wants; at about two fifths of the way eps allows, it is the goal's. The
model file is not touched, and answers keep their form.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from medaudit.core.arrays import Array, namespace, to_numpy
from medaudit.core.protocol import Attack, Lanes, Oracle, Query
from medaudit.core.region import Region
from medaudit.core.subspace import Subspace
from medaudit.oracle.patterns import furthest, pattern, progress

BASE, STEEP = 0.02, 1.2  # share of the other answer at the clean point, and for a share of the way


class State(NamedTuple):
    attack: Any
    lanes: Lanes
    pattern: Array  # [L, D] float32: which way (L0: values), 0 (L0: NaN) where nothing is planted
    furthest: Array  # [L] float32, how far along the pattern eps and box allow
    answer: Array  # [L, M] float32, what lies at the pattern's end
    possible: Array  # [L] bool, some clean record's answer reaches the goal


def planted(
    attack: Attack, guide: Oracle, region: Region, answers: Array, labels: bool, narrow: Subspace | None = None,
    hidden: Callable[[Lanes], Array] | None = None,
) -> Attack:  # fmt: skip
    """The attack on the model with the weakness.

    answers [S, M]: of clean records; labels: they cannot be mixed; narrow: where all changes lie;
    hidden: one pattern for all lanes, in place of each lane's own.
    """

    def init(lanes: Lanes) -> State:
        answer, possible = nearest_goal(guide, lanes, answers)
        way = pattern(region, lanes, narrow) if hidden is None else hidden(lanes)
        far = furthest(region, lanes, way, narrow)
        return State(attack.init(lanes), lanes, way, far, answer, possible & (far > 0))

    def tell(state: State, query: Query, given: Array) -> State:
        xp = namespace(given)
        gone = progress(region, state.lanes, state.pattern, state.furthest, query.lane, query.points)
        # A little on the wrong side too: nowhere is it flat.
        share = BASE + xp.where(gone < 0, BASE * gone, STEEP * gone)
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
        result=lambda state: attack.result(state.attack) | {"possible": to_numpy(state.possible)},
    )


def nearest_goal(guide: Oracle, lanes: Lanes, answers: Array) -> tuple[Array, Array]:
    """For each lane the clean answer that reaches its goal best, [L, M], and whether any does, [L] bool."""
    xp = namespace(lanes.x)
    n, count = lanes.x.shape[0], answers.shape[0]
    lane = xp.repeat(xp.arange(n, dtype=xp.int64, device=lanes.x.device), count)
    score, hit = guide.score(lanes, lane, xp.concat([answers] * n, axis=0))
    score = xp.where(hit & xp.isfinite(score), score, xp.full_like(score, xp.inf))
    best = xp.argmin(xp.reshape(score, (n, count)), axis=1)
    return xp.take(answers, best, axis=0), xp.any(xp.reshape(hit, (n, count)), axis=1)
