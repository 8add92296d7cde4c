"""BCa bounds of a mean: against scipy's, by their properties, and by what they cover."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from medaudit.stats import bounds
from medaudit.stats.bounds import Estimate, judge

DRAWS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "normal": lambda rng, n: rng.normal(1, 2, n),
    "exponential": lambda rng, n: rng.exponential(1, n),
    "lognormal": lambda rng, n: rng.lognormal(0, 1.2, n),
    "left": lambda rng, n: -(rng.gamma(0.5, 2, n)),
}
values_of = st.lists(st.integers(-200, 200).map(lambda v: v / 16), min_size=2, max_size=12).map(np.array)


@pytest.mark.parametrize("n", [10, 30])
@pytest.mark.parametrize("kind", DRAWS)
@pytest.mark.parametrize("confidence", [0.9, 0.975])
def test_the_bounds_are_those_of_scipy(kind: str, n: int, confidence: float) -> None:
    """Each is the end of scipy's two-sided interval, within what resampling leaves open."""
    values = DRAWS[kind](np.random.default_rng([n, 7]), n)
    found = [bounds.bootstrap(values, confidence, seed=seed) for seed in range(8)]
    two_sided = stats.bootstrap(
        (values,),
        np.mean,
        method="BCa",
        confidence_level=2 * confidence - 1,
        n_resamples=20_000,
        rng=np.random.default_rng(1),
    ).confidence_interval
    near = 0.1 * stats.sem(values)
    assert np.mean([e.low for e in found]) == pytest.approx(two_sided.low, abs=near)
    assert np.mean([e.high for e in found]) == pytest.approx(two_sided.high, abs=near)
    assert all(e.value == pytest.approx(values.mean()) for e in found)
    assert {(e.n, e.method) for e in found} == {(n, "BCa")}


@pytest.mark.parametrize("kind", ["lognormal", "left"])
def test_the_bounds_lean_to_the_long_side(kind: str) -> None:
    """Of a skewed sample both bounds lie further out on the tail's side than plain quantiles would."""
    values = DRAWS[kind](np.random.default_rng([30, 7]), 30)
    found = bounds.bootstrap(values, 0.95)
    rng = np.random.default_rng(0)
    plain = np.quantile(values[rng.integers(0, 30, (20_000, 30))].mean(axis=1), [0.05, 0.95])
    tail = 1 if kind == "lognormal" else -1
    assert min(tail * (found.low - plain[0]), tail * (found.high - plain[1])) > 0.1 * stats.sem(values)


def test_a_seed_is_its_bits() -> None:
    """The same seed, the same bounds to the last bit; another one hardly moves them."""
    values = np.random.default_rng(2).normal(0, 1, 25)
    first = bounds.bootstrap(values, 0.95, seed=5)
    assert bounds.bootstrap(values.copy(), 0.95, seed=5) == first
    others = [bounds.bootstrap(values, 0.95, seed=seed) for seed in (0, 6, 2**64 - 1)]
    assert len({e.low for e in [first, *others]}) == 4
    for other in others:
        assert other.value == first.value
        assert (other.low, other.high) == pytest.approx((first.low, first.high), abs=0.2 * stats.sem(values))


def test_rows_of_a_patient_are_averaged_first() -> None:
    """Patients count alike, however many rows they have and in whatever order; copies prove nothing."""
    values = np.array([1.0, 9.0, 2.0, 3.0, 4.0, 6.0])
    groups = np.array(["c", "a", "c", "c", "b", "b"])
    found = bounds.bootstrap(values, 0.95, groups)
    assert found.value == pytest.approx((9 + 5 + 2) / 3)
    assert found.n == 3
    assert found == bounds.bootstrap(np.array([9.0, 5.0, 2.0]), 0.95)
    rng = np.random.default_rng(4)
    patients = rng.normal(0, 1, 16)
    many = bounds.bootstrap(np.repeat(patients, 50), 0.95, np.repeat(np.arange(16), 50))
    once = bounds.bootstrap(patients, 0.95)
    assert many.n == 16
    assert many[:3] == pytest.approx(once[:3])
    assert bounds.bootstrap(patients, 0.95, np.arange(16)) == once
    rows = bounds.bootstrap(np.repeat(patients, 50), 0.95)
    assert rows.high - rows.low < 0.3 * (many.high - many.low)


def test_fewer_than_two_patients_bound_nothing() -> None:
    """None, one, and one with many rows."""
    one = bounds.bootstrap(np.array([2.0]), 0.95)
    assert (one.low, one.value, one.high, one.n) == (-math.inf, 2, math.inf, 1)
    rows = bounds.bootstrap(np.array([1.0, 2.0, 6.0]), 0.95, np.zeros(3))
    assert (rows.low, rows.value, rows.high, rows.n) == (-math.inf, 3, math.inf, 1)
    for none in (bounds.bootstrap(np.array([]), 0.95), bounds.bootstrap(np.array([]), 0.95, np.array([]))):
        assert math.isnan(none.value)
        assert (none.low, none.high, none.n) == (-math.inf, math.inf, 0)
        assert judge(none, "at_least", -1e9) == "inconclusive"


