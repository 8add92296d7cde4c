"""Slips of entry are left out, ordinary tails and rare events are not."""

from __future__ import annotations

import numpy as np
import pytest

from medaudit.domain.slips import sober

RNG = np.random.default_rng(0)
PRESSURE = np.round(RNG.normal(80, 14, 20_000))


def test_slips_are_left_out() -> None:
    with_slips = np.concatenate([PRESSURE, np.full(9, 9999.0), [-5000.0]])
    np.testing.assert_array_equal(np.sort(sober(with_slips)), np.sort(PRESSURE))


@pytest.mark.parametrize(
    "values",
    [
        PRESSURE, RNG.lognormal(0, 1, 20_000), RNG.exponential(1, 5_000), np.abs(RNG.standard_t(3, 3_000)),
        np.r_[np.zeros(5000), np.ones(2)], np.r_[np.zeros(90), 40.0], np.zeros(0), np.full(9, 3.0),
    ],
    ids=["normal", "lognormal", "exponential", "heavy", "rare", "few", "none", "constant"],
)  # fmt: skip
def test_what_is_no_slip_stays(values: np.ndarray) -> None:
    assert len(sober(values)) >= len(values) * 0.9995
    assert len(sober(values)) == len(values) or values.size > 2000
