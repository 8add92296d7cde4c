"""Slow cosines and Gaussian bumps: what they are made of, and searches that move inside them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy.fft
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from medaudit.core.compose import compose
from medaudit.core.interface import Output
from medaudit.core.protocol import Lanes, Search
from medaudit.core.region import L2, LINF, Part, Region, length
from medaudit.core.streams import key
from medaudit.core.subspace import Side, Subspace, bumps, cosines, dual, even, expand, slow, smooth, within
from medaudit.engine.inline import run_inline
from medaudit.engine.loop import Finished
from medaudit.oracle.goal import Goal, oracle
from medaudit.search import cgba, cmaes, hopskipjump, nes, signhunter, simba, square

Array = NDArray[Any]
LENGTH, MOST, LANES, MARGIN = 40, 6, 4, 1.0
OUTPUT = Output("multiclass", ("y",), "logits", ("a", "b"))
SIGNAL = Part("signal", 1, 3, LENGTH)
IMAGE = Part("image", 2, 6, 9)
TABLE = Part("table", 1, 1, 4)


def dense(side: Side, n: int) -> Array:
    """A side as a matrix [n, k], float64."""
    if side.taps is None:
        return np.asarray(side.weight, dtype=np.float64)
    out = np.zeros((n, int(side.taps.max()) + 1))
    np.add.at(out, (np.arange(n)[:, None], side.taps), side.weight)
    return out


def matrix(space: Subspace, parts: tuple[Part, ...]) -> Array:
    """The changes of single coefficients, [D, K] float64."""
    count = sum(part.size for part in space.parts)
    changes: Array = expand(space, parts, np.eye(count, dtype=np.float32)).T.astype(np.float64)
    return changes


def spaces() -> list[tuple[Subspace, tuple[Part, ...]]]:
    """Cosines, bumps and a table that stays, alone and beside each other."""
    picture = (cosines(6, 3), cosines(9, 4))
    return [
        (slow((SIGNAL,), 18, np.zeros(0)), (SIGNAL,)),
        (slow((IMAGE, TABLE, SIGNAL), 24, np.zeros(0)), (IMAGE, TABLE, SIGNAL)),
        (smooth((IMAGE,), {0: picture}), (IMAGE,)),
        (smooth((TABLE, SIGNAL), {1: (None, bumps(LENGTH, 4.0))}), (TABLE, SIGNAL)),
        (smooth((IMAGE,), {0: (bumps(6, 2.0), bumps(9, 2.5))}), (IMAGE,)),
    ]


@pytest.mark.parametrize(("n", "k"), [(1, 1), (7, 7), (64, 5), (500, 40)])
def test_cosines(n: int, k: int) -> None:
    """Orthonormal, and the inverse DCT-II of coefficients followed by zeros."""
    side, part = cosines(n, k), (Part("signal", 1, 1, n),)
    i, j = np.arange(n)[:, None] + 0.5, np.arange(k)[None, :]
    whole = np.sqrt(np.where(j == 0, 1, 2) / n) * np.cos(np.pi * i * j / n)
    assert np.abs(whole.T @ whole - np.eye(k)).max() < 1e-6
    c = np.random.default_rng(n).normal(0, 1, (3, k)).astype(np.float32)
    got = expand(smooth(part, {0: (None, side)}), part, c)
    assert got.dtype == np.float32
    assert np.abs(got - c @ whole.T).max() < 1e-5
    assert np.abs(whole).max() <= side.gain[0] * (1 + 1e-9) <= 1.1 * np.abs(whole).max()
    assert side.gain[1] == 1.0
    for i in range(3):  # the same bits whoever else is asked
        np.testing.assert_array_equal(expand(smooth(part, {0: (None, side)}), part, c[i : i + 1])[0], got[i])


@pytest.mark.parametrize("norm", ["roughness", "roughness-l2"])
@pytest.mark.parametrize("rows", [1, 3])
def test_even_waves_make_roughness_a_length(norm: str, rows: int) -> None:
    """The size of a change is the Euclidean length of its coefficients, but for the mean of its differences."""
    part = (Part("signal", 1, rows, 120),)
    space = even(part, norm, 0)
    c = np.random.default_rng(3).normal(0, 1, (20, rows * 120)).astype(np.float32)
    if norm == "roughness":
        c[:, ::120] = 0  # the mean of each row, which roughness does not see
    change = expand(space, part, c).astype(np.float64)
    area = Region(norm, 1.0, np.ones(rows * 120, dtype=np.float32), None, part)
    steps = np.diff(change.reshape(20, rows, 120), axis=2)
    size = 1e4 * steps.var(axis=2).sum(axis=1) + (0.01 * (change**2).sum(axis=1) if norm == "roughness-l2" else 0)
    np.testing.assert_allclose(length(area, change.copy()), np.sqrt(size), rtol=1e-6)
    with_mean = size + 1e4 * (steps.mean(axis=2) ** 2).sum(axis=1)
    np.testing.assert_allclose(np.linalg.norm(c, axis=1), np.sqrt(with_mean), rtol=1e-4)
    assert even(part, norm, 30 * rows).parts[0].columns == 31
    signs = np.sign(c)
    product = np.sum(expand(dual(space), part, signs).astype(np.float64) * change, axis=1)
    np.testing.assert_allclose(product, np.sum(signs * c, axis=1), rtol=1e-3, atol=1e-2)


@given(n=st.integers(1, 300), sigma=st.floats(1, 400))
def test_bumps_are_a_partition_of_unity(n: int, sigma: float) -> None:
    """No weight below zero, each number's add up to 1, and every bump reaches some number."""
    side = bumps(n, sigma)
    whole = dense(side, n)
    assert side.weight.min() >= 0
    assert np.abs(whole.sum(axis=1) - 1).max() < 1e-6
    assert whole.max(axis=0).min() > 0
    assert np.abs(whole).sum(axis=1).max() == pytest.approx(side.gain[0], abs=1e-6)


