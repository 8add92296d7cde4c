"""Randomised smoothing: Gaussian noise where it may go, counts of two kinds, linear models as they must be."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from medaudit.core.arrays import Array
from medaudit.core.protocol import Lanes
from medaudit.core.region import L2, Part, Region
from medaudit.core.streams import key
from medaudit.engine.inline import run_inline
from medaudit.probe.smoothing import smoothing

SIZE, SCALE = 6, np.array([1, 2, 1, 1, 0.5, 1], dtype=np.float32)
REGION = Region(L2, 1.0, SCALE, None, (Part("table", 1, 1, SIZE),))
WEIGHT = np.array([1, 0.5, 0, 2, 1, 0], dtype=np.float32)


def lanes(samples: list[int]) -> Lanes:
    """Record k lies k / 4 from the border of the linear model; its last number is fixed, its third is missing."""
    n = len(samples)
    towards = WEIGHT * SCALE**2 / np.linalg.norm(WEIGHT * SCALE)  # one unit of distance from the border
    x = (np.array(samples)[:, None] / 4 * towards).astype(np.float32)
    far = np.full((n, SIZE), np.inf, dtype=np.float32)
    lo, hi = -far, far.copy()
    lo[:, -1] = hi[:, -1] = x[:, -1]
    missing = np.zeros((n, SIZE), dtype=bool)
    missing[:, 2] = True
    keys = np.array([key("smooth", s) for s in samples], dtype=np.uint64)
    zero = np.zeros(n, dtype=np.int64)
    return Lanes(keys, x, lo, hi, missing, np.zeros((n, 2), np.float32), zero, zero - 1)


def linear(points: np.ndarray) -> np.ndarray:
    assert np.isnan(points[:, 2]).all()
    value = np.nan_to_num(points) @ WEIGHT
    return np.stack([-value, value], axis=1)


def side(answers: Array) -> Array:
    return np.argmax(answers, axis=1)


def test_counts_are_binomial_with_the_known_share() -> None:
    """A linear model under noise answers 1 with PhiInv of its distance over sigma; all draws are counted."""
    sigma, guess, draws = 0.8, 100, 4000
    attack = smoothing(REGION, side, 2, sigma, guess, draws)
    done = run_inline([("s", attack, guess + draws, lanes, [1, 2, 4])], linear, 64)
    for one in done:
        first, second = one.arrays["kept"].reshape(2, 2)
        assert (first.sum(), second.sum()) == (guess, draws)
        p = norm.cdf(one.sample / 4 / sigma)
        assert abs(second[1] / draws - p) < 4 * np.sqrt(p * (1 - p) / draws)


def test_same_counts_in_any_company() -> None:
    attack = smoothing(REGION, side, 2, 0.8, 10, 90)
    together = {f.sample: f.arrays["kept"] for f in run_inline([("s", attack, 100, lanes, [1, 2, 4])], linear, 64)}
    for sample, kept in together.items():
        (alone,) = run_inline([("s", attack, 100, lanes, [sample])], linear, 5)
        np.testing.assert_array_equal(alone.arrays["kept"], kept)


def test_noise_goes_where_changes_may() -> None:
    seen: list[np.ndarray] = []

    def watch(points: np.ndarray) -> np.ndarray:
        seen.append(points.copy())
        return linear(points)

    attack = smoothing(REGION, side, 2, 0.5, 1, 2000)
    run_inline([("s", attack, 2001, lanes, [2])], watch, 64)
    moved = np.concatenate(seen) - lanes([2]).x
    assert np.all(moved[:, -1] == 0)
    np.testing.assert_allclose(moved[:, [0, 1, 4]].std(axis=0), 0.5 * SCALE[[0, 1, 4]], rtol=0.08)


def test_a_draw_without_an_answer_counts_for_no_class() -> None:
    def broken(points: np.ndarray) -> np.ndarray:
        answers = linear(points)
        answers[points[:, 0] < 0] = np.nan
        return answers

    def decide(answers: Array) -> Array:
        return np.where(np.isfinite(answers).all(axis=1), side(answers), -1)

    (one,) = run_inline([("s", smoothing(REGION, decide, 2, 2.0, 50, 450), 500, lanes, [2])], broken, 64)
    assert one.arrays["invalid"] > 50
    assert one.arrays["kept"].sum() + one.arrays["invalid"] == 500
