"""Whether an explanation is true to its model: measures of one record's map that need no attack.

Taking cells out in the order that a map gives should take the evidence away sooner than taking them out in any order
(deletion), and putting them back should bring it back sooner (insertion): Petsiuk, Das, Saenko 2018, "RISE", section 4.
The areas under such curves depend on the model and on the fill, so each order stands beside random ones under the same
fills, and what counts is the share of them that it beats: a half is no better than chance.

Stability is told by small changes, each explained by the plan of the record itself: Yeh et al. 2019, "On the
(in)fidelity and sensitivity of explanations", definition 2 (max-sensitivity), and Agarwal et al. 2022, "Rethinking
stability for attribution-based explanations", eqs. 2, 3 and 5, of norms in the place of single quotients.
"""

from __future__ import annotations

import numpy as np

from medaudit.probe.explainer import Explainer, Ground, draws, masked, spread
from medaudit.stats.maps import TINY, entropy, gini, mass_overlap

STEPS, ORDERS = 16, 16  # of taking cells out, and random orders beside a map's own
LEAST = 1e-3  # relative change of an input or an answer below which a quotient says nothing


def removal(ground: Ground, own: np.ndarray, plan: int = 0) -> Explainer:
    """Rows that take cells out in the order of a map [S] and in random ones.

    Its reduction gives [E, 3]: of the random orders the shares that the map's own beats at deletion and at insertion,
    and what is answered without any cell (the mean over the background rows).
    """
    s = ground.cells.size
    drawn = draws(ground, "orders", plan, ORDERS, s).argsort(axis=1, kind="stable")
    orders = np.concatenate([np.argsort(-own, kind="stable")[None], drawn])
    rank = np.argsort(orders, axis=1, kind="stable")
    counts = np.unique(np.linspace(0, s, STEPS + 2)[1:-1].round().astype(int))
    counts = counts[(counts > 0) & (counts < s)]
    without = rank[:, None, :] >= counts[:, None]
    lent = 1 if ground.fill is not None else len(ground.background)
    parts = [np.ones((1, s), dtype=bool), without.reshape(-1, s), ~without.reshape(-1, s), np.zeros((lent, s), bool)]
    each = spread(ground, len(counts))
    step = np.tile(each[np.arange(len(counts)) % len(each)], 2 * len(orders))  # one a step, the same for all orders
    background = np.concatenate([[0], step, np.arange(lent)])

    def reduce(values: np.ndarray, points: np.ndarray) -> np.ndarray:
        n, told = len(values), values[:, 1:-lent, 0]
        if not len(counts):
            return np.stack([np.full(n, 0.5), np.full(n, 0.5), values[:, -lent:, 0].mean(axis=1)], axis=1)
        deleted, inserted = np.moveaxis(told.reshape(n, 2, len(orders), len(counts)).mean(axis=3), 1, 0)
        none = values[:, -lent:, 0].mean(axis=1)
        return np.stack([_beaten(-deleted), _beaten(inserted), none], axis=1)

    return masked("removal", ground, np.concatenate(parts), background, reduce)


def _beaten(areas: np.ndarray) -> np.ndarray:
    """Share of the others [E, 1:] that the first is above, ties by half."""
    first, others = areas[:, :1], areas[:, 1:]
    return np.asarray(((first > others) + 0.5 * (first == others)).mean(axis=1))


def complete(own: np.ndarray, whole: float, none: float) -> float:
    """How far the sum of a map [S] is from what the record says more than nothing does, in shares of the latter."""
    adds = whole - none
    return float(abs(own.sum() - adds) / max(abs(adds), TINY))


def sparse(own: np.ndarray) -> dict[str, float]:
    """Gini index and relative entropy of a map [S]."""
    return {"gini": float(gini(own)), "entropy": float(entropy(own))}


def stability(
    own: np.ndarray, others: np.ndarray, moved: np.ndarray, before: float, after: np.ndarray,
    hidden: np.ndarray | None = None,
) -> dict[str, float]:  # fmt: skip
    """What changes do to a map [S]: others [K, S] of changes of relative size moved [K], answered `after` [K].

    hidden [K]: relative changes of the last hidden layer; None: of a model in which none can be seen. max_sensitivity:
    largest relative change of the map. input_stability, output_stability and representation_stability (RIS, ROS, RRS):
    largest of it over that of the input, of the answer, and of the hidden layer. follows: rank correlation of how far
    answer and map move over the changes (prediction-saliency correlation); NaN where either never moves.
    """
    from scipy.stats import spearmanr

    far = np.linalg.norm(others - own, axis=1) / max(float(np.linalg.norm(own)), TINY)
    answer = np.abs(after - before)
    turned = 1 - mass_overlap(np.broadcast_to(own, others.shape), others)
    moving = np.ptp(answer) > 0 and np.ptp(turned) > 0
    return {
        "max_sensitivity": float(far.max()),
        "input_stability": float((far / np.maximum(moved, LEAST)).max()),
        "output_stability": float((far / np.maximum(answer / max(abs(before), TINY), LEAST)).max()),
        "representation_stability": (
            float("nan") if hidden is None else float((far / np.maximum(hidden, LEAST)).max())
        ),
        "follows": float(spearmanr(answer, turned).statistic) if moving else float("nan"),
    }