@given(n=st.integers(3, 300), sigma=st.floats(1, 60), seed=st.integers(0, 1000))
def test_bumps_are_smooth(n: int, sigma: float, seed: int) -> None:
    """Of width sigma: changes from number to number shrink with 1 / sigma, bends with 1 / sigma^2."""
    c = np.random.default_rng(seed).uniform(-1, 1, dense(bumps(n, sigma), n).shape[1])
    change = dense(bumps(n, sigma), n) @ c
    # A blend of values in [-1, 1] stays there; its slope is a blend of those too, of spread sigma.
    assert np.abs(change).max() <= 1 + 1e-6
    assert np.abs(np.diff(change)).max() <= 2 / sigma
    assert np.abs(np.diff(change, 2)).max() <= 4 / sigma**2 + 0.05 / sigma


def test_a_wide_bump_is_a_bell() -> None:
    """One coefficient alone, far from the ends: within a twentieth the Gaussian it is named after."""
    n, sigma = 300, 12.0
    whole = dense(bumps(n, sigma), n)
    place = np.arange(n)
    bell = np.exp(-0.5 * ((place - 10 * sigma) / sigma) ** 2) / np.sqrt(2 * np.pi)
    assert np.abs(whole[:, 10] - bell).max() < 0.05 * bell.max() + 0.2 * np.exp(-0.5 * 3**2)


@pytest.mark.parametrize(("space", "parts"), spaces())
def test_expand_is_linear(space: Subspace, parts: tuple[Part, ...]) -> None:
    """expand(a c + b d) is a expand(c) + b expand(d); tables pass as they are."""
    count = sum(part.size for part in space.parts)
    rng = np.random.default_rng(count)
    c, d = rng.normal(0, 1, (2, 5, count)).astype(np.float32)
    both = expand(space, parts, (2 * c - 3 * d).astype(np.float32))
    assert both.shape == (5, sum(part.size for part in parts))
    assert np.abs(both - (2 * expand(space, parts, c) - 3 * expand(space, parts, d))).max() < 2e-5
    begin = from_ = 0
    for small, part in zip(space.parts, parts, strict=True):
        if part.domain == "table":
            assert np.array_equal(both[:, begin : begin + 4], (2 * c - 3 * d)[:, from_ : from_ + 4])
        begin, from_ = begin + part.size, from_ + small.size


