"""How alike two maps of one record's cells are: maps [R, S] against maps [R, S], [R] float64 each.

A map's mass is each cell's share of all that it says; a map of nothing but zeros says the same of all. Ties go to the
cell that comes first. A shape is (first cell, rows, columns) of the cells of one input.
"""

from __future__ import annotations

import numpy as np

Shape = tuple[int, int, int]
TINY = 1e-300


def mass(a: np.ndarray) -> np.ndarray:
    """|a| / sum |a|, [R, S]; a map with a number that is not finite has none: NaN."""
    size = np.abs(np.asarray(a, dtype=np.float64))
    size = np.where(np.isfinite(size).all(axis=-1, keepdims=True), size, np.nan)
    total = size.sum(axis=-1, keepdims=True)
    return np.asarray(np.where(total <= TINY, 1 / size.shape[-1], size / np.maximum(total, TINY)))


def mass_overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sum of the smaller of the two masses: 1 less their total variation."""
    return np.asarray(np.minimum(mass(a), mass(b)).sum(axis=-1))


def signed_mass(a: np.ndarray) -> np.ndarray:
    """a / sum |a|, [R, S]."""
    return np.asarray(np.sign(a) * mass(a))


def signed_overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """1 less half the distance L1 of maps of mass 1 with their signs: what speaks for counts not as what is against."""
    return np.asarray(1 - 0.5 * np.abs(signed_mass(a) - signed_mass(b)).sum(axis=-1))


def order(a: np.ndarray) -> np.ndarray:
    """Cells from the largest |a| on, [R, S]."""
    return np.argsort(-np.abs(a), axis=-1, kind="stable")


def _chosen(a: np.ndarray, k: int) -> np.ndarray:
    out = np.zeros(a.shape, dtype=bool)
    np.put_along_axis(out, order(a)[..., :k], True, axis=-1)
    return out


def top_k(a: np.ndarray, b: np.ndarray, k: int, signed: bool = False) -> np.ndarray:
    """Share of the k largest cells of one that are among those of the other, with the same sign where signed."""
    k = min(k, a.shape[-1])
    both = _chosen(a, k) & _chosen(b, k)
    if signed:
        both &= np.sign(a) == np.sign(b)
    return np.asarray(both.sum(axis=-1) / k)


def top_k_by_column(a: np.ndarray, b: np.ndarray, shape: Shape, k: int, weight: np.ndarray) -> np.ndarray:
    """Overlap of each column's (hour's) k largest cells; weight [columns]: how much a column counts.

    Razmi et al. 2023 weigh hours by their mean mass over a cohort.
    """
    one, two = (np.swapaxes(grid(m, shape), -1, -2) for m in (a, b))
    each = top_k(one, two, k)
    return np.asarray(each @ (weight / max(weight.sum(), TINY)))


def grid(a: np.ndarray, shape: Shape) -> np.ndarray:
    """The cells of one input, [R, rows, columns]."""
    begin, rows, columns = shape
    return np.asarray(a[..., begin : begin + rows * columns].reshape(*a.shape[:-1], rows, columns))


def wasserstein_2d(a: np.ndarray, b: np.ndarray, shapes: list[Shape]) -> np.ndarray:
    """Mean over rows and columns of the distance W1 between the values in them, of maps of mass 1 with their signs.

    Razmi et al. 2023 sum W1 over hours and variables; of n values each, W1 is the mean distance of the sorted ones.
    """
    total, count = np.zeros(a.shape[:-1]), 0
    one, two = signed_mass(a), signed_mass(b)
    for shape in shapes:
        left, right = grid(one, shape), grid(two, shape)
        for axis in (-1, -2):
            far = np.abs(np.sort(left, axis=axis) - np.sort(right, axis=axis)).mean(axis=axis)
            total, count = total + far.sum(axis=-1), count + far.shape[-1]
    return np.asarray(total / max(count, 1))


def wasserstein_1d(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Distance W1 between all values of two maps of mass 1 with their signs, wherever they stand."""
    return np.asarray(np.abs(np.sort(signed_mass(a), axis=-1) - np.sort(signed_mass(b), axis=-1)).mean(axis=-1))


