"""How alike maps are: answers by hand, scipy and plain loops, and what holds for any pair of maps."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from medaudit.stats import maps
from medaudit.stats.maps import Shape

# 15 cells of two inputs, on few values, so that ties and zeros are common.
SHAPE: Shape = (0, 3, 4)
SHAPES: list[Shape] = [SHAPE, (12, 1, 3)]
CELLS = 15
HOURS = np.array([0.5, 0.0, 2.0, 1.0])
levels = st.integers(-6, 6).map(float) | st.integers(-1000, 1000).map(lambda v: v / 64)
a_map = st.lists(levels, min_size=CELLS, max_size=CELLS).map(lambda values: np.array([values]))

Pair = Callable[[np.ndarray, np.ndarray], np.ndarray]
SHARES: dict[str, Pair] = {  # of two maps, 0 to 1, both ways the same
    "mass overlap": maps.mass_overlap,
    "signed overlap": maps.signed_overlap,
    "top 4": lambda a, b: maps.top_k(a, b, 4),
    "top 4, signed": lambda a, b: maps.top_k(a, b, 4, signed=True),
    "top 2 by column": lambda a, b: maps.top_k_by_column(a, b, SHAPE, 2, HOURS),
    "rank-biased overlap": maps.rank_biased_overlap,
}
CORRELATIONS: dict[str, Pair] = {  # -1 to 1, both ways the same
    "cosine": maps.cosine,
    "weighted tau": maps.weighted_tau,
    "spearman": maps.spearman,
    "ssim": lambda a, b: maps.ssim(a, b, SHAPE),
    "ssim, window 2": lambda a, b: maps.ssim(a, b, SHAPE, window=2),
}
DISTANCES: dict[str, Pair] = {  # 0 to 1, both ways the same
    "wasserstein": lambda a, b: maps.wasserstein_2d(a, b, SHAPES),
    "wasserstein of all values": maps.wasserstein_1d,
    "half of l1": lambda a, b: maps.l1(a, b) / 2,
    "centre shift": lambda a, b: maps.centre_shift(a, b, SHAPE),
}
ONE_WAY: dict[str, Pair] = {
    "lens recall": lambda a, b: maps.lens_recall(a, b, SHAPE, 4),
}
PAIRS = SHARES | CORRELATIONS | DISTANCES | ONE_WAY
ALONE: dict[str, Callable[[np.ndarray], np.ndarray]] = {"gini": maps.gini, "entropy": maps.entropy}


def one(*values: float) -> np.ndarray:
    """A batch of one map."""
    return np.array([values], dtype=np.float64)


def hot(*cells: int, size: int = 12) -> np.ndarray:
    """A batch of one map with 1 in some cells."""
    out = np.zeros((1, size))
    out[0, list(cells)] = 1
    return out


def test_mass_by_hand() -> None:
    """Each cell's share of all; of nothing, the same of all."""
    assert maps.mass(one(1, -3, 0, 4)).tolist() == [[0.125, 0.375, 0, 0.5]]
    assert maps.mass(np.array([[0.0] * 4, [0, 0, -2, 0]])).tolist() == [[0.25] * 4, [0, 0, 1, 0]]
    assert maps.mass(np.array([[1, -3]])).tolist() == [[0.25, 0.75]]


def test_mass_overlap_by_hand() -> None:
    """Signs do not count; maps on other cells share nothing; nothing is as even as a flat map."""
    assert maps.mass_overlap(one(1, -3, 0, 4), one(4, 3, 1, 0)).tolist() == [0.5]
    assert maps.mass_overlap(one(1, 1, 0, 0), one(0, 0, 1, 1)).tolist() == [0]
    assert maps.mass_overlap(one(0, 0, 0, 0), one(0, 0, 5, 5)).tolist() == [0.5]


def test_signed_overlap_by_hand() -> None:
    """What speaks for counts not as what speaks against: half of it is then lacking, and as much is too much."""
    assert maps.signed_overlap(one(1, -3, 0, 4), one(1, 3, 0, 4)).tolist() == [0.625]
    assert maps.signed_overlap(one(1, 1, 0, 0), one(0, 0, 1, 1)).tolist() == [0]
    assert maps.signed_overlap(one(1, 1), one(-1, -1)).tolist() == [0]


