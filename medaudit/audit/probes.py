"""Corruption checks in a worker: the questions of a record, and what is kept of its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medaudit.audit.lanes import answered, decision_words, open_lanes
from medaudit.audit.spec import CheckSpec, Clean
from medaudit.audit.truth import right_decisions
from medaudit.core import streams
from medaudit.core.arrays import Array, map_tree, namespace, to_numpy
from medaudit.core.interface import Interface, Output
from medaudit.core.protocol import Attack, Lanes
from medaudit.domain.corruption import SEVERITIES, Corruption
from medaudit.domain.corruptions import applicable, corrupted, typical
from medaudit.engine.loop import Finished
from medaudit.engine.pool import Case
from medaudit.oracle.decision import decide
from medaudit.oracle.goal import dice
from medaudit.probe.questions import questions

if TYPE_CHECKING:
    from medaudit.audit.asked import Asked

SINGLE = ("multiclass", "binary", "label")


def kinds_of(interface: Interface, names: tuple[str, ...]) -> list[Corruption]:
    """The corruptions that a check asks for, of those that can happen to this model's inputs."""
    every, _ = applicable(interface)
    return [kind for kind in every if not names or kind.name in names]


def score(output: Output, right: np.ndarray, answers: np.ndarray, amount: float) -> np.ndarray:
    """How right each answer [R, M] is, [R] in 0 to 1. amount: by how much a regression may be off."""
    decided = np.asarray(decide(output, answers)).reshape(len(answers), -1)
    if output.task == "segmentation":
        return np.asarray(dice(decided > 0, right > 0))
    if output.task == "regression":
        return np.asarray(np.abs(decided - right).mean(axis=1) <= amount, dtype=np.float64)
    return np.asarray((decided == right).mean(axis=1))


class Corruptions:
    """The questions of one corruption check in a worker: what asks them, and what makes cases of the answers."""

    def __init__(self, asked: Asked, check: CheckSpec, clean: Clean) -> None:
        self.asked, self.check, self.clean = asked, check, clean
        self.output = asked.spec.interface.output
        self.kinds = kinds_of(asked.spec.interface, check.settings.kinds)
        self.typical = typical(asked.points)
        right = right_decisions(self.output, asked.data.y, clean.answers)
        self.right = right.reshape(len(right), -1)

    def attack(self) -> Attack:
        count = SEVERITIES * len(self.kinds)
        return questions("corruptions", count, count, self._points, self._note, votes=self.asked.votes)

    def lanes(self, samples: list[int]) -> Lanes:
        return open_lanes(self.asked, self.check, self.clean, samples)

    def _points(self, lanes: Lanes, t: Array) -> Array:
        own: Lanes = map_tree(to_numpy, lanes)
        x, asked = np.where(np.asarray(own.missing), np.float32(np.nan), own.x), to_numpy(t)
        for number in np.unique(asked):
            at = np.flatnonzero(asked == number)
            kind, severity = self._question(number)
            keys, closed = own.key[at] ^ np.uint64(streams.key(kind.name)), own.lo[at] == own.hi[at]
            x[at] = corrupted(self.asked.spec.interface, kind, severity, x[at], keys, self.typical, closed)
        return namespace(lanes.x).asarray(x, device=lanes.x.device)

    def _question(self, t: int) -> tuple[Corruption, int]:
        return self.kinds[t // SEVERITIES], int(t % SEVERITIES) + 1

    def _note(self, lanes: Lanes, t: Array, answers: Array) -> tuple[Array, Array]:
        return t, self._score(to_numpy(lanes.label), to_numpy(answers))

    def _score(self, samples: np.ndarray, answers: np.ndarray) -> np.ndarray:
        return score(self.output, self.right[samples], answers, self.check.goal.amount)

    def case(self, finished: Finished) -> Case:
        """The scores of a record, and its mildest trouble that makes the answer worse, asked again alone."""
        got, sample = finished.arrays, finished.sample
        scores = got["kept"].reshape(len(self.kinds), SEVERITIES)
        before = float(self._score(np.array([sample]), self.clean.answers[[sample]])[0])
        record = {**answered(finished), "scores": scores.ravel().tolist(), "clean_score": before}
        worse = np.argwhere(before - 1e-9 > scores.T)  # mildest first, then in the order of kinds
        if not worse.size:
            return Case(finished.check, sample, record, {})
        severity, kind = (int(v) for v in worse[0])
        t = kind * SEVERITIES + severity
        point = to_numpy(self._points(self.lanes([sample]), np.array([t])))
        answer = self.asked.alone(point)
        one = self.kinds[kind]
        record |= {
            "found": t + 1, "size": severity + 1, "verification": self.asked.votes,
            "before": decision_words(self.output, self.clean.single[[sample]]),
            "after": decision_words(self.output, answer),
            "success": bool(np.isfinite(answer).all() and self._score(np.array([sample]), answer)[0] < before - 1e-9),
            "note": f"{one.title}, severity {severity + 1}: {one.levels[severity]:g} {one.unit}",
        }  # fmt: skip
        delta = point[0].astype(np.float64) - self.asked.points[sample].astype(np.float64)
        return Case(finished.check, sample, record, {"delta": delta})
