"""Certificates of randomised smoothing, from counts of answers under noise.

Cohen, Rosenfeld, Kolter 2019, "Certified adversarial robustness via randomized smoothing", ICML: theorem 1,
and the algorithms Predict and Certify of section 3.2.
"""

from __future__ import annotations

import numpy as np

from medaudit.stats.bounds import share


def radius(count: int, draws: int, alpha: float, sigma: float) -> float:
    """Within this L2 distance the smoothed model keeps the answer that `count` of `draws` gave; 0: it abstains.

    The claim is wrong with a probability of at most alpha. The class must have been guessed from other draws.
    """
    from scipy.special import ndtri

    low = share(count, draws, 1 - alpha).low
    return sigma * float(ndtri(low)) if low > 0.5 else 0.0


def largest(draws: int, alpha: float, sigma: float) -> float:
    """The radius where all draws agree: sigma * PhiInv(alpha^(1/n)); no model can be certified beyond it."""
    return radius(draws, draws, alpha, sigma)


def predicted(counts: np.ndarray, alpha: float) -> int:
    """The class that the smoothed model answers, from counts [K]; -1: it abstains.

    The two most frequent classes are compared by a two-sided binomial test at alpha.
    """
    from scipy.special import bdtrc

    first, second = (int(k) for k in np.argsort(-counts, kind="stable")[:2])
    a, b = int(counts[first]), int(counts[second])
    chance = min(1.0, 2 * float(bdtrc(a - 1, a + b, 0.5))) if a > b else 1.0
    return first if chance <= alpha else -1
