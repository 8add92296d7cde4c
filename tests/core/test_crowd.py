"""One change for many records: what is asked, how it is scored, and what a search makes of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from medaudit.core.compose import compose
from medaudit.core.crowd import Crowd, ask_crowd, changes_lane, gather, goal, lay
from medaudit.core.interface import Output
from medaudit.core.protocol import Lanes, Search
from medaudit.core.region import L2, LINF, Part, Region
from medaudit.core.streams import key
from medaudit.engine.inline import run_inline
from medaudit.oracle.goal import Goal, oracle
from medaudit.search import signhunter, square, uniform

Array = NDArray[Any]
SIZE, RECORDS = 24, 7
GUIDE = oracle(Output("multiclass", ("y",), "logits", ("a", "b")), Goal(), "scores")
SLOPE = np.random.default_rng(3).normal(0, 1, SIZE)
KEY = np.array([key("crowd")], dtype=np.uint64)


def answer(points: Array) -> Array:
    """Two logits; their difference is linear in a point, what is missing counts nothing."""
    z = np.nan_to_num(points).astype(np.float64) @ SLOPE
    return np.stack([z / 2, -z / 2], axis=1).astype(np.float32)


def crowd(norm: str = LINF, eps: float = 0.2, missing: bool = False) -> Crowd:
    """Records of class a at margins of 1 to 7, the last nearest to its upper bounds."""
    x = np.random.default_rng(4).normal(0, 1, (RECORDS, SIZE))
    x += np.outer((1 + np.arange(RECORDS) - x @ SLOPE) / (SLOPE @ SLOPE), SLOPE)
    x = x.astype(np.float32)
    reach = np.float32(eps if norm == LINF else 4)
    hi = x + reach
    hi[-1] = x[-1] + reach / 2
    gone = np.zeros(x.shape, dtype=bool)
    gone[0, 5] = missing
    x[gone] = 0
    lo, hi = np.where(gone, x, x - reach), np.where(gone, x, hi)
    label = np.zeros(RECORDS, dtype=np.int64)
    lanes = Lanes(
        np.arange(RECORDS, dtype=np.uint64), x, lo, hi, gone if missing else None, answer(x), label, label - 1
    )
    area = Region(norm, eps, np.ones(SIZE, dtype=np.float32), None, (Part("table", 1, 1, SIZE),))
    return gather(area, lanes, GUIDE)


def test_its_lane_is_as_wide_as_any_record_allows() -> None:
    """Zero is no change; the box is the union of what records allow."""
    one = crowd()
    lane = changes_lane(one, KEY)
    assert lane.x.shape == (1, SIZE)
    assert not lane.x.any()
    assert lane.hi == pytest.approx(0.2, abs=1e-6)
    assert lane.lo == pytest.approx(-0.2, abs=1e-6)


def test_the_score_is_the_mean_over_records() -> None:
    """tanh of each margin by the usual one; a hit turned at least half."""
    one = crowd()
    margins = np.array([[1, 2, 3, 4, 5, 6, 7], [-1, -1, -1, -1, 9, 9, 9], [-1, -1, -1, 9, 9, 9, 9]], dtype=np.float32)
    answers = np.stack([margins, np.zeros_like(margins)], axis=2).reshape(3, -1)
    score, hit = goal(one).score(changes_lane(one, KEY), np.zeros(3, dtype=np.int64), answers)
    assert one.usual == pytest.approx(4, rel=1e-5)
    assert score == pytest.approx(np.tanh(margins / 4).mean(axis=1), rel=1e-5)
    assert hit.tolist() == [False, True, False]


@pytest.mark.parametrize("norm", [LINF, L2])
def test_rows_are_each_record_under_each_change(norm: str) -> None:
    """In their boxes, within eps, and missing where the record is."""
    one = crowd(norm, missing=True)
    inner = compose(square.search(), goal(one), one.region, stop="budget", keep_worst=True)
    attack = ask_crowd(inner, one)
    state = attack.init(changes_lane(one, KEY))
    for _ in range(5):
        change = inner.ask(state).points
        query = attack.ask(state)
        assert query.points.shape == (RECORDS, SIZE)
        assert np.isnan(query.points[0, 5])
        assert np.isnan(query.points).sum() == 1
        points = np.where(np.isnan(query.points), one.lanes.x, query.points)
        assert (points >= one.lanes.lo).all()
        assert (points <= one.lanes.hi).all()
        if norm == L2:
            assert np.linalg.norm(points - one.lanes.x, axis=1).max() <= 0.2 * (1 + 1e-6)
        free = one.lanes.lo < one.lanes.hi
        laid = np.clip(one.lanes.x + change, one.lanes.lo, one.lanes.hi)
        assert points[free] == pytest.approx(laid[free], abs=1e-6)
        state = attack.tell(state, query, answer(query.points))


@pytest.mark.parametrize("search", [square.search(), signhunter.search()], ids=["square", "signhunter"])
def test_the_best_change_of_a_linear_model(search: Search) -> None:
    """Known answer: minus the slope's signs. A search comes near it in 300 changes, chance does not."""

    def gain(how: Search) -> float:
        one = crowd()
        attack = ask_crowd(compose(how, goal(one), one.region, stop="budget", keep_worst=True), one)
        done = run_inline([("fit", attack, 300 * RECORDS, lambda _: changes_lane(one, KEY), [0])], answer, 16)[0]
        assert done.rows == 300 * RECORDS == int(done.arrays["rows"])
        change = np.asarray(done.arrays["worst"])
        assert np.abs(change).max() <= np.float32(0.2) * (1 + 1e-6)
        return float(-(change @ SLOPE))

    best = 0.2 * np.abs(SLOPE).sum()
    assert 0.9 * best <= gain(search) <= best * (1 + 1e-5)
    assert gain(uniform.search()) < 0.8 * best


def test_a_change_is_laid_over_records_it_was_not_fitted_on() -> None:
    """x + change, cut to the record's box and nothing else."""
    one = crowd()
    change = np.linspace(-0.2, 0.2, SIZE, dtype=np.float32)
    points = lay(one.region, one.lanes, np.array([2, 6]), np.stack([change, change]), np.zeros(2, dtype=np.int64))
    assert points[0] == pytest.approx(one.lanes.x[2] + change, abs=1e-6)
    assert points[1] == pytest.approx(one.lanes.x[6] + np.minimum(change, np.float32(0.1)), abs=1e-6)
