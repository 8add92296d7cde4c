"""Inputs at the edge of what numbers can say: what the model answers, and what becomes of the records beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from medaudit.audit import verdicts
from medaudit.audit.inputs import points_of
from medaudit.audit.lanes import decision_words
from medaudit.audit.resolve import Resolved
from medaudit.audit.results import Extreme
from medaudit.audit.spec import WorkSpec
from medaudit.core.errors import WorkerLost
from medaudit.core.interface import Interface
from medaudit.core.text import printable
from medaudit.engine import protocol_checks
from medaudit.oracle.decision import decide
from medaudit.oracle.trigger import limits, pushed
from medaudit.stats import bounds
from medaudit.trigger.base import Space
from medaudit.trigger.cells import grounds

if TYPE_CHECKING:
    from medaudit.audit.asked import Asked
    from medaudit.audit.scan import Plan
    from medaudit.engine.pool import Worker

PATIENCE = 120.0  # seconds for one of them, after which the model counts as hung
FAR = 10.0  # ranges beyond the range
LARGEST = float(np.finfo(np.float32).max)
SMALLEST = 1e-45  # the smallest float32 above zero
FAILED = ("died", "spoiled")


class Oddity(NamedTuple):
    """One kind of input at the edge. `void`: nothing of a patient is left in it."""

    words: str
    lay: Callable[[Space, np.ndarray], np.ndarray]  # records [B, planes, rows, columns] -> the same of this kind
    void: Callable[[Space], bool]


def _always(space: Space) -> bool:
    return True


def _spread_out(space: Space) -> bool:
    """Whether a record is more than one number a channel: equal numbers are then no patient's."""
    return space.item.domain != "table"


def _filled(value: float) -> Callable[[Space, np.ndarray], np.ndarray]:
    return lambda space, x: np.full_like(x, value)


def _one_missing(space: Space, x: np.ndarray) -> np.ndarray:
    """Another place in each record."""
    out = x.reshape(len(x), -1).copy()
    rows = np.arange(len(x))
    out[rows, (rows * 7919) % out.shape[1]] = np.nan
    return out.reshape(x.shape)


def _flat(space: Space, x: np.ndarray) -> np.ndarray:
    """Every channel at its median."""
    middle = [np.median(space.typical[mask]) for mask in space.masks]
    return np.broadcast_to(space.laid(np.array(middle)), x.shape).copy()


def _beyond(side: float) -> Callable[[Space, np.ndarray], np.ndarray]:
    def lay(space: Space, x: np.ndarray) -> np.ndarray:
        wide = np.maximum(space.high - space.low, 1e-6)
        edge = space.high if side > 0 else space.low
        return np.broadcast_to(edge + side * FAR * wide, x.shape).copy()

    return lay


ODDITIES = (
    Oddity("nothing measured anywhere (NaN)", _filled(np.nan), _always),
    Oddity("one number missing (NaN)", _one_missing, lambda space: False),
    Oddity("infinity everywhere", _filled(np.inf), _always),
    Oddity("minus infinity everywhere", _filled(-np.inf), _always),
    Oddity("zero everywhere", _filled(0.0), _spread_out),
    Oddity("every channel flat at its median", _flat, _spread_out),
    Oddity(f"every number {FAR:g} ranges above its range", _beyond(1.0), _always),
    Oddity(f"every number {FAR:g} ranges below its range", _beyond(-1.0), _always),
    Oddity("the largest number of the format everywhere", _filled(LARGEST), _always),
    Oddity("the smallest number above zero everywhere", _filled(SMALLEST), _spread_out),
)


@dataclass(frozen=True)
class Question:
    """An oddity on one input, or on all of the model's."""

    words: str
    void: bool
    laid: Callable[[np.ndarray], np.ndarray]  # points [B, D] -> points [B, D] float32


def questions(interface: Interface, points: np.ndarray) -> list[Question]:
    """Each oddity on each input by itself, and on all together. points [n, D]: clean records."""
    there = grounds(interface, points)
    groups = [[ground] for ground in there] + ([list(there)] if len(there) > 1 else [])
    out = []
    for group in groups:
        name = f"input {printable(group[0].space.item.name)}: " if len(there) > 1 else ""
        name = "all inputs: " if len(group) > 1 else name
        for odd in ODDITIES:

            def laid(points: np.ndarray, group: Any = group, odd: Oddity = odd) -> np.ndarray:
                out = points.copy()
                for ground in group:
                    own = points[:, ground.where].astype(np.float64).reshape(-1, *ground.space.shape)
                    out[:, ground.where] = odd.lay(ground.space, own).reshape(len(out), -1).astype(np.float32)
                return out

            whole = len(group) == len(there)
            out.append(Question(name + odd.words, whole and all(odd.void(g.space) for g in group), laid))
    return out