def test_images_are_separable() -> None:
    """Rows and columns of every plane by the inverse two-dimensional DCT of padded coefficients."""
    space = smooth((IMAGE,), {0: (cosines(6, 3), cosines(9, 4))})
    c = np.random.default_rng(3).normal(0, 1, (4, 2, 3, 4))
    padded = np.pad(c, ((0, 0), (0, 0), (0, 3), (0, 5)))
    expected = scipy.fft.idctn(padded, axes=(2, 3), norm="ortho")
    got = expand(space, (IMAGE,), c.reshape(4, -1).astype(np.float32)).reshape(4, 2, 6, 9)
    assert np.abs(got - expected).max() < 1e-5


def test_leads_do_not_mix() -> None:
    """Each lead from its own coefficients, by the inverse DCT along time; other leads stay at zero."""
    space = slow((SIGNAL,), 18, np.zeros(0))
    assert space.parts == (Part("signal", 1, 3, 6),)
    c = np.zeros((1, 18), dtype=np.float32)
    c[0, 6:12] = [1, -2, 3, 0.5, 0, 4]
    got = expand(space, (SIGNAL,), c).reshape(3, LENGTH)
    expected = scipy.fft.idct(np.pad(c[0, 6:12].astype(np.float64), (0, LENGTH - 6)), norm="ortho")
    assert np.abs(got[1] - expected).max() < 1e-5
    assert not got[[0, 2]].any()


@pytest.mark.parametrize(
    ("part", "most", "shape"),
    [
        (Part("signal", 1, 12, 5000), 240, (1, 12, 20)),
        (Part("signal", 1, 12, 10), 240, (1, 12, 10)),
        (Part("sequence", 1, 5, 48), 3, (1, 5, 1)),
        (Part("image", 1, 64, 64), 64, (1, 8, 8)),
        (Part("image", 3, 32, 128), 48, (3, 2, 8)),
        (Part("image", 1, 4, 4), 400, (1, 4, 4)),
        (Part("table", 1, 1, 30), 5, (1, 1, 30)),
    ],
)
def test_how_many_are_slow(part: Part, most: int, shape: tuple[int, int, int]) -> None:
    """Shared evenly over leads and planes, in the image's own proportions; never more than there are numbers."""
    (small,) = slow((part,), most, np.zeros(0)).parts
    assert small == Part(part.domain, *shape)


@pytest.mark.parametrize(("space", "parts"), spaces())
def test_one_row_or_many(space: Subspace, parts: tuple[Part, ...]) -> None:
    """The same bits alone, in any company and in any order."""
    count = sum(part.size for part in space.parts)
    rng = np.random.default_rng(5)
    c = rng.normal(0, 1, (67, count)).astype(np.float32)
    whole = expand(space, parts, c)
    order = rng.permutation(67)
    assert expand(space, parts, c[order]).tobytes() == whole[order].tobytes()
    for row in (0, 1, 33, 66):
        assert expand(space, parts, c[row : row + 1]).tobytes() == whole[row : row + 1].tobytes()
    for some in (2, 3, 8, 64):
        assert expand(space, parts, c[:some]).tobytes() == whole[:some].tobytes()


# --- searches inside a subspace


class Case(NamedTuple):
    """A linear model, and the known distances inside the subspace."""

    parts: tuple[Part, ...]
    space: Subspace
    basis: Array  # [D, K] float64
    slope: Array  # [D] float64
    x: Array  # [LANES, D] float32, all at margin MARGIN
    scale: Array  # [D] float32
    exact: dict[str, float]
    anywhere: dict[str, float]  # distances outside the subspace: not larger