@given(a=a_map, b=a_map)
def test_mass_overlap_is_one_less_total_variation(a: np.ndarray, b: np.ndarray) -> None:
    """The other way to write it."""
    far = np.abs(maps.mass(a) - maps.mass(b)).sum(axis=-1) / 2
    assert maps.mass_overlap(a, b) == pytest.approx(1 - far, abs=1e-12)


@given(a=a_map, b=a_map, scale=st.sampled_from([1e-9, 0.3, 7.0, 1e12]))
def test_mass_overlap_has_no_scale(a: np.ndarray, b: np.ndarray, scale: float) -> None:
    """Only shares count."""
    assert maps.mass_overlap(scale * a, b) == pytest.approx(maps.mass_overlap(a, b), abs=1e-9)
    assert maps.mass_overlap(a, -scale * b) == pytest.approx(maps.mass_overlap(a, b), abs=1e-9)


def test_order_by_hand() -> None:
    """Largest first, whatever its sign; of equal ones the first cell."""
    assert maps.order(one(1, -3, 3, 0, 5)).tolist() == [[4, 1, 2, 0, 3]]
    assert maps.order(np.array([[0.0, 0, 0], [1, 2, 3]])).tolist() == [[0, 1, 2], [2, 1, 0]]


def test_top_k_by_hand() -> None:
    """The same cells; with signs, only those that say the same; more than all cells are all."""
    a, b = one(5, -4, 3, 0), one(5, 4, 0, 3)
    assert maps.top_k(a, b, 1).tolist() == [1]
    assert maps.top_k(a, b, 2).tolist() == [1]
    assert maps.top_k(a, b, 2, signed=True).tolist() == [0.5]
    assert maps.top_k(a, b, 3) == pytest.approx([2 / 3])
    assert maps.top_k(a, b, 9).tolist() == [1]
    assert maps.top_k(a, b, 9, signed=True).tolist() == [0.25]
    assert maps.top_k(one(1, 0, 0, 0), one(0, 1, 0, 0), 1).tolist() == [0]


def test_top_k_gives_ties_to_the_first_cell() -> None:
    """Cells 0 and 1 of one map, 1 and 2 of the other."""
    assert maps.top_k(one(1, 1, 1, 1), one(0, 1, 1, 1), 2).tolist() == [0.5]


def test_top_k_by_column_by_hand() -> None:
    """Rows are variables, columns hours; a cell before the grid does not count, however large."""
    a = one(99, 5, 1, 4, 2, 0, 3)  # hours: 5 4 0, and 1 2 3
    b = one(-99, 5, 1, 0, 3, 4, 2)  # hours: 5 0 4, and 1 3 2
    shape = (1, 3, 2)
    assert maps.top_k_by_column(a, b, shape, 2, np.array([3.0, 1.0])).tolist() == [0.625]
    assert maps.top_k_by_column(a, b, shape, 1, np.array([3.0, 1.0])).tolist() == [0.75]
    assert maps.top_k_by_column(a, b, shape, 1, np.array([0.0, 9.0])).tolist() == [0]
    assert maps.top_k_by_column(a, b, shape, 2, np.zeros(2)).tolist() == [0]


def test_grid_by_hand() -> None:
    """Row by row, from the first cell on."""
    a = np.arange(20.0).reshape(2, 10)
    assert maps.grid(a, (3, 2, 3)).tolist() == [[[3, 4, 5], [6, 7, 8]], [[13, 14, 15], [16, 17, 18]]]
    assert maps.grid(a, (0, 1, 2)).tolist() == [[[0, 1]], [[10, 11]]]


def test_wasserstein_by_hand() -> None:
    """Of shares with their signs: rows 1/4 and 1/2, columns 1/4 and 1/2. Who holds a value does not count."""
    shapes: list[Shape] = [(0, 2, 2)]
    assert maps.wasserstein_2d(one(4, 0, 0, -4), one(2, 2, 2, 2), shapes) == pytest.approx([0.375])
    assert maps.wasserstein_2d(one(1, 0, 0, 1), one(0, 9, 9, 0), shapes).tolist() == [0]
    assert maps.wasserstein_2d(one(1, 0, 0, 0), one(-1, 0, 0, 0), shapes).tolist() == [0.5]
    assert maps.wasserstein_2d(one(1, 2), one(2, 1), []).tolist() == [0]


