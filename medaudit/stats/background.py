"""How far a Shapley value can be moved by choosing the reference records, while the choice still looks fair."""

from __future__ import annotations

import math

import numpy as np

from medaudit.stats.maps import TINY

MOST = 4.0  # times its fair share that one record may weigh


def room(parts: np.ndarray, scores: np.ndarray) -> float:
    """Width of the foremost cell's interval, in its own size; parts and scores as of `intervals`."""
    fair = parts.mean(axis=0)
    first = int(np.abs(fair).argmax())
    low, high = intervals(parts[:, [first]], scores)[0]
    return float(max(0.0, high - low) / max(abs(float(fair[first])), TINY))


def intervals(parts: np.ndarray, scores: np.ndarray, confidence: float = 0.95, most: float = MOST) -> np.ndarray:
    """Least and largest value of each cell [S, 2] over weights of the reference records that pass a KS test.

    parts [B, S]: each record's own Shapley values; scores [B]: the model's values of the records. A weighting is fair
    where no record weighs more than `most` times 1 / B and the weighted distribution of scores stays within the
    Kolmogorov-Smirnov distance that B records of the same distribution keep with `confidence`. Laberge, Aivodji, Hara,
    Marchand, Khomh 2023, "Fool SHAP with stealthily biased sampling", as two linear programmes a cell.
    """
    from scipy.optimize import linprog
    from scipy.special import kolmogi

    b, s = parts.shape
    fair = parts.mean(axis=0)
    if b < 2:
        return np.stack([fair, fair], axis=1)
    order = np.argsort(scores, kind="stable")
    below = np.tril(np.ones((b, b)))  # cumulative weight at each score, from the lowest on
    last = np.append(scores[order][1:] != scores[order][:-1], True)  # ties count together
    room = min(1.0, float(kolmogi(1 - confidence)) / math.sqrt(b))
    fits = np.concatenate([below[last], -below[last]])
    share = (np.arange(1, b + 1) / b)[last]
    bound = np.concatenate([share + room, room - share])
    out = np.empty((s, 2))
    for cell in range(s):
        for side, sign in enumerate((1.0, -1.0)):
            found = linprog(
                sign * parts[order, cell], A_ub=fits, b_ub=bound, A_eq=np.ones((1, b)), b_eq=[1.0],
                bounds=(0, most / b), method="highs",
            )  # fmt: skip
            out[cell, side] = sign * found.fun if found.status == 0 else fair[cell]
    return out
