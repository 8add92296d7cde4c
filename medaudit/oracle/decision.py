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