@pytest.mark.parametrize("unknown", [math.nan, math.inf, -math.inf])
def test_an_unknown_value_bounds_nothing(unknown: float) -> None:
    """What was not answered could be anything; a patient with one such row is unknown."""
    values = np.append(np.arange(20.0), unknown)
    for groups in (None, np.arange(21) // 2):
        found = bounds.bootstrap(values, 0.95, groups)
        assert (found.low, found.high) == (-math.inf, math.inf)
        assert judge(found, "at_least", -1e9) == "inconclusive"
        assert not math.isfinite(found.value)


@given(value=st.floats(-1e6, 1e6), n=st.integers(2, 40))
def test_a_constant_is_its_own_bounds(value: float, n: int) -> None:
    """Nothing to resample."""
    found = bounds.bootstrap(np.full(n, value), 0.95)
    assert found[:3] == pytest.approx((value, value, value), rel=1e-12, abs=0)


@given(values=values_of, confidence=st.sampled_from([0.5, 0.8, 0.95, 0.999]), seed=st.integers(0, 2**64 - 1))
def test_the_mean_is_between_its_bounds(values: np.ndarray, confidence: float, seed: int) -> None:
    """And they are between the least and the largest value, but of a handful, which hardly shows how far values go."""
    found = bounds.bootstrap(values, confidence, seed=seed)
    slack = 1e-9
    assert found.low <= found.value <= found.high
    assert values.min() - slack <= found.low or len(values) < bounds.FEW
    assert found.high <= values.max() + slack or len(values) < bounds.FEW
    assert found.value == pytest.approx(values.mean())


@given(values=st.lists(st.floats(-10, 10), min_size=2, max_size=bounds.FEW - 1).map(np.array))
def test_of_a_handful_the_bounds_are_no_nearer_than_students(values: np.ndarray) -> None:
    """Two or four patients cannot be told from a lucky draw by resampling them."""
    found = bounds.bootstrap(values, 0.95)
    near = stats.t.ppf(0.95, len(values) - 1) * stats.sem(values)
    assert found.low <= values.mean() - near + 1e-9
    assert found.high >= values.mean() + near - 1e-9
    assert found.method == bounds.BCA_T


@pytest.mark.parametrize("sign", [1, -1])
def test_the_mean_of_a_skewed_sample_is_between_its_bounds(sign: int) -> None:
    """Even at one half, where both bounds would lie on the tail's side of it."""
    values = sign * np.random.default_rng(1).lognormal(0, 1.2, 12)
    found = bounds.bootstrap(values, 0.5)
    assert found.low <= found.value <= found.high
    assert found.low < found.high


@given(values=values_of)
def test_more_confidence_is_wider(values: np.ndarray) -> None:
    """At the same draws."""
    found = [bounds.bootstrap(values, level) for level in (0.8, 0.95, 0.99)]
    assert found[0].low >= found[1].low >= found[2].low
    assert found[0].high <= found[1].high <= found[2].high


@given(values=values_of, by=st.sampled_from([0.25, 8.0]), plus=st.integers(-64, 64))
def test_the_unit_does_not_matter(values: np.ndarray, by: float, plus: int) -> None:
    """Scaled and moved values have scaled and moved bounds."""
    values = np.append(values, [-13.0, 13.0])  # not all the same
    plain, moved = bounds.bootstrap(values, 0.95), bounds.bootstrap(by * values + plus, 0.95)
    assert moved[:3] == pytest.approx([by * v + plus for v in plain[:3]], abs=1e-6)


def test_a_sample_like_its_mirror_image_has_such_bounds() -> None:
    """Half heads: many resampled means are the mean itself, and count half to either side."""
    found = bounds.bootstrap(np.array([0.0, 1.0] * 10), 0.95)
    assert found.low + found.high == pytest.approx(1, abs=0.02)
    assert found.low == pytest.approx(stats.binom.ppf(0.05, 20, 0.5) / 20, abs=0.02)


def test_turned_values_have_turned_bounds() -> None:
    """The upper bound of a skewed sample is the lower one of its mirror image."""
    values = DRAWS["exponential"](np.random.default_rng(9), 30)
    plain, turned = bounds.bootstrap(values, 0.95), bounds.bootstrap(-values, 0.95)
    assert (-turned.high, -turned.low) == pytest.approx((plain.low, plain.high), rel=1e-6)


@pytest.mark.parametrize(("kind", "truth"), [("normal", 1.0), ("exponential", 1.0)])
def test_the_bounds_cover(kind: str, truth: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated, 30 patients at 95 %: the lower bound lies below the mean about as often, and not always."""
    monkeypatch.setattr(bounds, "RESAMPLES", 999)
    rng = np.random.default_rng(11)
    found = [bounds.bootstrap(DRAWS[kind](rng, 30), 0.95, seed=seed) for seed in range(400)]
    assert 0.9 <= np.mean([e.low <= truth for e in found]) <= 0.99
    assert 0.86 <= np.mean([e.high >= truth for e in found]) <= 0.99


def test_the_bounds_narrow() -> None:
    """Of a normal sample of 400 they are close to Student's."""
    values = np.random.default_rng(6).normal(0, 1, 400)
    found, student = bounds.bootstrap(values, 0.95), bounds.mean(values, 0.95)
    near = 0.15 * stats.sem(values)
    assert isinstance(found, Estimate)
    assert (found.low, found.high) == pytest.approx((student.low, student.high), abs=near)