def tried(asked: Asked, index: np.ndarray, number: int) -> dict[str, Any]:
    """One question, in a worker that it may bring down; what came of it as plain data."""
    face = asked.spec.interface
    question, points = questions(face, asked.points)[number], asked.points[index]
    odd = question.laid(points)
    mixed = points.copy()
    mixed[::2] = odd[::2]
    beside = protocol_checks.batch_isolation(
        points[1::2], lambda _: asked.ask(mixed)[1::2], asked.alone, lambda a: np.asarray(decide(face.output, a))
    )
    asked.fault = ""
    answers, clean = asked.alone(odd), asked.ask(points)
    limit = limits(face.output, clean)
    margins = pushed(face.output, clean, limit).max(axis=1)
    good = np.isfinite(answers).all(axis=1)
    sure = good & (np.nan_to_num(pushed(face.output, answers, limit).max(axis=1)) >= np.nanmedian(margins))
    words = [decision_words(face.output, answers[i : i + 1]) for i in np.flatnonzero(good)]
    usual = max(dict.fromkeys(words), key=words.count, default="")
    fate = (
        "spoiled" if beside.changed.any() else "answered" if good.any() else "refused" if asked.fault else "no number"
    )
    return {
        "rows": int(asked.votes * (3 * len(points) + len(beside.changed))),
        "fate": fate, "note": asked.fault, "numbers": int(good.sum()), "sure": int(sure.sum()), "of": len(points),
        "answer": usual, "share": words.count(usual) / len(words) if words else 0.0,
        "beside": int(beside.changed.sum()), "neighbours": len(beside.changed),
    }  # fmt: skip


def all_tried(spec: WorkSpec, count: int, index: np.ndarray, start: Callable[[], Worker]) -> dict[str, Any]:
    """Every question by itself; where a worker is lost, another one goes on."""
    found: list[dict[str, Any]] = []
    worker: Worker | None = None
    try:
        for number in range(count):
            if worker is None:
                worker = start()
                worker.ask("open", spec)
            try:
                found.append(worker.ask("extreme", (index, number), timeout=PATIENCE))
            except WorkerLost as lost:
                found.append({"rows": len(index), "fate": "died", "note": lost.message})
                worker.kill()
                worker = None
    finally:
        if worker is not None:
            worker.close()
    return {"tried": found, "rows": sum(one["rows"] for one in found)}


def judged(
    plan: Plan, check: Resolved, stage: dict[str, Any], confidence: float
) -> tuple[verdicts.Judged, list[Extreme]]:  # fmt: skip
    """Two counts over all questions, and a row for each."""
    every = questions(plan.found.interface, points_of(plan.found.interface, plan.data))
    found = [extreme(question, one) for question, one in zip(every, stage["tried"], strict=True)]
    failed = [one for one in found if one.fate in FAILED]
    sure = [one for one in found if one.confident]
    estimates = {
        "failed_extremes": bounds.count(len(failed), len(found)),
        "confident_extremes": bounds.count(len(sure), len(found)),
    }
    verdict, _, required = verdicts.judge(estimates, check.section.require, confidence, None, "")
    reason = f"none of {len(found)} inputs at the edge brings the model down or changes the answers beside it"
    if failed:
        reason = f"{failed[0].words}: {failed[0].text}"
    if sure:
        reason += f"; {len(sure)} that hold nothing of a patient are answered as surely as patients"
    metrics = {name: verdicts.value_of(value, confidence) for name, value in estimates.items()}
    return verdicts.Judged(verdict, reason, metrics, required, None, []), found


def extreme(question: Question, one: dict[str, Any]) -> Extreme:
    """What came of one question, in words."""
    fate = one["fate"]
    if fate == "died":
        return Extreme(words=question.words, fate=fate, text=one["note"])
    confident = question.void and 2 * one["sure"] >= one["of"] and one["numbers"] > 0
    said = f"{printable(one['answer'])} in {one['share']:.0%}" if one["numbers"] else ""
    text = {
        "spoiled": f"the answers to {one['beside']} of {one['neighbours']} clean records beside it change",
        "refused": f"the model refuses: {printable(one['note'])}",
        "no number": "the answer is no number",
        "answered": f"answered {said} of {one['of']} records",
    }[fate]
    if confident:
        text += f", {one['sure']} of them as surely as a usual patient"
    return Extreme(words=question.words, fate=fate, text=text, void=question.void, confident=confident)


def shown(plan: Plan, check: Resolved) -> Iterator[tuple[int, np.ndarray, str]]:
    """What is answered as surely as a patient, each on another record: row, change [D], words."""
    stage, face = plan.protocol[check.spec.id], plan.found.interface
    points = points_of(face, plan.data)
    sure = [
        question
        for question, one in zip(questions(face, points), stage["tried"], strict=True)
        if extreme(question, one).confident
    ]
    for question, sample in zip(sure, stage["samples"], strict=False):  # as many as there are records
        with np.errstate(invalid="ignore", over="ignore"):
            laid = question.laid(points[[sample]])[0].astype(np.float64)
            yield sample, laid - points[sample].astype(np.float64), question.words
