"""On a linear model the smallest change is known exactly; searches that see scores must agree with it."""

from __future__ import annotations

import itertools
import math
from types import ModuleType

import numpy as np
import pytest
import scipy.special
import scipy.stats
from kit import Array, bits_of
from known import (
    FAR,
    LANES,
    MARGIN,
    OUTPUT,
    SIZE,
    Case,
    answers,
    case,
    follow,
    found,
    lanes_of,
    linear,
    ratios,
    region,
    run,
)

from medaudit.core.compose import compose
from medaudit.core.protocol import Lanes
from medaudit.core.region import L0, L1, L2, LINF, Part, Region
from medaudit.core.streams import key
from medaudit.engine.inline import run_inline
from medaudit.oracle.goal import Goal, oracle
from medaudit.search import cmaes, differential, genetic, hopskipjump, nes, signhunter, simba, sparse, square, uniform


def test_points_lie_where_they_should() -> None:
    """The known answer itself: moving by the exact distance turns the decision, less does not."""
    one = case()
    for norm in (LINF, L2):
        scaled = one.slope * one.scale
        way = np.sign(scaled) if norm == LINF else scaled / np.sqrt((scaled**2).sum())
        for factor, turned in ((0.999, False), (1.001, True)):
            moved = one.x + factor * one.exact[norm] * way * one.scale
            flipped = answers(one, moved).argmax(axis=1) == 1
            assert flipped.all() == turned
            assert flipped.any() == turned


@pytest.mark.parametrize(
    ("search", "norm", "seed", "factor", "rows"),
    [
        (square, LINF, 0, 1.3, 3000),
        (square, L2, 0, 1.3, 3000),
        (square, L1, 5, 1.1, 1000),
        (nes, LINF, 0, 1.3, 3000),
        (nes, L2, 0, 1.3, 3000),
        (cmaes, LINF, 2, 1.1, 2000),
        (cmaes, L2, 0, 1.05, 1000),
        (differential, LINF, 0, 1.05, 1500),
        (differential, L2, 0, 1.05, 1500),
        (genetic, LINF, 0, 1.05, 1500),
        (genetic, L2, 0, 1.05, 2000),
    ],
)
def test_success_if_and_only_if_eps_allows(search: ModuleType, norm: str, seed: int, factor: float, rows: int) -> None:
    """No success below the exact distance, and every lane succeeds well above it."""
    one = case(seed)
    below = run(one, region(one, norm, 0.98 * one.exact[norm]), search.search(), "scores", 600)
    assert found(below) == [0] * LANES
    above = run(one, region(one, norm, factor * one.exact[norm]), search.search(), "scores", rows)
    assert min(found(above)) > 0
    assert ratios(above, one.exact[norm]).min() >= 1 - 1e-5


@pytest.mark.parametrize("size", [1, 16, 20])
@pytest.mark.parametrize("norm", [LINF, L2])
def test_signhunter_knows_every_sign(norm: str, size: int) -> None:
    """Runs of single numbers end after 2 n rows (n a power of two): all signs of a slope are right by then.

    Al-Dujaili, O'Reilly 2020, theorem 1. In L2 all numbers move alike, so MARGIN / mean of the gains
    is what that needs.
    """
    one, most = case(size=size), 2 * 2 ** math.ceil(math.log2(size))
    least = one.exact[LINF] * (1 if norm == LINF else math.sqrt(size))
    area = region(one, norm, 0.9999 * least)
    state = follow(signhunter.search(), area, lanes_of(one, area), linear(one), most).state
    assert np.array_equal(state.search.up, np.broadcast_to(one.slope > 0, (LANES, size)))
    assert found(run(one, area, signhunter.search(), "scores", 5 * most)) == [0] * LANES
    above = run(one, region(one, norm, 1.0001 * least), signhunter.search(), "scores", most)
    assert 0 < min(found(above)) <= max(found(above)) <= most


def test_signhunter_passes_over_what_is_fixed() -> None:
    """Four of twenty numbers cannot move: the signs of the other sixteen are right after 32 rows."""
    one, fixed = case(), np.arange(SIZE) % 5 == 2
    area = region(one, LINF, 1.0)
    lanes = lanes_of(one, area)
    lanes = lanes._replace(lo=np.where(fixed, lanes.x, lanes.lo), hi=np.where(fixed, lanes.x, lanes.hi))
    path = follow(signhunter.search(), area, lanes, linear(one), 32)
    up = np.broadcast_to(one.slope > 0, (LANES, SIZE))
    assert np.array_equal(path.state.search.up[:, ~fixed], up[:, ~fixed])
    assert np.array_equal(path.points(0)[:, fixed], np.repeat(one.x[:1, fixed], 32, axis=0))