def l1(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sum of absolute differences of two maps of mass 1 with their signs, 0 to 2."""
    return np.asarray(np.abs(signed_mass(a) - signed_mass(b)).sum(axis=-1))


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of the maps as they are; of a map of zeros 0."""
    far = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return np.asarray((a * b).sum(axis=-1) / np.maximum(far, TINY))


def rank_biased_overlap(a: np.ndarray, b: np.ndarray, p: float = 0.9) -> np.ndarray:
    """Webber, Moffat, Zobel 2010, eq. 4, of the whole rankings, divided by what equal ones reach."""
    s = a.shape[-1]
    ranks = [np.argsort(order(m), axis=-1, kind="stable") for m in (a, b)]
    later = np.maximum(*ranks)  # the depth from which on a cell is in both
    counts = np.stack([np.bincount(own, minlength=s) for own in later.reshape(-1, s)]).reshape(later.shape)
    depth = np.arange(1, s + 1)
    weight = p ** (depth - 1)
    return np.asarray((np.cumsum(counts, axis=-1) / depth) @ weight / weight.sum())


def weighted_tau(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Vigna 2015, additive hyperbolic weights, of |a| and |b|."""
    from scipy.stats import weightedtau

    both = zip(np.abs(a).reshape(-1, a.shape[-1]), np.abs(b).reshape(-1, b.shape[-1]), strict=True)
    found = [float(weightedtau(x, y).statistic) for x, y in both]
    return np.asarray(np.nan_to_num(np.array(found)).reshape(a.shape[:-1]))


def spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of |a| and |b|."""
    from scipy.stats import rankdata

    one, two = (np.asarray(rankdata(np.abs(m), axis=-1)) - (m.shape[-1] + 1) / 2 for m in (a, b))
    return cosine(one, two)


def ssim(a: np.ndarray, b: np.ndarray, shape: Shape, window: int = 7) -> np.ndarray:
    """Structural similarity (Wang et al. 2004, eq. 13) of masses on their grid, each divided by the larger peak."""
    from scipy.ndimage import uniform_filter

    one, two = grid(mass(a), shape), grid(mass(b), shape)
    peak = np.maximum(np.maximum(one, two).max(axis=(-1, -2), keepdims=True), TINY)
    one, two = one / peak, two / peak
    size = (0,) * (one.ndim - 2) + tuple(min(window, n) for n in one.shape[-2:])
    size = tuple(max(1, n) for n in size)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.asarray(uniform_filter(values, size=size))

    mx, my = mean(one), mean(two)
    vx, vy, vxy = mean(one * one) - mx * mx, mean(two * two) - my * my, mean(one * two) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    found = (2 * mx * my + c1) * (2 * vxy + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))
    return np.asarray(found.mean(axis=(-1, -2)))


def centre_shift(a: np.ndarray, b: np.ndarray, shape: Shape) -> np.ndarray:
    """How far the centre of mass moves, as a share of the grid's diagonal (Ghorbani et al. 2019, section 2)."""
    one, two = (_centre(grid(mass(m), shape)) for m in (a, b))
    return np.asarray(np.linalg.norm(one - two, axis=-1) / max(np.hypot(shape[1] - 1, shape[2] - 1), 1.0))


def _centre(m: np.ndarray) -> np.ndarray:
    m = np.where(m.sum(axis=(-1, -2), keepdims=True) > TINY, m, 1.0)  # nothing there: the middle
    total = m.sum(axis=(-1, -2))
    down, across = (np.arange(n) for n in m.shape[-2:])
    return np.stack([(m.sum(axis=-1) @ down) / total, (m.sum(axis=-2) @ across) / total], axis=-1)


def lens_recall(a: np.ndarray, b: np.ndarray, shape: Shape, k: int, radius: int = 1) -> np.ndarray:
    """Share of the k largest cells of a on a grid that have one of b's within `radius` cells.

    Kamath et al. 2024, "Rethinking robustness of model attributions", section 4 (LENS-recall@k).
    """
    from scipy.ndimage import maximum_filter

    one, two = (grid(_chosen(m, min(k, m.shape[-1])), shape) for m in (a, b))
    size = (1,) * (two.ndim - 2) + (2 * radius + 1,) * 2
    near = maximum_filter(two.astype(np.uint8), size=size, mode="constant") > 0
    count = one.sum(axis=(-1, -2))
    return np.asarray(np.where(count > 0, (one & near).sum(axis=(-1, -2)) / np.maximum(count, 1), 1.0))


def gini(a: np.ndarray) -> np.ndarray:
    """Sparseness: 0 where all cells say the same, near 1 where one says all (Chalasani et al. 2020, section 2.2)."""
    some = np.sort(np.abs(a), axis=-1)
    n = a.shape[-1]
    place = np.arange(1, n + 1)
    total = np.maximum(some.sum(axis=-1), TINY)
    return np.asarray((some @ (2 * place - n - 1)) / (n * total))


def entropy(a: np.ndarray) -> np.ndarray:
    """Of the mass, as a share of what all cells alike have (Bhatt, Weller, Moura 2020, definition 4)."""
    m = mass(a)
    return np.asarray(-(m * np.log(np.maximum(m, TINY))).sum(axis=-1) / max(np.log(a.shape[-1]), TINY))
