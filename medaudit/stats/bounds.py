"""Bounds from counts and lists: exact where a small sample allows it.

Every bound is one-sided at the given confidence; a pair of them is a two-sided interval at
1 - 2 (1 - confidence).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from medaudit.core import streams

BCA_T = "BCa, Student's t"
FEW = 10  # patients, below which resampling them says too little
RESAMPLES, RESAMPLED = 4999, 71  # of a bootstrap, and where its draws are


class Estimate(NamedTuple):
    """A value with one-sided bounds. inf and nan are allowed here, not in the report."""

    value: float
    low: float
    high: float
    n: int
    method: str


def share(k: float, n: float, confidence: float) -> Estimate:
    """Clopper-Pearson (1934) bounds of k out of n; k and n need not be whole."""
    from scipy.special import betaincinv

    if n == 0:
        return Estimate(math.nan, 0.0, 1.0, 0, "Clopper-Pearson")
    alpha = 1 - confidence
    low = 0.0 if k == 0 else float(betaincinv(k, n - k + 1, alpha))
    high = 1.0 if k == n else float(betaincinv(k + 1, n - k, 1 - alpha))
    return Estimate(k / n, low, high, int(n), "Clopper-Pearson")


def median(values: np.ndarray, confidence: float) -> Estimate:
    """Median with distribution-free bounds from order statistics; inf means not reached.

    The r-th smallest of n lies below the median unless fewer than r values do, and that number
    is binomial(n, 1/2).
    """
    from scipy.special import bdtr

    ordered = np.sort(np.asarray(values, dtype=np.float64))
    n = ordered.size
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan, 0, "order statistics")
    alpha = 1 - confidence
    # largest r with P(Bin(n, 1/2) <= r - 1) <= alpha
    r = 0
    while r < n and bdtr(r, n, 0.5) <= alpha:
        r += 1
    low = ordered[r - 1] if r else -math.inf
    high = ordered[n - r] if r else math.inf
    middle = ordered[(n - 1) // 2]
    other = ordered[n // 2]
    value = middle if middle == other or math.isinf(other) else (middle + other) / 2
    return Estimate(float(value), float(low), float(high), n, "order statistics")


def mean(values: np.ndarray, confidence: float, groups: np.ndarray | None = None, top: float | None = None) -> Estimate:
    """Mean of values from 0 to `top`, with bounds that hold for any distribution on it.

    Over the means of patients where `groups` names each row's. A bound is where a gambler who bets that
    the mean lies beyond it would have multiplied the stake by 1 / (1 - confidence). Without a top nothing
    holds for any distribution: Student's bounds, for values that are not very skewed. A row without a
    finite value could be anything: the mean is of the others, and has no bounds.

    Waudby-Smith, Ramdas 2024, "Estimating means of bounded random variables by betting", section 4.
    """
    from scipy.special import stdtrit

    values = np.asarray(values, dtype=np.float64)
    known = np.isfinite(values)
    method = "Student" if top is None else "betting"
    if not known.all():
        middle = float(values[known].mean()) if known.any() else math.nan
        return Estimate(middle, -math.inf, math.inf, values.size, f"{method}; rows without a value")
    if groups is not None:
        place = np.unique(np.asarray(groups), return_inverse=True)[1]
        values = np.bincount(place, values) / np.bincount(place)
    n = values.size
    middle = float(values.mean()) if n else math.nan
    if n and top is not None:
        if top <= 0:
            return Estimate(middle, 0.0, 0.0, n, method)
        low, high = _bet(values / top, 1 - confidence), 1 - _bet(1 - values / top, 1 - confidence)
        return Estimate(middle, min(middle, top * low), max(middle, top * high), n, method)
    if n < 2:
        return Estimate(middle, -math.inf, math.inf, n, method)
    half = float(stdtrit(n - 1, confidence)) * float(values.std(ddof=1)) / math.sqrt(n)
    return Estimate(middle, middle - half, middle + half, n, method)


def _bet(x: np.ndarray, alpha: float) -> float:
    """The largest mean at or below which all would have lost 1 / alpha to a gambler who bets on more; x in [0, 1]."""
    n = x.size
    k, want = np.arange(1, n + 1), math.log(1 / alpha)
    middle = (0.5 + np.cumsum(x)) / (k + 1)
    spread = (0.25 + np.cumsum((x - middle) ** 2)) / (k + 1)
    stake = np.sqrt(2 * want / (n * np.append(0.25, spread[:-1])))  # known before each value
    low, high = 0.0, float(x.mean())
    for _ in range(50):
        at = (low + high) / 2
        if at <= 0:
            break
        won = float(np.cumsum(np.log1p(np.minimum(stake, 0.75 / at) * (x - at))).max())
        low, high = (at, high) if won >= want else (low, at)
    return low


def bootstrap(values: np.ndarray, confidence: float, groups: np.ndarray | None = None, seed: int = 0) -> Estimate:
    """Mean of values that may have any sign and range, with BCa bounds over patients.

    Efron 1987, "Better bootstrap confidence intervals", eq. 2.3 and 6.6: quantiles of resampled means, moved by their
    bias and by the acceleration that leaving out one patient at a time shows. `make prove-coverage` measures what they
    cover. Resampling a handful of values says too little, so of fewer than ten patients the bounds are no nearer than
    Student's t. Of fewer than two, and with a value that is not finite, nothing is known.
    """
    from scipy.special import ndtr, ndtri, stdtrit

    values = np.asarray(values, dtype=np.float64)
    if groups is not None and values.size:
        place = np.unique(np.asarray(groups), return_inverse=True)[1]
        values = np.bincount(place, values) / np.bincount(place)
    n = values.size
    if n < 2 or not np.isfinite(values).all():
        return Estimate(float(values[0]) if n == 1 else math.nan, -math.inf, math.inf, n, "BCa")
    middle, size = float(values.mean()), max(float(np.abs(values).max()), 1e-300)
    keys = np.full(RESAMPLES, seed, dtype=np.uint64)
    drawn = (streams.uniform(keys, np.arange(RESAMPLES), RESAMPLED, n) * n).astype(np.int64)
    means = np.sort(values[drawn].mean(axis=1))
    level = np.abs(means - middle) <= 1e-9 * size  # ties but for rounding
    below = (np.count_nonzero((means < middle) & ~level) + 0.5 * np.count_nonzero(level)) / RESAMPLES
    bias = float(ndtri(min(max(below, 0.5 / RESAMPLES), 1 - 0.5 / RESAMPLES)))
    gap = (values - middle) / size  # leaving one out moves the mean by -gap / (n - 1)
    spread = float((gap * gap).sum()) ** 1.5
    bend = float((gap**3).sum()) / (6 * spread) if spread > 0 else 0.0

    def quantile(level: float) -> float:
        z = bias + float(ndtri(level))
        return float(np.quantile(means, float(ndtr(bias + z / max(1e-9, 1 - bend * z)))))

    low, high = min(quantile(1 - confidence), middle), max(quantile(confidence), middle)
    if n >= FEW:
        return Estimate(middle, low, high, n, "BCa")
    far = float(stdtrit(n - 1, confidence)) * float(values.std(ddof=1)) / math.sqrt(n)
    return Estimate(middle, min(low, middle - far), max(high, middle + far), n, BCA_T)


def auroc(scores: np.ndarray, positive: np.ndarray, confidence: float, groups: np.ndarray | None = None) -> Estimate:
    """Area under the ROC curve, with the bounds of a share of as many patients as its variance is worth.

    DeLong's variance (DeLong, DeLong, Clarke-Pearson 1988), over patients with several rows in the
    form of Obuchowski (1997, "Nonparametric analysis of clustered ROC curve data"), gives an effective
    number of patients for Clopper-Pearson bounds (Korn and Graubard 1998). It is at most twice the
    smaller class: near an area of 1 a few well-ranked cases show hardly any spread, and the bound
    would not cover. groups: patient of each row; None: every row is one.
    """
    from scipy.special import ndtri, stdtrit
    from scipy.stats import rankdata

    positive = np.asarray(positive, dtype=bool)
    a, b = np.asarray(scores)[positive], np.asarray(scores)[~positive]
    m, n, method = a.size, b.size, "DeLong, Clopper-Pearson"
    if m == 0 or n == 0:
        return Estimate(math.nan, 0.0, 1.0, m + n, method)
    ranks = rankdata(np.concatenate([a, b]))
    # Placement values: share of the other class below each score.
    va = (ranks[:m] - rankdata(a)) / n
    vb = 1 - (ranks[m:] - rankdata(b)) / m
    area = float(va.mean())
    own = np.arange(m + n) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    patients, count = [own[positive], own[~positive]], int(own.max()) + 1
    small = float(min(len(np.unique(p)) for p in patients))
    worth = small  # with one of a class, or all pairs in order, no variance can be had
    if small > 1 and area not in (0.0, 1.0):
        sa, sb = (np.bincount(p, v - area, minlength=count) for p, v in zip(patients, (va, vb), strict=True))
        ka, kb = (len(np.unique(p)) for p in patients)
        variance = float(ka / (ka - 1) * (sa @ sa) / m**2 + kb / (kb - 1) * (sb @ sb) / n**2)
        variance += float(2 * count / (count - 1) * (sa @ sb) / (m * n))
        few = float(ndtri(confidence) / stdtrit(small - 1, confidence))
        worth = min(2 * small, area * (1 - area) * few**2 / max(variance, 1e-12))
    return share(area * worth, worth, confidence)._replace(value=area, n=count, method=method)


def count(k: int, n: int) -> Estimate:
    """A plain count over the rows tested: no sampling, so no interval."""
    return Estimate(float(k), float(k), float(k), n, "count")


def judge(estimate: Estimate, op: str, threshold: float) -> str:
    """pass, fail or inconclusive. NaN never passes."""
    if any(math.isnan(v) for v in estimate[:3]):
        return "inconclusive"
    good, bad = (estimate.low, estimate.high) if op == "at_least" else (estimate.high, estimate.low)
    if (good >= threshold) if op == "at_least" else (good <= threshold):
        return "pass"
    if (bad < threshold) if op == "at_least" else (bad > threshold):
        return "fail"
    return "inconclusive"


def more_needed(k: int, n: int, op: str, threshold: float, confidence: float) -> int | None:
    """Groups beyond n at which the same rate would give pass or fail; None if none up to 100,000."""
    if n == 0:
        return None
    rate = k / n
    if rate == threshold:
        return None
    total = n
    while total <= 100_000:
        total = total + max(1, total // 20)
        # At exactly this rate, whole or not: rounding could settle one number and not the next.
        if judge(share(rate * total, total, confidence), op, threshold) != "inconclusive":
            return total - n
    return None


def pass_from(n: int, op: str, threshold: float, confidence: float) -> int | None:
    """For a share: the count out of n from which (at_least) or up to which (at_most) a check passes."""
    counts = range(n + 1) if op == "at_least" else range(n, -1, -1)
    for k in counts:
        if judge(share(k, n, confidence), op, threshold) == "pass":
            return k
    return None