def test_simba_tries_each_number_once_per_way() -> None:
    """In Linf: the clean point, a row for every rise that helps, two for every other, and the corner is reached."""
    one = case()
    rows = 1 + SIZE + int((one.slope < 0).sum())
    area = region(one, LINF, 0.9999 * one.exact[LINF])
    lanes = lanes_of(one, area)
    corner = np.where(one.slope > 0, lanes.hi, lanes.lo)
    path = follow(simba.search(), area, lanes, linear(one), rows)
    assert np.array_equal(path.state.search.best, corner)
    assert found(run(one, area, simba.search(), "scores", 300)) == [0] * LANES
    above = run(one, region(one, LINF, 1.0001 * one.exact[LINF]), simba.search(), "scores", rows)
    assert rows - 1 <= min(found(above)) <= max(found(above)) <= rows


def test_simba_takes_equal_steps_in_l2() -> None:
    """While no step leaves the ball, its first round moves every number by one step, the right way."""
    one, step = case(), 0.2
    assert SIZE * step**2 < 1
    area = region(one, L2, 0.9 * one.exact[L2])
    rows = 1 + SIZE + int((one.slope < 0).sum())
    path = follow(simba.search(simba.Settings(step)), area, lanes_of(one, area), linear(one), rows)
    expected = one.x + step * area.eps * np.sign(one.slope) * one.scale
    assert np.abs(path.state.search.best - expected).max() < 1e-5


@pytest.mark.parametrize("step", [0.2, 0.05])
def test_simba_stops_near_the_best_direction(step: float) -> None:
    """A step d > 0 that no longer helps bounds the angle to the slope g, |g| = 1, in L2.

    c + d |g_i| <= c sqrt(1 + 2 d u_i + d^2) for all i, at unit length u with c = g @ u, gives
    1 <= c^2 + c d |g|_1 / 2, so any eps beyond (a + sqrt(1 + a^2)) times the exact distance with
    a = d |g|_1 / 4 is enough.
    """
    one, settings = case(), simba.Settings(step)
    a = 0.25 * step * one.exact[L2] / one.exact[LINF]
    eps = 1.001 * (a + math.sqrt(1 + a**2)) * one.exact[L2]
    above = run(one, region(one, L2, eps), simba.search(settings), "scores", 2000)
    assert min(found(above)) > 0
    assert found(run(one, region(one, L2, 0.9999 * one.exact[L2]), simba.search(settings), "scores", 500)) == [0] * 6


@pytest.mark.parametrize("norm", [L2, L1])
def test_square_spends_all_of_eps(norm: str) -> None:
    """A window that gets the mass of another makes a proposal as large as allowed, where no box binds.

    Unless the sign drawn takes out the only number of a window: then that goes back to where it was.
    """
    one = case()
    area = region(one, norm, 2.0)
    path = follow(square.search(), area, lanes_of(one, area), linear(one), 200)
    points, x = (np.stack(part) for part in ([path.points(lane) for lane in range(LANES)], one.x[:, None]))
    delta = np.abs(points.astype(np.float64) - x) / one.scale
    sizes = delta.sum(axis=2) if norm == L1 else np.sqrt((delta**2).sum(axis=2))
    full = np.abs(sizes / area.eps - 1) < 1e-5
    assert sizes.max() <= area.eps
    assert full[:, :5].all()
    assert full.mean() > 0.6


def chance(one: Case, norm: str, eps: float) -> float:
    """How often a random proposal of full size crosses the boundary, exactly."""
    if norm == LINF:  # every corner is as likely
        corners = np.array(list(itertools.product((-1, 1), repeat=one.slope.size)))
        return float((corners @ one.scaled * eps > MARGIN).mean())
    if norm == L2:  # the share of a sphere beyond a plane (Li 2011)
        height = one.exact[L2] / eps
        return 0.5 * float(scipy.special.betainc((one.slope.size - 1) / 2, 0.5, 1 - height**2))
    if norm == L1:  # two numbers: a normal direction's angle is uniform
        angle = np.linspace(0, 2 * np.pi, 200_000, endpoint=False)
        way = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        return float((way @ one.scaled * eps > MARGIN * np.abs(way).sum(axis=1)).mean())
    gain = float(FAR) * np.abs(one.slope)  # one number, anywhere in its box
    return float((np.maximum(gain - MARGIN, 0) / (2 * gain)).mean())