@given(a=a_map, b=a_map)
def test_wasserstein_is_that_of_scipy(a: np.ndarray, b: np.ndarray) -> None:
    """Every row and column of every input counts the same."""
    left, right = (np.sign(m) * maps.mass(m) for m in (a, b))
    each = []
    for shape in SHAPES:
        x, y = maps.grid(left, shape)[0], maps.grid(right, shape)[0]
        lines = [*zip(x, y, strict=True), *zip(x.T, y.T, strict=True)]
        each += [stats.wasserstein_distance(u, v) for u, v in lines]
    assert len(each) == 7 + 4
    assert maps.wasserstein_2d(a, b, SHAPES) == pytest.approx([np.mean(each)], abs=1e-12)


def test_distances_of_all_values_by_hand() -> None:
    """Of shares with their signs: the same values elsewhere are the same for W1, and all of L1."""
    assert maps.l1(one(4, 0, 0, -4), one(2, 2, 2, 2)) == pytest.approx([1.5])
    assert maps.l1(one(1, 0), one(0, 9)) == pytest.approx([2])
    assert maps.wasserstein_1d(one(1, 0), one(0, 9)).tolist() == [0]
    assert maps.wasserstein_1d(one(4, 0, 0, -4), one(2, 2, 2, 2)) == pytest.approx([0.375])


def test_cosine_by_hand() -> None:
    """Signs count."""
    assert maps.cosine(one(3, 4), one(4, 3)) == pytest.approx([0.96])
    assert maps.cosine(one(3, 4), one(-40, -30)) == pytest.approx([-0.96])
    assert maps.cosine(one(3, 4), one(0, 0)).tolist() == [0]


@given(a=a_map, b=a_map)
def test_cosine_and_lengths_agree(a: np.ndarray, b: np.ndarray) -> None:
    """The law of cosines, and the definition by dot products."""
    assume(np.any(a) and np.any(b))
    x, y = math.sqrt(a[0] @ a[0]), math.sqrt(b[0] @ b[0])
    near = maps.cosine(a, b)
    assert near == pytest.approx([a[0] @ b[0] / (x * y)], abs=1e-12)
    assert ((a[0] - b[0]) ** 2).sum() == pytest.approx(x * x + y * y - 2 * x * y * near, rel=1e-9, abs=1e-6)


def test_rank_biased_overlap_by_hand() -> None:
    """Shared by depth: none of 1, 1 of 2... Equal ones reach 1, and so does any ranking of one cell."""
    a, b = one(3, 2, -1), one(2, 3, 1)
    assert maps.rank_biased_overlap(a, b) == pytest.approx([(0.9 + 0.81) / 2.71])
    assert maps.rank_biased_overlap(a, b, p=0.5) == pytest.approx([3 / 7])
    assert maps.rank_biased_overlap(a, one(1, 2, 3), p=0.5) == pytest.approx([(0.25 + 0.25) / 1.75])
    assert maps.rank_biased_overlap(one(2), one(-9)).tolist() == [1]


@given(a=a_map, b=a_map, p=st.sampled_from([0.3, 0.9, 0.99]))
def test_rank_biased_overlap_by_sets(a: np.ndarray, b: np.ndarray, p: float) -> None:
    """Webber's sum over the depths, cell by cell."""
    first, second = maps.order(a)[0].tolist(), maps.order(b)[0].tolist()
    shared = [len({*first[:d]} & {*second[:d]}) / d for d in range(1, CELLS + 1)]
    weights = [p**d for d in range(CELLS)]
    want = sum(w * s for w, s in zip(weights, shared, strict=True)) / sum(weights)
    assert maps.rank_biased_overlap(a, b, p) == pytest.approx([want])


def test_weighted_tau_by_hand() -> None:
    """Pairs weigh 3/2, 4/3 and 5/6; the last is turned round. A flat map ranks nothing."""
    assert maps.weighted_tau(one(3, -2, 1), one(3, 1, 2)) == pytest.approx([6 / 11])
    assert maps.weighted_tau(one(3, 2, 1), one(1, 2, -3)) == pytest.approx([-1])
    assert maps.weighted_tau(one(3, 2, 1), one(1, -1, 1)).tolist() == [0]


