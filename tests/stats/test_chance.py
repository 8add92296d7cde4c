"""The exchange test: exact values by enumeration, what it rejects, and what cannot move it."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medaudit.stats import chance

record = st.lists(st.integers(-20, 20).map(lambda v: v / 10), min_size=2, max_size=6).map(np.array)
# Tenths: equal sums that round otherwise are still equal.
records = st.lists(record, min_size=1, max_size=6)


def split(rows: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """The first of each row as what was found, the others as its random values."""
    return np.array([row[0] for row in rows]), [row[1:] for row in rows]


def enumerated(found: np.ndarray, others: list[np.ndarray]) -> float:
    """Share of all choices of one value a record whose summed excess over the rest is no smaller."""
    each = []
    for own, drawn in zip(found, others, strict=True):
        every = [float(own), *drawn.tolist()]
        each.append([v - (sum(every) - v) / (len(every) - 1) for v in every])
    sums = [sum(choice) for choice in product(*each)]
    return float(np.mean([s >= sums[0] - 1e-9 for s in sums]))


@pytest.mark.parametrize(
    ("found", "others", "p"),
    [
        ([3.0], [[0.0, 1.0, 2.0]], 1 / 4),
        ([1.5], [[0.0, 1.0, 2.0]], 2 / 4),
        ([-1.0], [[0.0, 1.0, 2.0]], 1),
        ([2.0], [[2.0, 2.0, 0.0]], 3 / 4),  # ties count against it
        ([3.0, 3.0], [[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]], 1 / 16),
        ([3.0, 0.0], [[0.0, 1.0, 2.0], [3.0, 1.0, 2.0]], 10 / 16),
        ([0.4, 0.4], [[0.5, 0.5, 0.3], [0.3, 0.5, 0.3]], 11 / 16),  # 5 of them equal but for rounding
        ([9.0, 1.0], [[0.0], [0.0, 0.0, 0.0]], 1 / 8),  # 9 and 1, of 2 and 4 values
        ([9.0, 0.0], [[0.0], [1.0, 1.0, 1.0]], 4 / 8),
    ],
)
def test_the_share_of_choices_as_far_by_hand(found: list[float], others: list[list[float]], p: float) -> None:
    """Counted out, within what 4999 draws leave open."""
    rows = [np.array(drawn) for drawn in others]
    assert chance.exchanged(np.array(found), rows) == pytest.approx(p, abs=0.025)


@given(rows=records, seed=st.integers(0, 2**64 - 1))
def test_the_share_of_choices_as_far(rows: list[np.ndarray], seed: int) -> None:
    """The draws against all choices, records of unequal numbers of values together."""
    found, others = split(rows)
    assert chance.exchanged(found, others, seed) == pytest.approx(enumerated(found, others), abs=0.035)


def test_one_more_random_value_is_seldom_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    """p is about uniform where what was found is one more random value."""
    monkeypatch.setattr(chance, "DRAWS", 499)
    rng = np.random.default_rng(8)
    p = []
    for seed in range(300):
        level = rng.normal(0, 3, (20, 1))  # records differ among themselves
        rows = level + rng.exponential(1, (20, 17))
        p.append(chance.exchanged(*split(list(rows)), seed=seed))
    assert np.mean(np.array(p) <= 0.05) <= 0.09
    assert 0.4 <= np.mean(np.array(p) <= 0.5) <= 0.6
    assert np.mean(np.array(p) <= 0.25) >= 0.16


def test_a_small_gain_in_every_record_shows() -> None:
    """Half a spread in each of 40 records is seen, though no single one stands out."""
    rng = np.random.default_rng(3)
    rows = rng.normal(0, 1, (40, 1)) * 10 + rng.normal(0, 1, (40, 9))
    found, others = rows[:, 0] + 0.8, list(rows[:, 1:])
    assert chance.exchanged(found, others) < 0.01
    assert min(chance.exchanged(found[i : i + 1], others[i : i + 1]) for i in range(40)) > 0.08


@pytest.mark.parametrize("draws", [99, 499, 4999])
def test_p_is_never_zero(draws: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Far above chance it is the least that so many draws can show; far below it is 1."""
    monkeypatch.setattr(chance, "DRAWS", draws)
    rng = np.random.default_rng(1)
    others = list(rng.normal(0, 1, (12, 16)))
    assert chance.exchanged(np.full(12, 100.0), others) == 1 / (draws + 1)
    assert chance.exchanged(np.full(12, -100.0), others) == 1


@given(rows=records, seed=st.integers(0, 2**64 - 1))
def test_p_is_a_share_of_the_draws(rows: list[np.ndarray], seed: int) -> None:
    """A whole number of them from 1 on, and to the last bit the same again."""
    found, others = split(rows)
    p = chance.exchanged(found, others, seed)
    assert 1 / (chance.DRAWS + 1) <= p <= 1
    assert p * (chance.DRAWS + 1) == pytest.approx(round(p * (chance.DRAWS + 1)))
    assert chance.exchanged(found.copy(), others, seed) == p


def test_another_seed_hardly_moves_it() -> None:
    """Other draws, nearly the same p."""
    rng = np.random.default_rng(5)
    found, others = rng.normal(0.3, 1, 15), list(rng.normal(0, 1, (15, 8)))
    p = [chance.exchanged(found, others, seed) for seed in range(6)]
    assert len(set(p)) > 1
    assert np.ptp(p) < 0.04
    assert 0.02 < p[0] < 0.98


@given(rows=records, plus=st.integers(-5, 5), by=st.sampled_from([1e-3, 0.5, 1e4]))
def test_levels_and_units_do_not_count(rows: list[np.ndarray], plus: int, by: float) -> None:
    """Each record is held against its own random values."""
    found, others = split(rows)
    moved, shifted = split([by * (row + plus * i) for i, row in enumerate(rows)])
    assert chance.exchanged(moved, shifted) == pytest.approx(chance.exchanged(found, others), abs=2e-3)


@given(rows=records, which=st.integers(0, 5), gain=st.integers(1, 9))
def test_finding_more_never_counts_less(rows: list[np.ndarray], which: int, gain: int) -> None:
    """A larger value in one record cannot make p larger."""
    found, others = split(rows)
    better = found.copy()
    better[which % len(found)] += gain
    assert chance.exchanged(better, others) <= chance.exchanged(found, others)


def test_one_random_value_a_record() -> None:
    """A test of signs: ten of ten on the right side are 1 in 1024."""
    others = [np.array([float(i)]) for i in range(10)]
    found = np.arange(10.0)
    assert chance.exchanged(found + 1, others) < 0.006
    assert chance.exchanged(found - 1, others) == 1
    assert chance.exchanged(found, others) == 1
    sides = found + np.where(np.arange(10) < 8, 1, -1)
    assert chance.exchanged(sides, others) == pytest.approx(56 / 1024, abs=0.015)


def test_nothing_found_is_no_proof() -> None:
    """No records, or none with anything random to compare."""
    assert chance.exchanged(np.array([]), []) == 1
    assert chance.exchanged(np.array([5.0, 7.0]), [np.array([]), np.array([])]) == 1


def test_every_record_has_its_random_values() -> None:
    """A list that does not match is refused."""
    with pytest.raises(ValueError, match="zip"):
        chance.exchanged(np.array([1.0, 2.0]), [np.array([0.0])])
