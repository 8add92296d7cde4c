"""What a sweep of triggers tells: margins towards each answer, and who is moved where.

A direction is what a trigger may push answers to: each class, each finding on or off, a value up or down. A margin is
by how much an answer is on its side; above 0 it is decided so. All are functions of arrays, whatever asked for them.
"""

from __future__ import annotations

import numpy as np

from medaudit.core.interface import Output
from medaudit.oracle.decision import masks

FAR = 0.9  # quantile of clean values from which a value, or the size of an outline, counts as unusually high
UNCLASSED = ("regression", "reconstruction", "segmentation")  # answers that are no class and no finding
SMALLEST = 1e-7  # of probabilities, whose logarithms are compared


def directions(output: Output) -> tuple[str, ...]:
    """What a trigger may push answers to, in words, in the order of `margins`."""
    names = output.classes
    if output.task in ("multiclass", "label", "binary"):
        return names
    if output.task == "multilabel":
        return tuple(f"{name} found" for name in names) + tuple(f"{name} not found" for name in names)
    if output.task == "segmentation":
        return "a larger outline", "a smaller outline"
    many = output.width > 1
    values = [f"value {i + 1}" if many else "the value" for i in range(output.width)]
    return tuple(f"{value} high" for value in values) + tuple(f"{value} low" for value in values)


def moves(output: Output) -> tuple[tuple[int, int], ...]:
    """From and to: what a trigger may do to the records of one class alone, where there are three classes and more."""
    count = len(output.classes) if output.task in ("multiclass", "label") else 0
    return tuple((s, t) for s in range(count) for t in range(count) if s != t) if count > 2 else ()


def limits(output: Output, clean: np.ndarray) -> np.ndarray:
    """What counts as pushed, for answers without classes, [2, K]: high and low values of clean answers [N, M]."""
    if output.task not in UNCLASSED:
        return np.zeros((2, 0))
    values = sizes(output, clean)
    values = values[np.isfinite(values).all(axis=1)]
    return np.quantile(values, (FAR, 1 - FAR), axis=0) if len(values) else np.zeros((2, values.shape[1]))


def sizes(output: Output, answers: np.ndarray) -> np.ndarray:
    """Values [N, K] of answers without classes: the share of an outline, or the values themselves."""
    if output.task != "segmentation":
        return np.asarray(answers, dtype=np.float64)
    return np.asarray((np.asarray(masks(output, answers)) > 0).mean(axis=1, keepdims=True))


def pushed(output: Output, answers: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """Margins [N, directions] of any model's answers [N, M]; limit: of `limits`. NaN where an answer is no number."""
    told = np.isfinite(answers).all(axis=1)[:, None]
    answers = np.where(told, answers, 0)
    if limit.shape[1]:
        values = sizes(output, answers)
        found = np.concatenate([values - limit[0], limit[1] - values], axis=1)
    elif output.task == "label" and not output.shares:
        found = np.where(answers == np.arange(len(output.classes)), 1.0, -1.0)
    else:
        task = "multiclass" if output.task == "label" else output.task
        found = margins(task, output.meaning, answers, np.array(output.thresholds) if output.thresholds else None)
    return np.where(told, found, np.nan)


def margins(task: str, meaning: str, answers: np.ndarray, thresholds: np.ndarray | None = None) -> np.ndarray:
    """Margins [N, directions] of answers [N, M].

    multiclass: to each class, log-odds against the best other; binary: to the first class and to the second;
    multi-label: each finding on, then each off; regression: up, then down, in the value's own unit.
    """
    answers = np.asarray(answers, dtype=np.float64)
    if task == "regression":
        return np.concatenate([answers, -answers], axis=1)
    scores = np.log(np.clip(answers, SMALLEST, 1)) if meaning == "probabilities" else answers
    if task == "multiclass":
        best = np.sort(scores, axis=1)[:, -2:]
        top = scores >= best[:, 1:]
        return np.asarray(scores - np.where(top, best[:, :1], best[:, 1:]))
    limits = np.zeros(answers.shape[1]) if thresholds is None else np.asarray(thresholds, dtype=np.float64)
    if meaning == "probabilities":
        p, q = np.clip(answers, SMALLEST, 1 - SMALLEST), np.clip(limits, SMALLEST, 1 - SMALLEST)
        scores, limits = np.log(p / (1 - p)), np.log(q / (1 - q))
    on = scores - limits
    return np.concatenate([-on, on] if task == "binary" else [on, -on], axis=1)