def test_spearman_by_hand() -> None:
    """1 - 6 * 2 / (4 * 15); a flat map ranks nothing."""
    assert maps.spearman(one(1, -2, 3, 4), one(-1, 2, 4, 3)) == pytest.approx([0.8])
    assert maps.spearman(one(1, 2, 3), one(-3, 2, 1)) == pytest.approx([-1])
    assert maps.spearman(one(1, 2, 3), one(-2, 2, 2)).tolist() == [0]


@given(a=a_map, b=a_map)
def test_rank_correlations_are_those_of_scipy(a: np.ndarray, b: np.ndarray) -> None:
    """Of sizes, with ties."""
    x, y = np.abs(a[0]), np.abs(b[0])
    assume(np.ptp(x) > 0 and np.ptp(y) > 0)
    assert maps.spearman(a, b) == pytest.approx([stats.spearmanr(x, y).statistic], abs=1e-12)
    assert maps.weighted_tau(a, b) == pytest.approx([stats.weightedtau(x, y).statistic], abs=1e-12)


C1, C2 = 0.01**2, 0.03**2


def test_ssim_by_hand() -> None:
    """In windows of one cell only brightness counts: shares 1, 0 against 1/2, 1/2, at a peak of 1."""
    want = ((1 + C1) / (1.25 + C1) + C1 / (0.25 + C1)) / 2
    assert maps.ssim(one(1, 0), one(-3, 3), (0, 1, 2), window=1) == pytest.approx([want])
    # Two even grids, with 1/2 and 1/4 of the mass in a cell: the larger is the peak.
    even = maps.ssim(one(5, 5, 0, 0), one(1, 1, 1, 1), (0, 1, 2))
    assert even == pytest.approx([(1 + C1) / (1.25 + C1)])
    # Stripes, at 1 and at 1/2 of the peak: windows of two columns show both, and at the mirrored edge one.
    stripes = one(1, 0, 1, 0, 1, 0, 1, 0, 0)
    striped = (2 * 0.5 * 0.25 + C1) / (0.5**2 + 0.25**2 + C1) * (2 * 0.125 + C2) / (0.25 + 0.0625 + C2)
    want = (striped + (1 + C1) / (1.25 + C1)) / 2
    assert maps.ssim(stripes, stripes + one(0, 0, 0, 0, 0, 0, 0, 0, 4), (0, 4, 2), window=2) == pytest.approx([want])


