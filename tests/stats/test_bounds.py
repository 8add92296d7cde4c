"""Bounds: exact values against scipy, published tables, and measured coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from medaudit.stats import bounds
from medaudit.stats.bounds import Estimate, judge

counts = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
levels = st.sampled_from([0.8, 0.9, 0.95, 0.99])


@given(pair=counts, confidence=levels)
def test_share_is_clopper_pearson(pair: tuple[int, int], confidence: float) -> None:
    """Each one-sided bound is the end of the two-sided exact interval of twice the error."""
    k, n = pair
    found = bounds.share(k, n, confidence)
    two_sided = stats.binomtest(k, n).proportion_ci(2 * confidence - 1, method="exact")
    assert found.value == k / n
    assert found.low == pytest.approx(two_sided.low, abs=1e-9)
    assert found.high == pytest.approx(two_sided.high, abs=1e-9)
    assert 0 <= found.low <= found.value <= found.high <= 1


@given(pair=counts, confidence=levels)
def test_share_is_the_beta_quantile(pair: tuple[int, int], confidence: float) -> None:
    """The textbook form."""
    k, n = pair
    found = bounds.share(k, n, confidence)
    if k:
        assert found.low == pytest.approx(stats.beta.ppf(1 - confidence, k, n - k + 1), abs=1e-9)
    if k < n:
        assert found.high == pytest.approx(stats.beta.ppf(confidence, k + 1, n - k), abs=1e-9)


@pytest.mark.parametrize("n", [1, 5, 20, 60])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_share_covers(n: int, confidence: float) -> None:
    """Summed over all outcomes, each bound is on the right side at least as often as it says."""
    estimates = [bounds.share(k, n, confidence) for k in range(n + 1)]
    for p in np.linspace(0.005, 0.995, 100):
        chance = stats.binom.pmf(np.arange(n + 1), n, p)
        below = sum(c for c, e in zip(chance, estimates, strict=True) if e.low <= p)
        above = sum(c for c, e in zip(chance, estimates, strict=True) if e.high >= p)
        assert below >= confidence - 1e-9
        assert above >= confidence - 1e-9


def test_share_of_nothing() -> None:
    """No groups: nothing is known, and nothing passes."""
    found = bounds.share(0, 0, 0.95)
    assert math.isnan(found.value)
    assert (found.low, found.high) == (0, 1)
    assert judge(found, "at_least", 0.0) == "inconclusive"


# style.md, section 4.3: at 95 %, pass from and fail up to, of n groups, by threshold.
TABLE = [
    (50, 0.8, 45, 34),
    (50, 0.9, 49, 40),
    (100, 0.8, 87, 72),
    (100, 0.9, 96, 84),
    (200, 0.8, 170, 150),
    (200, 0.9, 188, 172),
    (400, 0.8, 334, 306),
    (400, 0.9, 371, 349),
    (1000, 0.8, 822, 778),
    (1000, 0.9, 916, 883),
]


@pytest.mark.parametrize(("n", "threshold", "pass_from", "fail_to"), TABLE)
def test_the_published_table(n: int, threshold: float, pass_from: int, fail_to: int) -> None:
    """Counts from which a share passes, and up to which it fails."""

    def verdict(k: int) -> str:
        return judge(bounds.share(k, n, 0.95), "at_least", threshold)

    assert bounds.pass_from(n, "at_least", threshold, 0.95) == pass_from
    assert verdict(pass_from) == "pass"
    assert verdict(pass_from - 1) == "inconclusive"
    assert verdict(fail_to) == "fail"
    assert verdict(fail_to + 1) == "inconclusive"


@given(n=st.integers(0, 120), threshold=st.sampled_from([0.0, 0.05, 0.5, 0.8, 0.99, 1.0]))
def test_pass_from_is_where_judging_turns(n: int, threshold: float) -> None:
    """The first count that passes, from the good end; None where even that end does not."""
    for op, good in (("at_least", n), ("at_most", 0)):
        found = bounds.pass_from(n, op, threshold, 0.95)
        passes = [k for k in range(n + 1) if judge(bounds.share(k, n, 0.95), op, threshold) == "pass"]
        if not passes:
            assert found is None
            continue
        assert found == (min(passes) if op == "at_least" else max(passes))
        assert good in passes


def test_few_groups_cannot_pass() -> None:
    """Below 29 groups not even a perfect score shows 90 % at 95 % confidence."""
    assert bounds.pass_from(28, "at_least", 0.9, 0.95) is None
    assert bounds.pass_from(29, "at_least", 0.9, 0.95) == 29


@given(pair=counts, threshold=st.sampled_from([0.5, 0.8, 0.9]))
def test_more_needed_settles_it(pair: tuple[int, int], threshold: float) -> None:
    """With so many more groups at the same rate, the verdict is settled."""
    k, n = pair
    more = bounds.more_needed(k, n, "at_least", threshold, 0.95)
    if more is None:
        assert abs(k / n - threshold) < 0.01
        return
    total = n + more
    assert more > 0
    same = bounds.share(k / n * total, total, 0.95)
    assert judge(same, "at_least", threshold) != "inconclusive"


def test_more_needed_of_nothing() -> None:
    """Nothing is known of the rate, or it is exactly the threshold."""
    assert bounds.more_needed(0, 0, "at_least", 0.8, 0.95) is None
    assert bounds.more_needed(8, 10, "at_least", 0.8, 0.95) is None


@pytest.mark.parametrize("n", [1, 2, 5, 8, 25, 60])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_median_covers(n: int, confidence: float) -> None:
    """Simulated: each bound is on the right side at least as often as it says."""
    rng = np.random.default_rng(n)
    for draw, middle in (
        (rng.normal(0, 1, (3000, n)), 0.0),
        (rng.exponential(1, (3000, n)), math.log(2)),
        (np.floor(rng.uniform(0, 5, (3000, n))), 2.0),  # with ties
    ):
        found = [bounds.median(row, confidence) for row in draw]
        noise = 3 * math.sqrt(confidence * (1 - confidence) / 3000)
        assert np.mean([e.low <= middle for e in found]) >= confidence - noise
        assert np.mean([e.high >= middle for e in found]) >= confidence - noise


def test_median_bounds_are_order_statistics() -> None:
    """Conover's table: of 20 values at 95 % one-sided, the 6th and the 15th."""
    found = bounds.median(np.arange(1, 21), 0.95)
    assert (found.low, found.value, found.high) == (6, 10.5, 15)
    assert bounds.median(np.arange(1, 6), 0.95)[:3] == (3, 1, 5)


