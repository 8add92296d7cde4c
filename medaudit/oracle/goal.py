"""Goals: what counts as success, and how close an answer is to it.

Every oracle gives a score (smaller is closer to the attacker's goal; below zero in step with success
where the model gives scores, towards one of many classes a little beyond it) and a hit. Hits demand
more than `clearance`, the numeric noise floor of the model, so that a success survives its re-check.
"""

from __future__ import annotations

from dataclasses import dataclass

from medaudit.core.arrays import Array, namespace
from medaudit.core.errors import MedauditError
from medaudit.core.interface import Output
from medaudit.core.protocol import Lanes, Oracle
from medaudit.oracle.decision import decide, masks, scores

EVERY = "every-target"  # one check a class: resolved into "target" goals before anything runs
DICE_DROP, MOVE_SD = 0.2, 0.5  # what turns an outline, and a value, where nobody says: Dice; standard deviations
SHARP = 3.0  # of the soft maximum over classes
MIXED = ("logits", "probabilities")  # meanings that are, or become, logarithms of probabilities
WHATS = ("any", "target", EVERY, "clear", "raise", "missed-disease", "false-alarm", "moved", "dice-drop")


@dataclass(frozen=True)
class Goal:
    """what: one of WHATS; name: class or finding; amount: tolerance (moved) or drop of Dice."""

    what: str = "any"
    name: str = ""
    amount: float = 0.0
    stop: str = "flip"  # flip | budget


def oracle(output: Output, goal: Goal, access: str, clearance: float = 0.0) -> Oracle:
    """The oracle of a goal. Raises MedauditError where the task has no such goal."""
    task = output.task
    if goal.what not in goals_of(task):
        raise MedauditError(
            f"goal {goal.what!r} does not fit a {task} model",
            f"use one of: {', '.join(goals_of(task))}",
        )
    if task == "multiclass":
        return _blind(_multiclass(output, goal, clearance), access)
    if task == "binary":
        return _blind(_binary(output, clearance), access)
    if task == "multilabel":
        return _blind(_multilabel(output, goal, clearance), access)
    if task == "label":
        return _blind(_multiclass(output, goal, clearance), "labels") if output.shares else _label(output, goal)
    if task == "segmentation":
        return _blind(_dice(output, goal, clearance), access)
    return _blind(_moved(output, goal, clearance), access)


def goals_of(task: str) -> tuple[str, ...]:
    """Goals that make sense for a task; the first is the default."""
    return {
        "multiclass": ("any", "target", "missed-disease", "false-alarm"),
        "label": ("any", "target", "missed-disease", "false-alarm"),
        "binary": ("any", "missed-disease", "false-alarm"),
        "multilabel": ("any", "clear", "raise", "missed-disease", "false-alarm"),
        "regression": ("moved",),
        "reconstruction": ("moved",),
        "segmentation": ("dice-drop",),
    }[task]


def oracle_of_many(output: Output, goal: Goal, access: str, clearance: float = 0.0) -> Oracle:
    """The oracle of a goal that one change is to reach for many records.

    Towards some of several classes it goes by probabilities, not by their logarithms: what counts is how many records
    are turned, and those that are sure of their answer come there by way of doubt among the other classes, which the
    logarithm of a tiny probability hardly sees.
    """
    several = output.task == "multiclass" and len(output.classes) > 2 and output.meaning in MIXED
    if several and access == "scores" and wanted_classes(output, goal):
        return _multiclass(output, goal, clearance, doubt=True)
    return oracle(output, goal, access, clearance)


def _blind(seeing: Oracle, access: str) -> Oracle:
    """Labels only: the score is replaced by the hit."""
    if access == "scores":
        return seeing

    def score(lanes: Lanes, lane: Array, answers: Array) -> tuple[Array, Array]:
        _, hit = seeing.score(lanes, lane, answers)
        return _as_score(hit), hit

    return Oracle("label", score)


def _as_score(hit: Array) -> Array:
    xp = namespace(hit)
    return 1 - 2 * xp.astype(hit, xp.float32)