def similarity(x: np.ndarray, y: np.ndarray, window: int) -> float:
    """Wang's index of two pictures, window by window, mirrored at the borders."""
    sizes = [min(window, n) for n in x.shape]
    room = [(n // 2, n - 1 - n // 2) for n in sizes]
    x, y = (np.pad(m, room, mode="symmetric") for m in (x, y))
    cut = [np.lib.stride_tricks.sliding_window_view(m, sizes).reshape(-1, sizes[0] * sizes[1]) for m in (x, y)]
    found = []
    for u, v in zip(*cut, strict=True):
        both = float(((u - u.mean()) * (v - v.mean())).mean())
        light = (2 * u.mean() * v.mean() + C1) / (u.mean() ** 2 + v.mean() ** 2 + C1)
        found.append(light * (2 * both + C2) / (u.var() + v.var() + C2))
    return float(np.mean(found))


@given(a=a_map, b=a_map, window=st.sampled_from([1, 2, 3, 7]), shape=st.sampled_from(SHAPES))
def test_ssim_window_by_window(a: np.ndarray, b: np.ndarray, window: int, shape: Shape) -> None:
    """The definition, in plain loops."""
    x, y = maps.grid(maps.mass(a), shape)[0], maps.grid(maps.mass(b), shape)[0]
    peak = max(x.max(), y.max())
    want = similarity(x / peak, y / peak, window) if peak > 0 else 1.0
    assert maps.ssim(a, b, shape, window) == pytest.approx([want], abs=1e-9)


def test_ssim_looks_through_seven_cells() -> None:
    """Where the grid has as many, unless told otherwise."""
    a, b = np.random.default_rng(0).normal(0, 1, (2, 1, 9 * 8))
    x, y = maps.mass(a).reshape(9, 8), maps.mass(b).reshape(9, 8)
    peak = max(x.max(), y.max())
    assert maps.ssim(a, b, (0, 9, 8)) == pytest.approx([similarity(x / peak, y / peak, 7)])


def test_centre_shift_by_hand() -> None:
    """As a share of the diagonal; mass outside the grid does not move it."""
    diagonal = math.hypot(2, 3)
    assert maps.centre_shift(hot(0), hot(11), SHAPE) == pytest.approx([1])
    assert maps.centre_shift(hot(3), -hot(8), SHAPE) == pytest.approx([1])
    assert maps.centre_shift(hot(0), hot(3), SHAPE) == pytest.approx([3 / diagonal])
    assert maps.centre_shift(hot(0), hot(8), SHAPE) == pytest.approx([2 / diagonal])
    assert maps.centre_shift(hot(0, 8), hot(7), SHAPE) == pytest.approx([3 / diagonal])
    assert maps.centre_shift(hot(6, size=13), hot(6, 12, size=13), SHAPE) == pytest.approx([0])
    assert maps.centre_shift(hot(1, size=13), hot(4, 12, size=13), (1, 3, 4)) == pytest.approx([math.sqrt(10 / 13)])
    assert maps.centre_shift(one(2, 1), one(1, 2), (0, 1, 1)).tolist() == [0]


def test_lens_recall_by_hand() -> None:
    """A step away, corners too, counts as found; round the edge does not. What is not on the grid is not asked."""
    corner, inner = hot(0), hot(5)
    assert maps.lens_recall(corner, inner, SHAPE, 1).tolist() == [1]
    assert maps.lens_recall(corner, inner, SHAPE, 1, radius=0).tolist() == [0]
    assert maps.lens_recall(corner, hot(2), SHAPE, 1).tolist() == [0]
    assert maps.lens_recall(corner, hot(2), SHAPE, 1, radius=2).tolist() == [1]
    assert maps.lens_recall(hot(3), hot(4), SHAPE, 1).tolist() == [0]
    assert maps.lens_recall(hot(0, 1), hot(0, 11), SHAPE, 2).tolist() == [1]
    assert maps.lens_recall(hot(0, 11), hot(0, 1), SHAPE, 2).tolist() == [0.5]
    assert maps.lens_recall(hot(12, size=13), hot(3, size=13), SHAPE, 1).tolist() == [1]
    assert maps.lens_recall(hot(3, size=13), hot(12, size=13), SHAPE, 1).tolist() == [0]
    both = maps.lens_recall(np.concatenate([corner, corner]), np.concatenate([hot(11), inner]), SHAPE, 1)
    assert both.tolist() == [0, 1]  # a neighbour in the next map is none


@given(a=a_map, b=a_map, k=st.integers(1, 20), radius=st.integers(0, 3))
def test_lens_recall_cell_by_cell(a: np.ndarray, b: np.ndarray, k: int, radius: int) -> None:
    """Plain loops; a wider radius finds no less."""
    rows, columns = SHAPE[1:]
    ours, theirs = ([divmod(int(c), columns) for c in maps.order(m)[0, :k] if c < rows * columns] for m in (a, b))
    found = [any(abs(r - x) <= radius and abs(c - y) <= radius for x, y in theirs) for r, c in ours]
    assert maps.lens_recall(a, b, SHAPE, k, radius) == pytest.approx([np.mean(found) if found else 1.0])
    assert maps.lens_recall(a, b, SHAPE, k, radius + 1) >= maps.lens_recall(a, b, SHAPE, k, radius)


def test_gini_by_hand() -> None:
    """One of four says all, all say the same, and quarters."""
    assert maps.gini(one(0, -7, 0, 0)) == pytest.approx([0.75])
    assert maps.gini(one(2, -2, 2, 2)) == pytest.approx([0])
    assert maps.gini(one(3, -1)) == pytest.approx([0.25])


@given(a=a_map)
def test_gini_is_the_mean_difference(a: np.ndarray) -> None:
    """Half the mean difference of two cells, by the mean."""
    assume(np.any(a))
    size = np.abs(a[0])
    apart = np.abs(size[:, None] - size[None, :]).mean()
    assert maps.gini(a) == pytest.approx([apart / (2 * size.mean())], abs=1e-12)


def test_entropy_by_hand() -> None:
    """One cell, two of four, all of them; of a single cell there is none."""
    assert maps.entropy(one(0, -7, 0, 0)) == pytest.approx([0])
    assert maps.entropy(one(3, 0, -3, 0)) == pytest.approx([0.5])
    assert maps.entropy(one(2, 2, -2, 2)) == pytest.approx([1])
    assert maps.entropy(one(5)) == pytest.approx([0])


@given(a=a_map)
def test_entropy_is_that_of_scipy(a: np.ndarray) -> None:
    """In units of the most there can be."""
    assume(np.any(a))
    assert maps.entropy(a) == pytest.approx([stats.entropy(np.abs(a[0]), base=CELLS)], abs=1e-12)


@pytest.mark.parametrize("name", PAIRS)
@given(a=a_map)
def test_a_map_is_like_itself(name: str, a: np.ndarray) -> None:
    """1, or no distance; what ranks or points needs something to rank."""
    assume(np.ptp(np.abs(a)) > 0)
    want = 0 if name in DISTANCES or name == "relative l2" else 1
    assert PAIRS[name](a, a.copy()) == pytest.approx([want], abs=1e-9)


@pytest.mark.parametrize("name", SHARES | CORRELATIONS | DISTANCES)
@given(a=a_map, b=a_map)
def test_neither_map_is_the_first(name: str, a: np.ndarray, b: np.ndarray) -> None:
    """The same both ways, and never beyond its ends."""
    found = PAIRS[name](a, b)
    assert found == pytest.approx(PAIRS[name](b, a), abs=1e-9)
    least = -1 if name in CORRELATIONS else 0
    assert least - 1e-9 <= found[0] <= 1 + 1e-9


@given(a=a_map, b=a_map)
def test_the_others_stay_inside(a: np.ndarray, b: np.ndarray) -> None:
    """Shares of one map or of one side: 0 to 1."""
    for found in (maps.gini(a), maps.entropy(a), ONE_WAY["lens recall"](a, b)):
        assert -1e-9 <= found[0] <= 1 + 1e-9
    assert maps.top_k(a, b, 4, signed=True) <= maps.top_k(a, b, 4)


@pytest.mark.parametrize("name", PAIRS)
@given(a=a_map)
def test_a_map_of_zeros_is_never_nan(name: str, a: np.ndarray) -> None:
    """On either side, and on both."""
    nothing = np.zeros_like(a)
    for pair in ((nothing, a), (a, nothing), (nothing, nothing)):
        found = PAIRS[name](*pair)
        assert found.shape == (1,)
        assert np.isfinite(found).all()


def test_a_map_of_zeros_is_even() -> None:
    """It says the same of all cells."""
    nothing = np.zeros((2, CELLS))
    assert maps.gini(nothing).tolist() == [0, 0]
    assert maps.entropy(nothing) == pytest.approx([1, 1])
    assert maps.order(nothing).tolist() == [list(range(CELLS))] * 2


@pytest.mark.parametrize("name", [*PAIRS, *ALONE])
@given(rows=st.lists(st.tuples(a_map, a_map), min_size=2, max_size=5))
def test_a_batch_is_one_at_a_time(name: str, rows: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """No map knows of the others."""
    left, right = (np.concatenate(side) for side in zip(*rows, strict=True))
    if name in ALONE:
        together, alone = ALONE[name](left), [ALONE[name](a) for a, _ in rows]
    else:
        assume(np.any(left, axis=-1).all())  # the distance from nothing has no measure
        together, alone = PAIRS[name](left, right), [PAIRS[name](a, b) for a, b in rows]
    assert together.shape == (len(rows),)
    assert together.dtype == np.float64
    assert together == pytest.approx(np.concatenate(alone), abs=1e-12)


@given(rows=st.lists(a_map, min_size=2, max_size=4))
def test_masses_and_orders_of_a_batch(rows: list[np.ndarray]) -> None:
    """Every mass is 1; every order names each cell once and goes down."""
    batch = np.concatenate(rows)
    assert maps.mass(batch).sum(axis=-1) == pytest.approx(np.ones(len(rows)))
    assert maps.mass(batch) == pytest.approx(np.concatenate([maps.mass(a) for a in rows]))
    found = maps.order(batch)
    assert np.sort(found, axis=-1).tolist() == [list(range(CELLS))] * len(rows)
    assert (np.diff(np.take_along_axis(np.abs(batch), found, axis=-1)) <= 0).all()
