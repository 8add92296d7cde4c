"""Whether a single input looks as if it carried a trigger: how its answer holds against what should move it.

An input with a strong trigger keeps its answer when it is blended with others (STRIP: Gao et al. 2019, "STRIP: a
defence against trojan attacks on deep neural networks", ACSAC; here by the variance of the margin, for the entropy of
two classes says little), when it is made larger (Guo et al. 2023, "SCALE-UP", ICLR) or is corrupted (Liu et al. 2023,
"Detecting backdoors during the inference stage based on corruption robustness consistency", CVPR). All are functions
of margins that somebody else asked for; larger is more suspicious, and what is large says a clean reference.
"""

from __future__ import annotations

import numpy as np


def held_in_blends(margin: np.ndarray) -> np.ndarray:
    """Less the deviation of the margin over blends, [N]. margin: [N, blends], towards the input's own decision."""
    return np.asarray(-np.std(margin, axis=1))


def kept_under(decided: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Share of changed copies that keep the input's decision, [N]. decided: [N, copies], own: [N].

    For gains this is the scaled prediction consistency of SCALE-UP.
    """
    return np.asarray((decided == own[:, None]).mean(axis=1))


def uneven(mildest: np.ndarray) -> np.ndarray:
    """Deviation of the mildest severity that turns an input, over kinds of corruption, [N].

    A trigger's answer falls early under what spoils the trigger and late under all else (TeCo). mildest: [N, kinds],
    one above the most severe where nothing turned it.
    """
    return np.asarray(np.std(mildest.astype(np.float64), axis=1))


def odd_absence(missing: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """How unlikely what is missing is, [N]: surprise in nats of each place by itself, above the reference's mean.

    missing: [N, D] bool; reference: [n, D] bool. A place's share of missing is (count + 1/2) / (n + 1).
    """
    share = (reference.sum(axis=0) + 0.5) / (len(reference) + 1)
    surprise = -np.where(missing, np.log(share), np.log1p(-share)).sum(axis=1)
    usual = -(share * np.log(share) + (1 - share) * np.log1p(-share)).sum()
    return np.asarray(surprise - usual)