def _disease(output: Output, goal: Goal) -> list[int]:
    """Classes that the goal wants the answer to land in: the healthy ones, or the disease ones."""
    sick = [i for i, name in enumerate(output.classes) if name in output.disease]
    if not sick:
        raise MedauditError(
            f"goal {goal.what!r} needs to know which classes are disease",
            "give model.output.disease",
        )
    if goal.what == "false-alarm":
        return sick
    return [i for i in range(len(output.classes)) if i not in sick]


def _place(output: Output, name: str) -> int:
    if name not in output.classes:
        raise MedauditError(f"class {name!r} is not one of: {', '.join(output.classes)}")
    return output.classes.index(name)


def wanted_classes(output: Output, goal: Goal) -> list[int]:
    """Classes (or findings) the goal drives the answer into; empty: any other than the clean one."""
    if goal.what in ("target", "clear", "raise"):
        return [_place(output, goal.name)]
    if goal.what in ("missed-disease", "false-alarm") and output.task in ("multiclass", "label"):
        return _disease(output, goal)
    return []


def _multiclass(output: Output, goal: Goal, clearance: float, *, doubt: bool = False) -> Oracle:
    """Margin of the best class outside the goal over the best class inside it.

    The best outside is taken softly where scores are logarithms: where two classes outside are level the margin has
    an edge, on which no slope leads on. There zero lies a little beyond success. doubt: of probabilities.
    """
    wanted = wanted_classes(output, goal)
    soft = bool(wanted) and output.meaning in MIXED

    def score(lanes: Lanes, lane: Array, answers: Array) -> tuple[Array, Array]:
        xp = namespace(answers)
        values = scores(output, answers)
        k = xp.arange(values.shape[1], dtype=xp.int64, device=values.device)[None, :]
        if wanted:
            inside = xp.any(xp.stack([k == w for w in wanted]), axis=0)
            inside = xp.broadcast_to(inside, values.shape)
        else:
            inside = k != xp.take(lanes.label, lane)[:, None]
        best, margin = _lead(values, inside)
        hit = margin < -clearance
        if not soft:
            return margin, hit
        if doubt:
            top = xp.exp(values - xp.max(values, axis=1)[:, None])
            values = top / xp.sum(top, axis=1)[:, None]
            best, margin = _lead(values, inside)
        away = xp.where(inside, xp.full_like(values, -xp.inf), values - best[:, None])
        softly = margin + xp.log(xp.sum(xp.exp(SHARP * away), axis=1)) / SHARP
        return softly, hit

    return Oracle("margin", score)


def _lead(values: Array, inside: Array) -> tuple[Array, Array]:
    """The best value [R, M] outside, and how far it lies above the best inside, [R] each."""
    xp = namespace(values)
    low = xp.full_like(values, -xp.inf)
    best = xp.max(xp.where(inside, low, values), axis=1)
    return best, best - xp.max(xp.where(inside, values, low), axis=1)


def _binary(output: Output, clearance: float) -> Oracle:
    """Distance to the threshold, towards the other side of the clean decision."""

    def score(lanes: Lanes, lane: Array, answers: Array) -> tuple[Array, Array]:
        xp = namespace(answers)
        value = scores(output, answers)[:, 0]
        sign = xp.astype(xp.take(lanes.label, lane) * 2 - 1, xp.float32)
        margin = sign * value
        flipped = decide(output, answers) == 1 - xp.take(lanes.label, lane)
        return margin, flipped & (xp.abs(value) > clearance)

    return Oracle("margin", score)