def case(kind: str, stray: float = 0.0) -> Case:
    """A signal of one lead; stray: size of a part of the scaled slope that the subspace does not have."""
    parts = (Part("signal", 1, 1, LENGTH),)
    space = slow(parts, MOST, np.zeros(0)) if kind == "waves" else smooth(parts, {0: (None, bumps(LENGTH, 9.0))})
    basis = matrix(space, parts)
    rng = np.random.default_rng(8)
    scale = rng.uniform(0.5, 2, LENGTH).astype(np.float32)
    scaled = basis @ rng.normal(0, 1, basis.shape[1])
    noise = rng.normal(0, stray, LENGTH)
    scaled = scaled + noise - basis @ np.linalg.lstsq(basis, noise)[0]
    slope = scaled / scale
    raw = rng.normal(0, 1, (LANES, LENGTH))
    x = raw - ((raw @ slope + MARGIN) / (slope @ slope))[:, None] * slope
    # Linf: the smallest t with |basis c| <= t and a gain of MARGIN, by linear programming.
    n, k = basis.shape
    wide = np.block(
        [[basis, -np.ones((n, 1))], [-basis, -np.ones((n, 1))], [-(scaled @ basis)[None], np.zeros((1, 1))]]
    )
    most = np.concatenate([np.zeros(2 * n), [-MARGIN]])
    found = scipy.optimize.linprog([*np.zeros(k), 1.0], wide, most, bounds=[*[(None, None)] * k, (0, None)])
    # L2: what of the slope lies in the subspace.
    inside = basis @ np.linalg.lstsq(basis, scaled)[0]
    exact = {L2: MARGIN / float(np.sqrt(inside @ inside)), LINF: float(found.fun)}
    anywhere = {L2: MARGIN / float(np.sqrt(scaled @ scaled)), LINF: MARGIN / float(np.abs(scaled).sum())}
    return Case(parts, space, basis, slope, x.astype(np.float32), scale, exact, anywhere)


def answers(one: Case, points: Array) -> Array:
    """Two logits; class a where slope @ x < 0."""
    z = (points.astype(np.float64) * one.slope).sum(axis=1)
    return np.stack([-z / 2, z / 2], axis=1).astype(np.float32)


def run(
    one: Case, search: Search, norm: str, eps: float, rows: int, smallest: bool = False, room: float = 50.0
) -> tuple[list[Finished], Array, Array]:
    """Attack all points inside the subspace; outcomes, and the points asked with their lanes."""
    area = Region(norm, eps, one.scale, None, one.parts)
    reach = (eps * one.scale).astype(np.float32) if norm == LINF else np.full(LENGTH, room, dtype=np.float32)
    far = np.full(LENGTH, 50.0, dtype=np.float32)

    def make_lanes(samples: list[int]) -> Lanes:
        x = one.x[samples]
        keys = np.array([key("subspace", s) for s in samples], dtype=np.uint64)
        full = np.full(len(samples), -1, dtype=np.int64)
        return Lanes(keys, x, x - reach, x + reach, None, answers(one, x), full + 1, full, x - far, x + far)

    blind = "labels" if smallest else "scores"
    attack = compose(
        within(search, one.space), oracle(OUTPUT, Goal(), blind), area,
        stop="budget" if smallest else "flip", smallest=smallest,
    )  # fmt: skip
    asked, lanes = [], []

    def tell(state: Any, query: Any, given: Array) -> Any:
        asked.append(query.points)
        lanes.append(query.lane)
        return attack.tell(state, query, given)

    job = ("sub", attack._replace(tell=tell), rows, make_lanes, list(range(LANES)))
    done = run_inline([job], lambda p: answers(one, p), 64)
    return sorted(done, key=lambda f: f.sample), np.concatenate(asked), np.concatenate(lanes)


SEARCHES = {
    "square": square.search,
    "signhunter": signhunter.search,
    "nes": nes.search,
    "simba": simba.search,
    "cmaes": cmaes.search,
}


def changes(one: Case, points: Array, clean: Array) -> Array:
    """Changes in units of scale, [R, D] float64."""
    out: Array = (points.astype(np.float64) - clean) / one.scale
    return out


@pytest.mark.parametrize("kind", ["waves", "bumps"])
@pytest.mark.parametrize("norm", [LINF, L2])
@pytest.mark.parametrize("name", SEARCHES)
def test_points_lie_in_the_subspace_and_within_eps(name: str, norm: str, kind: str) -> None:
    """Least squares leaves nothing over; no point is further than eps, and some are nearly as far."""
    one = case(kind)
    eps = 0.9 * one.exact[norm]
    _, points, _ = run(one, SEARCHES[name](), norm, eps, 120)
    nearest = np.abs(changes(one, points[:, None], one.x[None])).sum(axis=2).argmin(axis=1)
    delta = changes(one, points, one.x[nearest])
    sizes = np.abs(delta).max(axis=1) if norm == LINF else np.sqrt((delta**2).sum(axis=1))
    grain = 4e-7 * (np.abs(one.x) / one.scale).max() * (1 if norm == LINF else np.sqrt(LENGTH))
    assert sizes.max() <= eps + grain
    assert sizes.max() >= 0.7 * eps
    rest = delta - delta @ np.linalg.pinv(one.basis).T @ one.basis.T
    assert np.abs(rest).max() <= 4 * grain + 1e-6 * eps


