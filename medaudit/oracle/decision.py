"""Decisions: what a model's answer means, as classes, findings, values or masks."""

from __future__ import annotations

import math

from medaudit.core.arrays import Array, namespace
from medaudit.core.interface import Output

TINY = 1e-30


def log_odds(share: float) -> float:
    share = min(max(share, 1e-12), 1 - 1e-12)
    return math.log(share / (1 - share))


def scores(output: Output, answers: Array) -> Array:
    """Answers on a scale where differences of classes mean the same everywhere.

    Probabilities become logarithms (multi-class) or log-odds (one number each), logits stay.
    For binary and multi-label answers 0 is the threshold: decided positive where >= 0.
    """
    xp = namespace(answers)
    if output.task == "multiclass":
        return _log(xp, answers) if output.meaning == "probabilities" else answers
    if output.task in ("binary", "multilabel"):
        cut = output.thresholds
        if output.meaning == "probabilities":
            odds = _log(xp, answers) - _log(xp, 1 - answers)
            limits = [log_odds(c) for c in cut]
        else:
            odds, limits = answers, list(cut)
        return odds - xp.asarray(limits, dtype=xp.float32, device=answers.device)[None, :]
    return answers


def _log(xp: object, values: Array) -> Array:
    xp = namespace(values)
    return xp.log(xp.maximum(values, xp.full_like(values, TINY)))


def noise_floor(output: Output, one: Array, other: Array) -> float:
    """How far two answers to the same rows lie apart, on the scale of `scores` at the decision boundary.

    There a share near its threshold moves little in log-odds; far from it one unit in the last place
    of a saturated sigmoid would be worth 50.
    """
    xp = namespace(one)
    gap = xp.abs(xp.astype(one, xp.float64) - xp.astype(other, xp.float64))
    gap = xp.where(xp.isfinite(gap), gap, xp.zeros_like(gap))
    if output.meaning == "probabilities" and output.task == "multiclass":
        gap = gap * one.shape[1]  # of two best classes that are equal each has at least 1 / K
    if output.meaning == "probabilities" and output.task in ("binary", "multilabel"):
        steep = [1 / (c * (1 - c)) for c in (min(max(cut, 1e-6), 1 - 1e-6) for cut in output.thresholds)]
        gap = gap * xp.asarray(steep, dtype=xp.float64, device=one.device)[None, :]
    return float(xp.max(gap)) if gap.shape[0] else 0.0


def clearance(output: Output, floor: float) -> float:
    """By how much a row must reach the goal to be claimed, so that a re-check that demands the floor finds it too.

    The floor is the largest of a few differences; what a search claims of many draws is luckier still.
    """
    return (2 if output.votes == 1 else 3) * floor


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


def positive_score(output: Output, answers: Array) -> Array:
    """How much answers [R, M] of two classes speak for the second (positive) one, [R]."""
    return answers[:, 0] if output.task == "binary" else answers[:, 1] - answers[:, 0]


def decide(output: Output, answers: Array) -> Array:
    """Decisions of answers [R, M]: [R] int64 classes (multiclass, binary, label), [R, K] int64
    findings (multilabel), [R, P] int64 masks (segmentation), [R, K] float values otherwise.

    A row with a non-finite answer has class -1 (findings and masks -1 throughout).
    """
    xp = namespace(answers)
    valid = xp.all(xp.isfinite(answers), axis=1)
    none = xp.asarray(-1, dtype=xp.int64, device=answers.device)
    if output.task == "multiclass":
        return xp.where(valid, xp.astype(xp.argmax(answers, axis=1), xp.int64), none)
    if output.shares:
        some = xp.any(answers > 0, axis=1)  # nothing else has been answered than labels that nobody named
        return xp.where(valid & some, xp.astype(xp.argmax(answers, axis=1), xp.int64), none)
    if output.task == "label":
        return xp.where(valid, xp.astype(xp.where(valid, answers[:, 0], -1.0), xp.int64), none)
    if output.task in ("binary", "multilabel"):
        cut = xp.asarray(list(output.thresholds), dtype=xp.float32, device=answers.device)
        found = xp.astype(answers >= cut[None, :], xp.int64)
        found = xp.where(valid[:, None], found, none)
        return found[:, 0] if output.task == "binary" else found
    if output.task == "segmentation":
        return xp.where(valid[:, None], masks(output, answers), none)
    return answers


def masks(output: Output, answers: Array) -> Array:
    """Segmentation: class per position, [R, positions] int64."""
    xp = namespace(answers)
    if not output.class_axis:
        return xp.astype(answers >= output.thresholds[0], xp.int64)
    stack = xp.reshape(answers, (answers.shape[0], len(output.classes), output.positions))
    return xp.astype(xp.argmax(stack, axis=1), xp.int64)
