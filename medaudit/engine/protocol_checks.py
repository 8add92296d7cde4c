"""Repeatability, row purity, batch isolation: asked in blocks that are laid out on purpose.

Each gives, per row, whether the answer changed, whether the decision changed, and by how much.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from medaudit.core import streams

ORDER = 1
TOLERANCE = 1e-3  # of the answers' spread: what counts as a change between batch sizes


class Comparison(NamedTuple):
    """Per row [n]; `rows`: model rows asked."""

    changed: np.ndarray  # bool
    decision: np.ndarray  # bool
    gap: np.ndarray  # float64, largest absolute difference of any number of the answer
    rows: int


Ask = Callable[[np.ndarray], np.ndarray]  # points [n, D] -> answers [n, M], in whole blocks
Decide = Callable[[np.ndarray], np.ndarray]  # answers -> decisions, first axis row


def repeatability(points: np.ndarray, ask: Ask, decide: Decide) -> Comparison:
    """The same blocks three times."""
    first = ask(points)
    return _compare(first, [ask(points), ask(points)], decide, 3 * len(points))


def row_purity(points: np.ndarray, ask: Ask, decide: Decide, key: int) -> Comparison:
    """Two shuffled orders against the given one."""
    first, others = ask(points), []
    for step in range(2):
        draw = streams.uniform(np.array([key], dtype=np.uint64), np.array([step], dtype=np.int64), ORDER, len(points))[
            0
        ]
        order = np.argsort(draw, kind="stable")
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        others.append(ask(points[order])[back])
    return _compare(first, others, decide, 3 * len(points))


def batch_isolation(points: np.ndarray, ask: Ask, alone: Ask, decide: Decide) -> Comparison:
    """Rows in company against rows alone (another session); last digits may differ."""
    first, single = ask(points), alone(points)
    exact = _compare(first, [single], decide, 2 * len(points))
    finite = first[np.isfinite(first)]
    spread = float(finite.max() - finite.min()) if finite.size else 0.0
    far = exact.gap > TOLERANCE * max(spread, 1e-6)
    return exact._replace(changed=far | exact.decision)


def _compare(first: np.ndarray, others: list[np.ndarray], decide: Decide, rows: int) -> Comparison:
    n = len(first)
    changed, decision = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    gap = np.zeros(n)
    own = np.asarray(decide(first)).reshape(n, -1)
    for other in others:
        same = (first == other) | (np.isnan(first) & np.isnan(other))
        changed |= ~same.reshape(n, -1).all(axis=1)
        with np.errstate(invalid="ignore"):
            difference = np.abs(first.astype(np.float64) - other)
        difference = np.where(same, 0.0, np.nan_to_num(difference, nan=np.inf, posinf=np.inf))
        gap = np.maximum(gap, difference.reshape(n, -1).max(axis=1))
        # A number as decision (regression) changes in its last digits; classes must not change at all.
        theirs = np.asarray(decide(other)).reshape(n, -1)
        if own.dtype.kind in "iub":
            decision |= (own != theirs).any(axis=1)
    return Comparison(changed, decision, gap, rows)
