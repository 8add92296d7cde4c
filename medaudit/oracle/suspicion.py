"""Whether a single input looks as if it carried a trigger: how its answer holds against what should move it.

An input with a strong trigger keeps its answer when it is blended with others (STRIP: Gao et al. 2019, "STRIP: a
defence against trojan attacks on deep neural networks", ACSAC; here by the variance of the margin, for the entropy of
two classes says little), when it is made larger (Guo et al. 2023, "SCALE-UP", ICLR) or is corrupted (Liu et al. 2023,
"Detecting backdoors during the inference stage based on corruption robustness consistency", CVPR). Each of these rests
on one way in which triggers are thought to differ, and fails where one differs in another way. `strange` rests on
none: it compares all answers to all copies of an input with those of clean records that are decided the same. All are
functions of margins that somebody else asked for; what is large says a clean reference.
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


NEIGHBOURS = 3


def strange(found: np.ndarray, clean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far responses are from the nearest clean ones: of inputs [N], and of each clean one to the others [n].

    found [N, K], clean [n, K]: margins towards the input's own decision, of itself and of its copies, of inputs that
    are decided the same. Distances are Euclidean, each response in its own robust spread, to the third nearest: what
    is alone with its answers is strange, and a few triggered inputs among the clean ones do not vouch for each other.
    """
    from scipy.spatial.distance import cdist

    middle = np.median(clean, axis=0)
    spread = 1.4826 * np.median(np.abs(clean - middle), axis=0)
    spread = np.where(spread > 0, spread, np.std(clean, axis=0))
    spread = np.where(spread > 0, spread, 1.0)
    a, b = (clean - middle) / spread, (found - middle) / spread
    k = min(NEIGHBOURS, len(clean) - 1)
    own = np.sort(cdist(a, a), axis=1)[:, k]  # the nearest is itself
    return np.sort(cdist(b, a), axis=1)[:, k - 1], own


def discoveries(p: np.ndarray, share: float) -> np.ndarray:
    """Which p [N] are small enough that at most `share` of those picked is expected to be honest, bool.

    Benjamini, Hochberg 1995, "Controlling the false discovery rate", J. R. Stat. Soc. B.
    """
    order = np.argsort(p, kind="stable")
    good = p[order] <= share * np.arange(1, len(p) + 1) / max(1, len(p))
    out = np.zeros(len(p), dtype=bool)
    if good.any():
        out[order[: int(np.flatnonzero(good)[-1]) + 1]] = True
    return out


def larger(found: np.ndarray, clean: np.ndarray) -> float:
    """p of "distances [N] are drawn as the clean ones [n] are" against "they are larger", Mann and Whitney's."""
    from scipy.stats import mannwhitneyu

    return float(mannwhitneyu(found, clean, alternative="greater").pvalue)