def test_a_box_that_binds_is_kept() -> None:
    """Where a number has no room it stays, whatever the coefficients ask; the others still move."""
    one = case("waves")
    _, points, _ = run(one, square.search(), L2, 40 * one.exact[L2], 60, room=0.01)
    nearest = np.abs(points[:, None] - one.x[None]).sum(axis=2).argmin(axis=1)
    moved = np.abs(points - one.x[nearest])
    assert moved.max() <= np.float32(0.01) + 1e-6
    assert moved.max() > 0.009


@pytest.mark.parametrize("kind", ["waves", "bumps"])
@pytest.mark.parametrize("norm", [LINF, L2])
@pytest.mark.parametrize(("name", "factor"), [("nes", 1.5), ("cmaes", 1.5), ("simba", 2.0), ("square", 2.5)])
def test_success_if_and_only_if_eps_allows(name: str, factor: float, norm: str, kind: str) -> None:
    """Nothing below the distance that holds inside the subspace; every lane well above it.

    Square and SimBA know corners and single steps of the coefficients only, and need more room than the others.
    """
    one, search = case(kind), SEARCHES[name]()
    below, _, _ = run(one, search, norm, 0.98 * one.exact[norm], 300)
    assert [int(f.arrays["found"]) for f in below] == [0] * LANES
    above, _, _ = run(one, search, norm, factor * one.exact[norm], 1000)
    assert all(f.arrays["found"] > 0 for f in above)
    assert all(float(f.arrays["size"]) >= one.exact[norm] * (1 - 1e-5) for f in above)


@pytest.mark.parametrize("kind", ["waves", "bumps"])
@pytest.mark.parametrize("make", [hopskipjump.search, cgba.search])
def test_walks_find_the_distance(make: Any, kind: str) -> None:
    """From labels alone, in L2: within a few percent of the exact distance, and never nearer."""
    one = case(kind)
    done, _, _ = run(one, make(), L2, 2 * one.exact[L2], 1200, smallest=True)
    ratios = np.array([float(f.arrays["size"]) for f in done]) / one.exact[L2]
    assert ratios.min() >= 1 - 1e-4, "nearer than possible"
    assert ratios.max() <= 1.1


@pytest.mark.parametrize("kind", ["waves", "bumps"])
@pytest.mark.parametrize(("name", "norm", "factor"), [("nes", L2, 1.2), ("cmaes", L2, 1.2), ("nes", LINF, 1.5)])
def test_the_part_of_a_slope_inside(name: str, norm: str, factor: float, kind: str) -> None:
    """A slope that the subspace has only in part: its projection decides, and what lies outside is out of reach."""
    one, search = case(kind, stray=0.6), SEARCHES[name]()
    assert one.anywhere[norm] < 0.8 * one.exact[norm]
    below, _, _ = run(one, search, norm, 0.98 * one.exact[norm], 300)
    assert [int(f.arrays["found"]) for f in below] == [0] * LANES
    above, _, _ = run(one, search, norm, factor * one.exact[norm], 1000)
    assert all(f.arrays["found"] > 0 for f in above)


@pytest.mark.parametrize("kind", ["waves", "bumps"])
@pytest.mark.parametrize("make", [hopskipjump.search, cgba.search])
def test_walks_find_the_projection(make: Any, kind: str) -> None:
    """From labels alone: the distance inside the subspace, though nearer points lie outside of it."""
    one = case(kind, stray=0.6)
    done, _, _ = run(one, make(), L2, 2 * one.exact[L2], 1200, smallest=True)
    ratios = np.array([float(f.arrays["size"]) for f in done]) / one.exact[L2]
    assert ratios.min() >= 1 - 1e-4, "nearer than the subspace allows"
    assert ratios.max() <= 1.1