@given(
    values=st.lists(st.floats(0, 10) | st.just(math.inf), min_size=1, max_size=40),
    confidence=levels,
)
def test_median_with_infinities(values: list[float], confidence: float) -> None:
    """ "Not reached" is infinity: it sorts last, and never turns into NaN."""
    found = bounds.median(np.array(values), confidence)
    assert not any(math.isnan(v) for v in found[:3])
    assert found.low <= found.value <= found.high
    assert found.n == len(values)
    ordered = sorted(values)
    assert ordered[(len(values) - 1) // 2] <= found.value <= ordered[len(values) // 2]


def test_median_of_few() -> None:
    """Too few values to bound anything: infinite bounds, no verdict."""
    found = bounds.median(np.array([1.0, 2.0, 3.0]), 0.95)
    assert (found.low, found.value, found.high) == (-math.inf, 2, math.inf)
    assert judge(found, "at_least", 0.5) == "inconclusive"
    empty = bounds.median(np.array([]), 0.95)
    assert judge(empty, "at_least", 0.5) == "inconclusive"


@pytest.mark.parametrize("n", [3, 10, 40])
def test_mean_covers(n: int) -> None:
    """Student's bounds on normal data, simulated, and against scipy."""
    draws = np.random.default_rng(n).normal(3, 2, (4000, n))
    found = [bounds.mean(row, 0.95) for row in draws]
    noise = 3 * math.sqrt(0.95 * 0.05 / 4000)
    assert np.mean([e.low <= 3 for e in found]) >= 0.95 - noise
    assert np.mean([e.high >= 3 for e in found]) >= 0.95 - noise
    low, high = stats.t.interval(0.9, n - 1, draws[0].mean(), stats.sem(draws[0]))
    assert found[0].low == pytest.approx(low)
    assert found[0].high == pytest.approx(high)


@pytest.mark.parametrize("n", [5, 10, 60])
@pytest.mark.parametrize("skew", ["dice", "errors", "coins"])
def test_mean_of_bounded_values_covers(skew: str, n: int) -> None:
    """Any distribution between 0 and the top, however skewed; Student's bounds miss up to a third here."""
    rng = np.random.default_rng([n, len(skew)])
    draw, truth, top = {
        "dice": (lambda: rng.beta(18, 2, n) * (rng.random(n) > 0.05), 0.855, 1.0),
        "errors": (lambda: 8.0 * (rng.random(n) < 0.05), 0.4, 8.0),
        "coins": (lambda: 1.0 * (rng.random(n) < 0.9), 0.9, 1.0),
    }[skew]
    found = [bounds.mean(draw(), 0.95, top=top) for _ in range(1500)]
    noise = 3 * math.sqrt(0.95 * 0.05 / 1500)
    assert np.mean([e.low <= truth for e in found]) >= 0.95 - noise
    assert np.mean([e.high >= truth for e in found]) >= 0.95 - noise
    assert all(0 <= e.low <= e.value <= e.high <= top for e in found)


def test_mean_of_bounded_values_is_sharp() -> None:
    """With 400 patients the bounds are near; with one they still bound; at the ends they stay inside."""
    values = np.random.default_rng(0).beta(18, 2, 400)
    found = bounds.mean(values, 0.95, top=1.0)
    assert found.value - found.low < 0.02
    assert found.high - found.value < 0.02
    scaled = bounds.mean(10 * values, 0.95, top=10.0)
    assert scaled[:3] == pytest.approx([10 * v for v in found[:3]])
    one = bounds.mean(np.array([0.5]), 0.95, top=1.0)
    assert one.low < 0.1
    assert one.high > 0.9
    assert bounds.mean(np.ones(50), 0.95, top=1.0).high == 1
    assert bounds.mean(np.zeros(50), 0.95, top=1.0).low == 0
    assert bounds.mean(np.zeros(3), 0.95, top=0.0)[:3] == (0, 0, 0)


def test_mean_of_few() -> None:
    """One value, or none, bounds nothing."""
    one = bounds.mean(np.array([2.0]), 0.95)
    assert (one.low, one.value, one.high) == (-math.inf, 2, math.inf)
    assert judge(one, "at_most", 5) == "inconclusive"
    assert judge(bounds.mean(np.array([]), 0.95), "at_most", 5) == "inconclusive"


def brute_auroc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Share of pairs in the right order, ties half."""
    a, b = scores[positive], scores[~positive]
    pairs = (a[:, None] > b[None, :]) + 0.5 * (a[:, None] == b[None, :])
    return float(pairs.mean())


@given(seed=st.integers(0, 10**6), m=st.integers(2, 40), n=st.integers(2, 40), ties=st.booleans())
def test_auroc(seed: int, m: int, n: int, ties: bool) -> None:
    """The area against brute force over all pairs, with ties; it lies between its bounds."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 1, m + n)
    positive = np.arange(m + n) < m
    scores[positive] += 0.7
    if ties:
        scores = np.rint(2 * scores)
    order = rng.permutation(m + n)
    found = bounds.auroc(scores[order], positive[order], 0.95)
    assert found.value == pytest.approx(brute_auroc(scores, positive))
    assert 0 <= found.low <= found.value <= found.high <= 1
    flipped = bounds.auroc(-scores[order], positive[order], 0.95)
    assert flipped.value == pytest.approx(1 - found.value)
    assert flipped.low == pytest.approx(1 - found.high)
    looser = bounds.auroc(scores[order], positive[order], 0.8)
    assert looser.low >= found.low


@pytest.mark.parametrize(
    ("shift", "m", "n"), [(1.0, 20, 20), (2.0, 50, 50), (2.0, 10, 300), (1.0, 3, 50), (3.0, 30, 300), (0.0, 8, 100)]
)
def test_auroc_covers(shift: float, m: int, n: int) -> None:
    """Simulated on normal scores: each bound is on the right side about as often as it says."""
    rng = np.random.default_rng(5)
    positive = np.arange(m + n) < m
    truth = float(stats.norm.cdf(shift / math.sqrt(2)))
    draws = rng.normal(0, 1, (1500, m + n)) + shift * positive
    found = [bounds.auroc(scores, positive, 0.95) for scores in draws]
    assert np.mean([e.high >= truth for e in found]) > 0.93
    assert np.mean([e.low <= truth for e in found]) > 0.93


def test_copies_of_a_patient_prove_nothing_more() -> None:
    """Twenty near-equal rows of each patient give the bounds of the patients, not of the rows."""
    rng = np.random.default_rng(3)
    positive = np.arange(24) < 12
    scores = rng.normal(0, 1, 24) + positive
    groups = np.repeat(np.arange(24), 20)
    many = bounds.auroc(np.repeat(scores, 20), np.repeat(positive, 20), 0.95, groups)
    once = bounds.auroc(scores, positive, 0.95)
    assert (many.n, once.n) == (24, 24)
    assert many.value == pytest.approx(once.value)
    assert many.low == pytest.approx(once.low, abs=0.01)
    alone = bounds.auroc(scores, positive, 0.95, np.arange(24))
    assert alone == once
    values = rng.normal(0, 1, 24)
    assert bounds.mean(np.repeat(values, 20), 0.95, groups).low == pytest.approx(bounds.mean(values, 0.95).low)


def test_a_mean_with_unknown_values_has_no_bounds() -> None:
    """What was not answered could be anything."""
    found = bounds.mean(np.array([0.1, 0.2, np.nan, 0.3]), 0.95)
    assert found.value == pytest.approx(0.2)
    assert judge(found, "at_most", 5) == "inconclusive"


@pytest.mark.parametrize("size", [2, 5, 20])
def test_auroc_of_perfect_separation_stays_open(size: int) -> None:
    """Two patients told apart are no proof of an area of 1: the bound must lie below."""
    scores = np.arange(2.0 * size)
    found = bounds.auroc(scores, scores >= size, 0.95)
    assert found.value == 1
    assert found.low < 1


def test_auroc_of_one_class() -> None:
    """Without both classes there is no area, and with one patient of a class hardly a bound."""
    none = bounds.auroc(np.arange(5.0), np.ones(5, dtype=bool), 0.95)
    assert math.isnan(none.value)
    assert judge(none, "at_least", 0.0) == "inconclusive"
    one = bounds.auroc(np.arange(5.0), np.arange(5) == 4, 0.95)
    assert (one.value, one.low, one.high) == (1, pytest.approx(0.05), 1)


NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("value", "low", "high", "op", "threshold", "verdict"),
    [
        (0.9, 0.85, 0.95, "at_least", 0.80, "pass"),
        (0.9, 0.85, 0.95, "at_least", 0.85, "pass"),
        (0.9, 0.85, 0.95, "at_least", 0.86, "inconclusive"),
        (0.9, 0.85, 0.95, "at_least", 0.95, "inconclusive"),
        (0.9, 0.85, 0.95, "at_least", 0.96, "fail"),
        (0.1, 0.05, 0.15, "at_most", 0.20, "pass"),
        (0.1, 0.05, 0.15, "at_most", 0.15, "pass"),
        (0.1, 0.05, 0.15, "at_most", 0.14, "inconclusive"),
        (0.1, 0.05, 0.15, "at_most", 0.05, "inconclusive"),
        (0.1, 0.05, 0.15, "at_most", 0.04, "fail"),
        (NAN, 0.9, 1.0, "at_least", 0.5, "inconclusive"),
        (0.9, NAN, 1.0, "at_least", 0.5, "inconclusive"),
        (0.9, 0.8, NAN, "at_least", 0.5, "inconclusive"),
        (NAN, NAN, NAN, "at_most", 0.5, "inconclusive"),
        (0.9, 0.8, 1.0, "at_least", NAN, "inconclusive"),
        (INF, 3.0, INF, "at_least", 2.0, "pass"),
        (INF, INF, INF, "at_most", 2.0, "fail"),
        (5.0, -INF, INF, "at_least", 2.0, "inconclusive"),
        (0.0, 0.0, 0.0, "at_most", 0.0, "pass"),
        (1.0, 1.0, 1.0, "at_most", 0.0, "fail"),
    ],
)
def test_judge(value: float, low: float, high: float, op: str, threshold: float, verdict: str) -> None:
    """Pass needs the bound on the good side, fail the other on the bad side; NaN never passes."""
    assert judge(Estimate(value, low, high, 10, "test"), op, threshold) == verdict


numbers = st.floats(allow_nan=True, allow_infinity=True)


@given(value=numbers, low=numbers, high=numbers, threshold=numbers)
def test_nan_never_passes(value: float, low: float, high: float, threshold: float) -> None:
    """Whatever else is known."""
    if not any(math.isnan(v) for v in (value, low, high, threshold)):
        return
    for op in ("at_least", "at_most"):
        assert judge(Estimate(value, low, high, 3, "test"), op, threshold) == "inconclusive"


def test_count() -> None:
    """A count of the rows tested has no interval."""
    assert bounds.count(0, 64)[:4] == (0, 0, 0, 64)
    assert judge(bounds.count(0, 64), "at_most", 0) == "pass"
    assert judge(bounds.count(1, 64), "at_most", 0) == "fail"
