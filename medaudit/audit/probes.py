"""Corruption checks in a worker: the questions of a record, and what is kept of its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from medaudit.audit.spec import CheckSpec, Clean
from medaudit.audit.truth import truth_of
from medaudit.core import streams
from medaudit.core.arrays import Array, array_module, map_tree, namespace, to_numpy
from medaudit.core.interface import Interface, Output
from medaudit.core.probe import questions
from medaudit.core.protocol import Attack, Lanes
from medaudit.data import Dataset
from medaudit.domain.corruption import SEVERITIES, Corruption
from medaudit.domain.corruptions import applicable, corrupted
from medaudit.engine.loop import Finished
from medaudit.engine.pool import Case
from medaudit.oracle.decision import decide
from medaudit.oracle.goal import dice

if TYPE_CHECKING:
    from medaudit.audit.bench import Bench

SINGLE = ("multiclass", "binary", "label")


def kinds_of(interface: Interface, names: tuple[str, ...]) -> list[Corruption]:
    """The corruptions that a check asks for, of those that can happen to this model's inputs."""
    every, _ = applicable(interface)
    return [kind for kind in every if not names or kind.name in names]


def right_decisions(output: Output, data: Dataset, answers: np.ndarray) -> np.ndarray:
    """What counts as right, [n, K]: the labels, or the clean decisions where there are none."""
    right = np.asarray(decide(output, answers)) if data.y is None else truth_of(output, data.y)
    return np.asarray(right).reshape(len(right), -1)


def score(output: Output, right: np.ndarray, answers: np.ndarray, amount: float) -> np.ndarray:
    """How right each answer [R, M] is, [R] in 0 to 1. amount: by how much a regression may be off."""
    decided = np.asarray(decide(output, answers)).reshape(len(answers), -1)
    if output.task == "segmentation":
        return np.asarray(dice(decided > 0, right > 0))
    if output.task == "regression":
        return np.asarray(np.abs(decided - right).mean(axis=1) <= amount, dtype=np.float64)
    return np.asarray((decided == right).mean(axis=1))


def corruption_probe(bench: Bench, check: CheckSpec, clean: Clean) -> tuple[Attack, Any, Recorder]:
    """The attack that asks the questions, what makes its lanes, and what makes cases of finished ones."""
    interface = bench.spec.interface
    output = interface.output
    kinds = kinds_of(interface, check.settings.kinds)
    typical = np.nan_to_num(np.nanmedian(bench.points, axis=0))
    right = right_decisions(output, bench.data, clean.answers)

    def host(samples: list[int]) -> Lanes:
        x = bench.points[samples]
        shut = np.zeros(x.shape, dtype=bool) if bench.padding is None else bench.padding[samples]
        names = [streams.key(bench.spec.seed, check.rule, check.id, bench.data.ids[i]) for i in samples]
        far, own = np.float32(np.inf), np.nan_to_num(x)
        label = np.asarray(samples, dtype=np.int64)  # the row of the data file, by which its truth is found
        return Lanes(
            np.array(names, dtype=np.uint64), own, np.where(shut, own, -far), np.where(shut, own, far), np.isnan(x),
            clean.answers[samples], label, np.full(len(samples), -1),
        )  # fmt: skip

    def points(lanes: Lanes, t: Array) -> Array:
        xp = namespace(lanes.x)
        own: Lanes = map_tree(to_numpy, lanes)
        x = np.where(np.asarray(own.missing), np.float32(np.nan), own.x)
        asked = to_numpy(t)
        for number in np.unique(asked):
            at = np.flatnonzero(asked == number)
            kind, severity = kinds[number // SEVERITIES], int(number % SEVERITIES) + 1
            keys = own.key[at] ^ np.uint64(streams.key(kind.name))
            x[at] = corrupted(interface, kind, severity, x[at], keys, typical, own.lo[at] == own.hi[at])
        return xp.asarray(x, device=lanes.x.device)

    def note(lanes: Lanes, t: Array, answers: Array) -> tuple[Array, Array]:
        return t, score(output, right[to_numpy(lanes.label)], to_numpy(answers), check.goal.amount)

    def make(samples: list[int]) -> Lanes:
        return map_tree(array_module(bench.spec.device).asarray, host(samples))

    count = SEVERITIES * len(kinds)
    attack = questions("corruptions", count, count, points, note, votes=bench.votes)
    before = score(output, right, clean.answers, check.goal.amount)
    return attack, make, Recorder(before)


class Recorder:
    """Finished lanes as cases: the scores of their answers, question by question."""

    def __init__(self, before: np.ndarray) -> None:
        self.before = before

    def case(self, finished: Finished) -> Case:
        got = finished.arrays
        record = {
            "rows": finished.rows, "counted": int(got["rows"]), "found": 0, "exhausted": finished.exhausted,
            "size": None, "invalid": int(got["invalid"]), "curve": [], "starts": 0, "verification": 0,
            "success": False, "note": "", "scores": [float(v) for v in got["kept"]],
            "clean_score": float(self.before[finished.sample]),
        }  # fmt: skip
        return Case(finished.check, finished.sample, record, {})