@pytest.mark.parametrize(("norm", "size", "factor"), [(LINF, 12, 2.0), (L2, 20, 3.0), (L1, 2, 1.5), (L0, 20, 1.0)])
def test_chance_alone_finds_its_share(norm: str, size: int, factor: float) -> None:
    """Random proposals succeed as often as their distribution says, within a 99.9 % interval."""
    one, ticks = case(size, size), 500
    eps = 1.0 if norm == L0 else factor * one.exact[norm]
    area = region(one, norm, eps)
    path = follow(uniform.search(), area, lanes_of(one, area), linear(one), ticks)
    expected = chance(one, norm, eps)
    assert 0.05 < expected < 0.45
    low, high = scipy.stats.binom.interval(0.999, ticks * LANES, expected)
    assert low <= path.hits() <= high


@pytest.mark.parametrize("norm", [LINF, L2, L1])
def test_chance_never_crosses_what_is_too_far(norm: str) -> None:
    """Not even by luck: two numbers make lucky directions likely."""
    one = case(2, 2)
    for factor, some in ((0.9999, False), (1.2, True)):
        area = region(one, norm, factor * one.exact[norm])
        path = follow(uniform.search(), area, lanes_of(one, area), linear(one), 300)
        assert (path.hits() > 0) == some


def test_one_number_only() -> None:
    """A table with a single feature: every search runs, and the found point is the only one."""
    x = np.array([[-1.0], [-0.25]], dtype=np.float32)

    def small(points: Array) -> Array:
        return np.concatenate([-points, points], axis=1)

    def make_lanes(samples: list[int]) -> Lanes:
        rows = x[samples]
        full = np.full(len(samples), -1, dtype=np.int64)
        keys = np.array([key(s) for s in samples], dtype=np.uint64)
        return Lanes(keys, rows, rows - 0.5, rows + 0.5, None, small(rows), full + 1, full)

    for search, norm, access in (
        (square.search(), LINF, "scores"),
        (square.search(), L2, "scores"),
        (nes.search(), LINF, "scores"),
        (nes.search(), L2, "scores"),
        (hopskipjump.search(), L2, "labels"),
        (hopskipjump.search(), LINF, "labels"),
        (sparse.search(), L0, "scores"),
    ):
        eps = 1.0 if norm == L0 else 0.5
        area = Region(norm, eps, np.ones(1, dtype=np.float32), None, (Part("table", 1, 1, 1),))
        attack = compose(search, oracle(OUTPUT, Goal(), access), area)
        done = run_inline([("one", attack, 200, make_lanes, [0, 1])], small, 8)
        found = {f.sample: bool(f.arrays["found"] > 0) for f in done}
        assert found == {0: False, 1: True}, (search.name, norm)
        again = run_inline([("one", attack, 200, make_lanes, [1])], small, 8)
        first = next(f for f in done if f.sample == 1)
        assert bits_of(first.arrays["claim"]) == bits_of(again[0].arrays["claim"])


def test_sparse_never_changes_more_than_it_may() -> None:
    """A second sweep that gains nothing leaves one change; swaps still stop at two, and find the valley."""
    one = case()
    area = Region(L0, 2.0, np.ones(SIZE, dtype=np.float32), None, (Part("table", 1, 1, SIZE),))
    x = np.full((LANES, SIZE), 0.2, dtype=np.float32)
    lanes = lanes_of(one, area)._replace(x=x, lo=0 * x, hi=0 * x + 1)
    search = sparse.search()
    state, turned = search.init(area, lanes), np.zeros(LANES, dtype=bool)
    for _ in range(800):
        query = search.ask(area, lanes, state)
        assert (query.points != lanes.x).sum(axis=1).max() <= 2
        # The first number gains at its end, the others only between theirs, one of them enough.
        valley = np.maximum(0, 1 - np.abs(query.points[:, 1:] - 0.55) / 0.3)
        gain = query.points[:, 0] - 0.2 + valley @ np.r_[0.8, np.full(SIZE - 2, 0.1)]
        turned |= gain > 1.35
        state = search.tell(area, lanes, state, query, (1.35 - gain).astype(np.float32), gain > 1.35)
    assert turned.all()
