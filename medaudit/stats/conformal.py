"""How unusual a score is among reference scores, whatever their distribution.

Vovk, Gammerman, Shafer 2005, "Algorithmic Learning in a Random World", chapter 2: among n reference scores that are
exchangeable with a new one, p = (1 + number of them at least as large) / (1 + n) is at most a with probability at
most a. No p is below 1 / (n + 1): four references can never say more than 0.2.
"""

from __future__ import annotations

import numpy as np


def p_values(scores: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """p of each score [..., ] among the reference [n]; large scores are unusual. A score that is NaN gets 1.

    Raises ValueError where a reference score is NaN.
    """
    if np.isnan(reference).any():
        raise ValueError("a reference score is not a number")
    order = np.sort(reference)
    above = len(order) - np.searchsorted(order, scores, side="left")
    return np.asarray(np.where(np.isnan(scores), 1.0, (1 + above) / (1 + len(order))))


def least_p(reference: int) -> float:
    """The smallest p that so many references can give."""
    return 1 / (1 + reference)


def bonferroni(p: np.ndarray) -> float:
    """One p for "some of these is unusual", whatever hangs on what."""
    return float(min(1.0, p.size * float(np.min(p)))) if p.size else 1.0
