"""The model's own noise: how far answers to the same row lie apart, and what of it a claim must clear."""

from __future__ import annotations

from medaudit.core.arrays import Array, namespace
from medaudit.core.interface import Output
from medaudit.oracle.decision import masks, scores
from medaudit.oracle.goal import Goal, dice


def noise_floor(output: Output, one: Array, other: Array) -> float:
    """How far two answers to the same rows lie apart, on the scale on which goals are measured.

    Of scores that is the one of `scores` at the decision boundary: there a share near its threshold moves little in
    log-odds; far from it one unit in the last place of a saturated sigmoid would be worth 50. Of masks it is Dice.
    """
    xp = namespace(one)
    if not one.shape[0]:
        return 0.0
    if output.task == "segmentation":
        valid = xp.all(xp.isfinite(one) & xp.isfinite(other), axis=1)
        lost = 1 - dice(masks(output, one) > 0, masks(output, other) > 0)
        return float(xp.max(xp.where(valid, lost, xp.zeros_like(lost))))
    gap = xp.abs(xp.astype(one, xp.float64) - xp.astype(other, xp.float64))
    gap = xp.where(xp.isfinite(gap), gap, xp.zeros_like(gap))
    if output.meaning == "probabilities" and output.task == "multiclass":
        gap = gap * one.shape[1]  # of two best classes that are equal each has at least 1 / K
    if output.meaning == "probabilities" and output.task in ("binary", "multilabel"):
        steep = [1 / (c * (1 - c)) for c in (min(max(cut, 1e-6), 1 - 1e-6) for cut in output.thresholds)]
        gap = gap * xp.asarray(steep, dtype=xp.float64, device=one.device)[None, :]
    return float(xp.max(gap))


def clearance(output: Output, floor: float) -> float:
    """By how much a row must reach the goal to be claimed, so that a re-check that demands the floor finds it too.

    The floor is the largest of a few differences; what a search claims of many draws is luckier still.
    """
    return (2 if output.votes == 1 else 3) * floor


def swallowed(output: Output, floor: float, answers: Array, goals: list[Goal]) -> bool:
    """Whether the noise takes so much of what attacks must reach that their passes prove little.

    A tenth of the usual margin; half of it where the policy votes, and half of any amount that a goal names.
    """
    share = 10 if output.votes == 1 else 2
    needed = clearance(output, floor)
    if any(2 * needed > goal.amount > 0 for goal in goals):
        return True
    return share * needed > typical_margin(output, answers) > 0


def typical_margin(output: Output, answers: Array) -> float:
    """Median distance of clean decisions from their boundary, on the scale of `scores`; 0 where there is none."""
    xp = namespace(answers)
    values = scores(output, answers)
    if output.task == "multiclass" or output.shares:
        order = xp.sort(values, axis=1)
        margins = order[:, -1] - order[:, -2]
    elif output.task in ("binary", "multilabel"):
        margins = xp.reshape(xp.abs(values), (-1,))
    else:
        return 0.0
    margins = xp.sort(margins[xp.isfinite(margins)])
    return float(margins[margins.shape[0] // 2]) if margins.shape[0] else 0.0