def _multilabel(output: Output, goal: Goal, clearance: float) -> Oracle:
    """The finding that is nearest to changing sides, of those that the goal names."""
    sick = {i for i, name in enumerate(output.classes) if name in output.disease} or set(range(len(output.classes)))

    def score(lanes: Lanes, lane: Array, answers: Array) -> tuple[Array, Array]:
        xp = namespace(answers)
        value = scores(output, answers)
        clean = xp.take(decide(output, lanes.ref), lane, axis=0)
        margin = xp.where(clean == 1, value, -value)
        usable = xp.zeros_like(clean) == 1
        k = xp.arange(value.shape[1], dtype=xp.int64, device=value.device)[None, :]
        named = wanted_classes(output, goal)
        chosen = named or sorted(sick if goal.what in ("missed-disease", "false-alarm") else range(value.shape[1]))
        for place in chosen:
            usable = usable | (k == place)
        if goal.what in ("clear", "missed-disease"):
            usable = usable & (clean == 1)
        if goal.what in ("raise", "false-alarm"):
            usable = usable & (clean == 0)
        far = xp.full_like(margin, xp.inf)
        margin = xp.min(xp.where(usable, margin, far), axis=1)
        return margin, margin < -clearance

    return Oracle("finding", score)


def _label(output: Output, goal: Goal) -> Oracle:
    wanted = wanted_classes(output, goal)

    def score(lanes: Lanes, lane: Array, answers: Array) -> tuple[Array, Array]:
        xp = namespace(answers)
        decided = decide(output, answers)
        if wanted:
            hit = xp.any(xp.stack([decided == w for w in wanted]), axis=0)
        else:
            hit = (decided != xp.take(lanes.label, lane)) & (decided >= 0)
        return _as_score(hit), hit

    return Oracle("label", score)


def _moved(output: Output, goal: Goal, clearance: float) -> Oracle:
    """Tolerance left: goal.amount minus the largest change of any value."""

    def score(lanes: Lanes, lane: Array, answers: Array) -> tuple[Array, Array]:
        xp = namespace(answers)
        change = xp.abs(answers - xp.take(lanes.ref, lane, axis=0))
        left = goal.amount - xp.max(change, axis=1)
        return left, left < -clearance

    return Oracle("moved", score)


def _dice(output: Output, goal: Goal, clearance: float) -> Oracle:
    """Dice of the foreground with the clean mask; the score adds how firm the mask still is."""

    def score(lanes: Lanes, lane: Array, answers: Array) -> tuple[Array, Array]:
        xp = namespace(answers)
        now = masks(output, answers) > 0
        clean = xp.take(masks(output, lanes.ref) > 0, lane, axis=0)
        left = dice(now, clean) - (1 - goal.amount)
        firm = xp.where(clean, _support(output, answers), -_support(output, answers))
        # tanh bounds what any one position can add, so that the sum stays a guide only.
        guide = xp.mean(xp.tanh(0.5 * firm), axis=1)
        return left + 0.1 * guide, left < -clearance

    return Oracle("dice", score)


def _support(output: Output, answers: Array) -> Array:
    """Evidence for foreground at each position, [R, positions]."""
    xp = namespace(answers)
    if not output.class_axis:
        return answers - output.thresholds[0]
    stack = xp.reshape(answers, (answers.shape[0], len(output.classes), output.positions))
    return xp.max(stack[:, 1:, :], axis=1) - stack[:, 0, :]


def dice(a: Array, b: Array) -> Array:
    """Dice overlap of masks [R, P]; two empty masks overlap fully."""
    xp = namespace(a)
    both = xp.sum(xp.astype(a & b, xp.float32), axis=1)
    total = xp.sum(xp.astype(a, xp.float32), axis=1) + xp.sum(xp.astype(b, xp.float32), axis=1)
    one = xp.ones_like(total)
    return xp.where(total > 0, 2 * both / xp.maximum(total, one), one)


def turned(output: Output, before: Array, after: Array) -> Array:
    """Rows [R] bool whose decision answers [R, M] turn; values and outlines by what goals mean by it."""
    xp = namespace(before)
    one, other = (xp.reshape(decide(output, answers), (before.shape[0], -1)) for answers in (before, after))
    if output.task == "segmentation":
        return (dice(one > 0, other > 0) < 1 - DICE_DROP) | xp.any(other < 0, axis=1)
    if output.task in ("regression", "reconstruction"):
        spread = xp.std(one, axis=0)
        return xp.any(~(xp.abs(other - one) <= MOVE_SD * spread), axis=1)
    return xp.any(one != other, axis=1)
