"""Conformal p: by hand, and never too small more often than it says."""

from __future__ import annotations

import numpy as np
import pytest

from medaudit.stats.conformal import bonferroni, least_p, p_values


def test_by_hand() -> None:
    got = p_values(np.array([5.0, 2.0, 0.0, np.nan]), np.array([1.0, 2.0, 3.0, 4.0]))
    np.testing.assert_allclose(got, [0.2, 0.8, 1.0, 1.0])
    assert least_p(4) == 0.2
    assert p_values(np.array([np.inf]), np.arange(9.0)) == least_p(9)


@pytest.mark.parametrize("n", [4, 19])
def test_valid_in_finite_samples(n: int) -> None:
    rng = np.random.default_rng(n)
    draws = np.exp(rng.normal(size=(20_000, n + 1)))
    p = np.array([p_values(row[:1], row[1:])[0] for row in draws])
    for level in (0.05, 0.2, 0.5):
        assert (p <= level).mean() <= level + 0.01


def test_a_reference_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not a number"):
        p_values(np.zeros(1), np.array([0.0, np.nan]))


def test_bonferroni() -> None:
    assert bonferroni(np.array([0.01, 0.4, 0.2])) == pytest.approx(0.03)
    assert bonferroni(np.array([0.5, 0.9])) == 1.0
    assert bonferroni(np.zeros(0)) == 1.0
