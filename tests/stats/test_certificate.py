"""Certificates: the published radius, abstention, and how often a claim is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, binomtest, norm

from medaudit.stats import certificate


def test_the_largest_radius_is_the_published_one() -> None:
    """sigma * PhiInv(alpha^(1/n)), where two published curves end: with 500 draws at 0.001 at 0.5515 and 1.103 for
    0.25 and 0.5, or 2.206 sigma as it was read off; the formula itself gives 2.2052."""
    exact = norm.ppf(0.001 ** (1 / 500))
    assert exact == pytest.approx(2.2051862, abs=1e-7)
    for sigma, read in ((1.0, 2.206), (0.25, 0.5515), (0.5, 1.103), (3.0, 6.618)):
        assert certificate.largest(500, 0.001, sigma) == pytest.approx(sigma * exact, rel=1e-12)
        assert certificate.largest(500, 0.001, sigma) == pytest.approx(read, rel=1e-3)


@pytest.mark.parametrize("count", [0, 250, 260, 285, 400, 499, 500])
def test_the_radius_inverts_the_binomial(count: int) -> None:
    """At the lower bound such a count, or a larger one, comes with a probability of alpha."""
    reach = certificate.radius(count, 500, 0.001, 2.0)
    if reach == 0:
        assert binom.sf(count - 1, 500, 0.5) > 0.001
        return
    assert binom.sf(count - 1, 500, norm.cdf(reach / 2.0)) == pytest.approx(0.001, rel=1e-6)


@pytest.mark.parametrize("counts", [[500, 0, 0], [260, 240, 0], [290, 210, 0], [10, 30, 20], [0, 0, 0], [5, 5, 0]])
def test_predictions_abstain_as_the_binomial_test_says(counts: list[int]) -> None:
    got = certificate.predicted(np.array(counts), 0.001)
    first, second = sorted(counts, reverse=True)[:2]
    sure = first > second and binomtest(first, first + second, 0.5).pvalue <= 0.001
    assert got == (int(np.argmax(counts)) if sure else -1)


def test_more_agreement_certifies_more() -> None:
    reach = [certificate.radius(k, 100, 0.01, 1.0) for k in range(101)]
    assert reach == sorted(reach)
    assert reach[50] == 0
    assert reach[100] > reach[90] > reach[70] > 0
