"""Explainers on models whose explanation is known: linear, additive, one interaction, small games by brute force."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest

from medaudit.core.interface import Channel, Input, Interface, Output
from medaudit.domain.cells import Wanted, cells_of
from medaudit.domain.fills import filled
from medaudit.probe import shapley as permutations
from medaudit.probe.explainer import Explainer, Ground, explain
from medaudit.probe.exported import retain
from medaudit.probe.gradient import gradient, smoothgrad
from medaudit.probe.kernel_shap import LENT, kernel_shap
from medaudit.probe.kinds import KINDS
from medaudit.probe.lime import lime, lime_compat
from medaudit.probe.occlusion import occlusion
from medaudit.probe.rise import rise
from medaudit.probe.shapley import shapley
from medaudit.probe.temporal import temporal

Ask = Callable[[np.ndarray], np.ndarray]
D, B = 7, 20  # columns and background rows of the tables


def spread(ground: Ground) -> np.ndarray:
    """The background rows that KernelSHAP lends: some from all over."""
    return ground.background[np.linspace(0, len(ground.background) - 1, min(LENT, len(ground.background))).astype(int)]


def of(domain: str, axes: tuple[str, ...], shape: tuple[int, ...]) -> Interface:
    item = Input("x", "float32", domain, ("batch", *axes), shape, ("batch", *axes), channels=(Channel("value"),))
    return Interface((item,), Output("binary", ("y",)))


def table(
    columns: int = D, background: np.ndarray | None = None, whole: tuple[int, ...] = (), key: int = 7
) -> Ground:  # fmt: skip
    """A table with spreads of its own, filled with background rows."""
    face = of("table", ("feature",), (columns,))
    lent = normal(B, columns, 1) if background is None else background.astype(np.float32)
    sd = np.linspace(0.5, 2, columns).astype(np.float32)
    return Ground(cells_of(face), face.parts, None, lent, sd, np.isin(np.arange(columns), whole), key)


def series(domain: str, wanted: Wanted, seed: int = 3) -> Ground:
    """Not a table, with its own fill."""
    axes, shape = {
        "signal": (("lead", "time"), (3, 40)),
        "image": (("channel", "row", "column"), (2, 12, 12)),
        "sequence": (("variable", "hour"), (3, 12)),
    }[domain]
    face = of(domain, axes, shape)
    cells, typical = cells_of(face, wanted), normal(1, face.size, seed)[0]

    def fill(points: np.ndarray) -> np.ndarray:
        return np.asarray(filled(cells, face.parts, typical, points))

    sd = np.linspace(0.5, 2, face.size).astype(np.float32)
    return Ground(cells, face.parts, fill, normal(5, face.size, 4), sd, np.zeros(face.size, bool), 7)


def normal(rows: int, columns: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)


def mapped(explainer: Explainer, points: np.ndarray, ask: Ask) -> np.ndarray:
    return explainer.reduce(explain(explainer, points, ask), points)


def linear(weight: np.ndarray) -> Ask:
    return lambda rows: (rows.astype(np.float64) @ weight + 3)[:, None]


def additive(rows: np.ndarray) -> np.ndarray:
    """A sum of one curve of each column."""
    return sum(curve(k, rows[:, k].astype(np.float64)) for k in range(rows.shape[1]))[:, None]  # type: ignore[index,return-value]


def curve(k: int, x: np.ndarray) -> np.ndarray:
    return np.asarray([np.sin(2 * x), x**2, np.exp(-x), (x > 0) * 3.0][k % 4] * (1 + k))


def tangled(rows: np.ndarray) -> np.ndarray:
    """Everything matters to everything."""
    x = rows.astype(np.float64)
    way = np.linspace(-1, 1, x.shape[1])
    return (np.tanh(x @ way) + np.sin(x[:, ::-1] * way).sum(axis=1) * np.cos(x.mean(axis=1)) + x[:, 0] * x[:, -1])[
        :, None
    ]


WEIGHT = np.array([2.0, -1.0, 0.5, 0.0, 3.0, -2.5, 1.5])
POINTS = normal(3, D, 2)


@pytest.mark.parametrize("count", [1, 4, B])
def test_linear_against_background(count: int) -> None:
    """Weight times distance from the mean of the background rows that are used, which are from all over them."""
    ground = table()
    used = ground.background[np.linspace(0, B - 1, count).astype(int)]
    expected = WEIGHT * (POINTS - used.mean(axis=0, dtype=np.float64))
    for kind in (occlusion, temporal):
        explainer = kind(ground, count * D)(0)
        assert explainer.asks == 1 + count * D
        np.testing.assert_allclose(mapped(explainer, POINTS, linear(WEIGHT)), expected, atol=1e-6)
    few = ground._replace(background=ground.background[:count])
    expected = WEIGHT * (POINTS - spread(few).mean(axis=0, dtype=np.float64))
    explainer = kernel_shap(few)(0)
    np.testing.assert_allclose(mapped(explainer, POINTS, linear(WEIGHT)), expected, atol=1e-6)


def in_turns(pairs: int, columns: int = D) -> int:
    """Rows of so many permutations, each with its reverse."""
    return 1 + pairs * (2 * columns - 1)


@pytest.mark.parametrize("turns", [1, 3])
@pytest.mark.parametrize("plan", [0, 5])
def test_linear_and_additive_shapley(turns: int, plan: int) -> None:
    """Where every background row has its turn as often as any other: exactly what each column does alone."""
    ground = table()
    explainer = shapley(ground, in_turns(turns * B))(plan)
    assert explainer.asks == in_turns(turns * B)
    expected = WEIGHT * (POINTS - ground.background.mean(axis=0, dtype=np.float64))
    np.testing.assert_allclose(mapped(explainer, POINTS, linear(WEIGHT)), expected, atol=1e-6)
    expected = alone(POINTS, ground.background)
    np.testing.assert_allclose(mapped(explainer, POINTS, additive), expected, atol=1e-6)


def alone(points: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Shapley values of the additive model."""
    both = [(points[:, k].astype(np.float64), background[:, k].astype(np.float64)) for k in range(points.shape[1])]
    return np.stack([curve(k, x) - curve(k, b).mean() for k, (x, b) in enumerate(both)], axis=1)


@pytest.mark.parametrize("coalitions", [30, 80, 126])
def test_additive_kernel_shap(coalitions: int) -> None:
    """Drawn or enumerated: a fit of an additive model leaves nothing."""
    ground = table()
    explainer = kernel_shap(ground, 1 + LENT * (1 + coalitions))(0)
    expected = alone(POINTS, spread(ground))
    np.testing.assert_allclose(mapped(explainer, POINTS, additive), expected, atol=1e-6)


def test_an_interaction_is_halved() -> None:
    """x1 times x2 before nothing: half of the product each, none for the others."""
    ground = table(background=np.zeros((1, D)))
    product = POINTS[:, 1].astype(np.float64) * POINTS[:, 2]

    def ask(rows: np.ndarray) -> np.ndarray:
        return (rows[:, 1].astype(np.float64) * rows[:, 2])[:, None]

    expected = np.zeros((3, D))
    expected[:, 1] = expected[:, 2] = product / 2
    for explainer in (shapley(ground, in_turns(2))(0), kernel_shap(ground)(0)):
        np.testing.assert_allclose(mapped(explainer, POINTS, ask), expected, atol=1e-6)
    # Taken out one by one, each has all of it.
    np.testing.assert_allclose(mapped(occlusion(ground)(0), POINTS, ask), 2 * expected, atol=1e-6)


def game(players: int, seed: int = 0) -> tuple[Ask, np.ndarray]:
    """A random set function, asked of rows of ones and zeros, with its exact Shapley values."""
    worth = np.random.default_rng(seed).normal(size=2**players)
    bit = 2 ** np.arange(players)
    value = np.zeros(players)
    for order in itertools.permutations(range(players)):
        there = 0
        for k in order:
            value[k] += worth[there + bit[k]] - worth[there]
            there += bit[k]
    return lambda rows: worth[(rows @ bit).astype(int)][:, None], value / math.factorial(players)


def played(players: int, key: int = 7) -> Ground:
    """All that stays is 1, all that is taken out 0."""
    return table(players, np.zeros((1, players)), key=key)


@pytest.mark.parametrize("players", [2, 3, 4, 5, 6, 7])
def test_kernel_shap_of_all_coalitions_is_exact(players: int) -> None:
    """Lundberg and Lee's theorem: the fit is the Shapley value."""
    ask, exact = game(players)
    explainer = kernel_shap(played(players), 2**players)(0)
    assert explainer.asks == 2**players
    found = mapped(explainer, np.ones((1, players), np.float32), ask)
    np.testing.assert_allclose(found[0], exact, atol=1e-6)


def test_kernel_shap_of_some_coalitions_is_near() -> None:
    """Over plans the mean of drawn fits is the Shapley value; more coalitions come nearer."""
    ask, exact = game(7)
    ones, off = np.ones((1, 7), np.float32), []
    for rows in (50, 100):
        found = np.array([mapped(kernel_shap(played(7), rows)(k), ones, ask)[0] for k in range(80)])
        np.testing.assert_allclose(found.sum(axis=1), exact.sum(), atol=1e-9)
        spread = found.std(axis=0, ddof=1)
        assert np.all(spread > 0)
        assert np.all(np.abs(found.mean(axis=0) - exact) < 4 * spread / np.sqrt(80) + 0.05)
        off.append(np.sqrt(np.mean((found - exact) ** 2)))
    assert off[1] < 0.8 * off[0]


def test_shapley_of_all_permutations_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """720 orders of six players, each once."""
    orders = np.array(list(itertools.permutations(range(6))), dtype=np.float64)
    drawn = permutations.draws

    def every(ground: Ground, name: str, plan: int, rows: int, n: int) -> np.ndarray:
        return orders if name == "shapley" else drawn(ground, name, plan, rows, n)

    monkeypatch.setattr(permutations, "draws", every)
    ask, exact = game(6)
    explainer = shapley(played(6), in_turns(720, 6))(0)
    np.testing.assert_allclose(mapped(explainer, np.ones((1, 6), np.float32), ask)[0], exact, atol=1e-9)


@pytest.mark.parametrize(("pairs", "share"), [(8, 0.95), (40, 0.98)])
def test_shapley_errs_as_it_says(pairs: int, share: float) -> None:
    """60 plans of one game: right in the mean, as far apart as their standard errors tell."""
    ask, exact = game(6)
    ones, found, said = np.ones((1, 6), np.float32), [], []
    for k in range(60):
        explainer = shapley(played(6), in_turns(pairs, 6))(k)
        values = explain(explainer, ones, ask)
        found.append(explainer.reduce(values, ones)[0])
        assert explainer.errors is not None
        said.append(explainer.errors(values, ones)[0])
    spread, error = np.std(found, axis=0, ddof=1), np.sqrt(np.mean(np.square(said), axis=0))
    assert np.all(spread < 1.5 * error)
    assert np.all(error < 1.5 * spread)
    assert np.all(np.abs(np.mean(found, axis=0) - exact) < 4 * error / np.sqrt(60))
    # Each plan by its own error; four of those that few pairs tell are not four of a normal law.
    off = np.abs(np.array(found) - exact) / np.array(said)
    assert np.mean(off < 4) > share


def test_shapley_errs_as_it_says_before_many_backgrounds() -> None:
    """With far more background rows than turns, whose differences count too."""
    ground = table(background=normal(400, D, 5))
    found, said = [], []
    for k in range(60):
        explainer = shapley(ground, in_turns(20))(k)
        values = explain(explainer, POINTS[:1], tangled)
        found.append(explainer.reduce(values, POINTS[:1])[0])
        assert explainer.errors is not None
        said.append(explainer.errors(values, POINTS[:1])[0])
    ratio = np.std(found, axis=0, ddof=1) / np.mean(said, axis=0)
    assert np.all(ratio < 1.5)
    assert np.all(ratio > 1 / 1.5)


def test_shapley_errors_by_hand() -> None:
    """Two turns, two background rows, a linear model: each turn gives the distance from its own row."""
    ground = table(background=normal(2, D, 5))
    explainer = shapley(ground, in_turns(2))(0)
    assert explainer.errors is not None
    values = explain(explainer, POINTS, linear(WEIGHT))
    apart = np.abs(WEIGHT * np.diff(ground.background.astype(np.float64), axis=0))
    np.testing.assert_allclose(explainer.errors(values, POINTS), np.repeat(apart / 2, 3, axis=0), atol=1e-6)


def test_coalitions_come_with_their_complement() -> None:
    """Drawn ones too; each before every background row."""
    explainer = kernel_shap(played(7), 60)(0)
    stay = explainer.rows(np.ones((1, 7), np.float32), np.zeros(explainer.asks, np.int64), np.arange(explainer.asks))
    np.testing.assert_array_equal(stay[:2], [[1] * 7, [0] * 7])
    np.testing.assert_array_equal(stay[2::2] + stay[3::2], 1)
    sizes = stay[2:].sum(axis=1)
    assert np.sum(sizes == 1) == np.sum(sizes == 6) == 7  # those that fit whole
    assert set(sizes[14:]) == {2, 3, 4, 5}


def value(points: np.ndarray) -> np.ndarray:
    return tangled(points)[:, 0]


def test_what_is_shared_out_is_what_there_is() -> None:
    """Shapley values add up to the answer less the mean answer to the background rows, whatever the model."""
    ground = table()
    own = value(POINTS)
    found = mapped(shapley(ground, in_turns(2 * B))(3), POINTS, tangled)
    np.testing.assert_allclose(found.sum(axis=1), own - value(ground.background).mean(), atol=1e-6)
    for rows in (0, 1 + LENT * 40):
        found = mapped(kernel_shap(ground, rows)(3), POINTS, tangled)
        np.testing.assert_allclose(found.sum(axis=1), own - value(spread(ground)).mean(), atol=1e-6)


WANTED = {"signal": Wanted(groups=3, windows=5), "image": Wanted(grid=3), "sequence": Wanted(hours=3)}


@pytest.mark.parametrize("domain", WANTED)
def test_what_is_shared_out_with_a_fill(domain: str) -> None:
    """The answer less the answer to the record's own fill."""
    ground = series(domain, WANTED[domain])
    assert ground.fill is not None
    points = normal(3, ground.cells.of.size, 2)
    expected = value(points) - value(ground.fill(points))
    for explainer in (shapley(ground, 300)(0), kernel_shap(ground, 300)(0)):
        found = mapped(explainer, points, tangled)
        np.testing.assert_allclose(found.sum(axis=1), expected, atol=1e-6)
        assert np.abs(expected).min() > 1e-3


@pytest.mark.parametrize("domain", WANTED)
def test_occlusion_takes_out_cell_by_cell(domain: str) -> None:
    """By hand: each cell's numbers from the fill, the rest from the record."""
    ground = series(domain, WANTED[domain])
    points = normal(2, ground.cells.of.size, 2)
    expected = [value(points) - value(without(ground, points, [cell])) for cell in range(ground.cells.size)]
    np.testing.assert_allclose(mapped(occlusion(ground)(0), points, tangled), np.stack(expected, axis=1), atol=1e-9)


def without(ground: Ground, points: np.ndarray, cells: list[int]) -> np.ndarray:
    assert ground.fill is not None
    return np.where(np.isin(ground.cells.of, cells), ground.fill(points), points)


@pytest.mark.parametrize("domain", ["signal", "sequence"])
def test_moments_are_nested_windows(domain: str) -> None:
    """By hand: out from here to the end, less out from the next one on; a variable's cells are all of its effect."""
    ground = series(domain, WANTED[domain])
    points = normal(2, ground.cells.of.size, 2)
    found = mapped(temporal(ground)(0), points, tangled)
    (grid,) = ground.cells.grids
    for row in range(grid.rows):
        own = list(range(row * grid.columns, (row + 1) * grid.columns))
        for k in range(grid.columns):
            later = value(without(ground, points, own[k + 1 :])) - value(without(ground, points, own[k:]))
            np.testing.assert_allclose(found[:, own[k]], later, atol=1e-9)
        whole = value(points) - value(without(ground, points, own))
        np.testing.assert_allclose(found[:, own].sum(axis=1), whole, atol=1e-6)
        assert np.abs(whole).max() > 0.1


def test_nothing_follows_in_an_image() -> None:
    """Nor in a table: there, moments are cells taken out one by one."""
    ground = series("image", WANTED["image"])
    points = normal(2, ground.cells.of.size, 2)
    one, other = (mapped(kind(ground)(0), points, tangled) for kind in (temporal, occlusion))
    np.testing.assert_array_equal(one, other)
    one, other = (mapped(kind(table(), 3 * D)(0), POINTS, tangled) for kind in (temporal, occlusion))
    np.testing.assert_array_equal(one, other)


def quadratic(rows: np.ndarray) -> np.ndarray:
    x = rows.astype(np.float64)
    return (x**2 @ WEIGHT + x[:, 0] * x[:, 1])[:, None]


def slope(points: np.ndarray) -> np.ndarray:
    out = 2 * points.astype(np.float64) * WEIGHT
    out[:, :2] += points[:, 1::-1]
    return out


@pytest.mark.parametrize("kind", [gradient, smoothgrad])
def test_slopes_for_each_spread(kind: Callable[[Ground], Callable[[int], Explainer]]) -> None:
    """Central differences err on no quadratic model, nor do pairs of noisy copies; categories have no slope."""
    ground = table(whole=(3,))
    moving = ground.sd * ~ground.whole
    for plan in (0, 1):
        found = mapped(kind(ground)(plan), POINTS, linear(WEIGHT + 1))
        np.testing.assert_allclose(found, np.tile((WEIGHT + 1) * moving, (3, 1)), atol=2e-5)
        found = mapped(kind(ground)(plan), POINTS, quadratic)
        np.testing.assert_allclose(found, slope(POINTS) * moving, atol=2e-4)


def test_noisy_copies_smooth_a_step() -> None:
    """Near a step, copies see it whose point does not; at the point alone there is none."""
    ground = table()._replace(sd=np.ones(D, np.float32))
    points = np.zeros((1, D), np.float32)
    points[0, 0] = 0.06  # beyond one step of 0.05, within the copies' noise

    def ask(rows: np.ndarray) -> np.ndarray:
        return (rows[:, :1] > 0).astype(np.float64)

    assert np.all(mapped(gradient(ground)(0), points, ask) == 0)
    found = np.mean([mapped(smoothgrad(ground)(k), points, ask)[0] for k in range(100)], axis=0)
    # The mean slope of the smoothed step: normal noise of 0.1, between steps of 0.05 to both sides.
    normal_cdf = [0.5 * (1 + math.erf(z / 0.1 / math.sqrt(2))) for z in (0.11, 0.01)]
    assert found[0] == pytest.approx((normal_cdf[0] - normal_cdf[1]) / 0.1, rel=0.1)
    assert np.all(found[1:] == 0)


@pytest.mark.parametrize("domain", WANTED)
def test_a_cell_moves_as_a_whole(domain: str) -> None:
    """The slope of a cell is the sum of its numbers' weights, each times its spread."""
    ground = series(domain, WANTED[domain])
    d = ground.cells.of.size
    weight = np.random.default_rng(8).normal(size=d)
    expected = np.bincount(ground.cells.of, weight * ground.sd)
    for kind in (gradient, smoothgrad):
        found = mapped(kind(ground)(0), normal(2, d, 2), linear(weight))
        np.testing.assert_allclose(found, np.tile(expected, (2, 1)), atol=1e-3)


@pytest.mark.parametrize("kind", [gradient, smoothgrad])
def test_random_signs_are_right_in_the_mean(kind: Callable[[Ground, int], Callable[[int], Explainer]]) -> None:
    """Fewer rows than columns: every plan errs, their mean does not."""
    ground, expected = table(), WEIGHT * table().sd
    copies = 16 if kind is smoothgrad else 1
    found = np.array([mapped(kind(ground, 1 + 2 * copies * 4)(k), POINTS[:1], linear(WEIGHT))[0] for k in range(400)])
    spread = found.std(axis=0, ddof=1)
    # Four directions: what the other columns do comes with random signs.
    others = np.sqrt((np.sum(expected**2) - expected**2) / 4)
    np.testing.assert_allclose(spread, others, rtol=0.15)
    assert np.all(np.abs(found.mean(axis=0) - expected) < 4 * spread / np.sqrt(400))


@pytest.mark.parametrize("plan", [0, 1])
def test_lime_of_a_linear_model_is_its_weights(plan: int) -> None:
    """Times the spread, within the hundredth that the ridge takes."""
    ground = table()
    found = mapped(lime(ground, 20000)(plan), POINTS, linear(WEIGHT))
    expected = np.tile(WEIGHT * ground.sd, (3, 1))
    np.testing.assert_allclose(found, expected, rtol=0.01, atol=1e-3)


def test_lime_sees_that_a_category_is_the_records() -> None:
    """The effect of being as in the record, beside the slope of a number."""
    background = normal(21, 4, 1)
    background[:, 2] = np.arange(21) % 3
    ground = table(4, background, whole=(2,))
    points = normal(3, 4, 2)
    points[:, 2] = [0, 1, 2]

    def ask(rows: np.ndarray) -> np.ndarray:
        return (2 * rows[:, 0].astype(np.float64) + 5 * (rows[:, 2] == 1))[:, None]

    found = mapped(lime(ground, 20000)(0), points, ask)
    expected = np.zeros((3, 4))
    expected[:, 0] = 2 * ground.sd[0]
    # Of a record of another category half of the others are category 1, and none of those as in the record.
    expected[:, 2] = [-2.5, 5, -2.5]
    np.testing.assert_allclose(found, expected, rtol=0.05, atol=0.05)


def regression(design: np.ndarray, weight: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Weighted least squares with an intercept, its coefficients held by a ridge of 1: as rows added to the data."""
    rows, columns = design.shape
    root = np.sqrt(weight)[:, None]
    held = np.concatenate([np.zeros((columns, 1)), np.eye(columns)], axis=1)
    left = np.concatenate([root * np.concatenate([np.ones((rows, 1)), design], axis=1), held])
    return np.asarray(np.linalg.lstsq(left, np.append(root[:, 0] * values, np.zeros(columns)))[0][1:])


def kernel(distance: np.ndarray, width: float) -> np.ndarray:
    return np.asarray(np.exp(-(distance**2) / width**2 / 2))


def asked(explainer: Explainer, points: np.ndarray, k: int) -> np.ndarray:
    """All rows of one point."""
    return np.asarray(explainer.rows(points, np.full(explainer.asks, k), np.arange(explainer.asks)))


@pytest.mark.parametrize("whole", [(), (2,), (0, 3)])
def test_lime_of_tables_is_a_regression_on_its_rows(whole: tuple[int, ...]) -> None:
    """Solved another way, on the rows that it asks: drawn in pairs about the record, near rows weigh more."""
    background = normal(B, 4, 1)
    background[:, list(whole)] = np.arange(B)[:, None] % 3
    ground = table(4, background, whole)
    points = normal(3, 4, 2)
    points[:, list(whole)] = np.arange(3)[:, None]
    explainer = lime(ground, 61)(0)
    found = mapped(explainer, points, tangled)
    for k, point in enumerate(points):
        rows = asked(explainer, points, k).astype(np.float64)
        design = np.where(ground.whole, rows == point, (rows - point) / ground.sd)
        moving = design[:, ~ground.whole]
        np.testing.assert_allclose(moving[1::2] + moving[2::2], 0, atol=1e-5)
        assert len(np.unique(np.abs(moving[1:, 0]).round(4))) == 30
        away = np.where(ground.whole, 1 - design, design)
        weight = kernel(np.linalg.norm(away, axis=1), 0.75 * np.sqrt(4))
        np.testing.assert_allclose(found[k], regression(design, weight, value(rows)), atol=1e-5)


def test_lime_of_cells_is_a_regression_on_its_masks() -> None:
    """In pairs of complements; the less of the record is left, the less a row weighs."""
    ground = series("sequence", WANTED["sequence"])._replace(fill=lambda own: 0 * own)
    points = np.ones((1, 36), np.float32)
    explainer = lime(ground, 81)(0)
    rows = asked(explainer, points, 0)
    masks = np.stack([rows[:, np.flatnonzero(ground.cells.of == cell)[0]] for cell in range(12)], axis=1)
    np.testing.assert_array_equal(masks[1::2] + masks[2::2], 1)
    weight = kernel(1 - np.sqrt(masks.mean(axis=1)), 0.25)
    expected = regression(masks.astype(np.float64), weight, value(rows))
    np.testing.assert_allclose(mapped(explainer, points, tangled)[0], expected, atol=1e-9)


def test_lime_compat_is_a_regression_on_its_quarters() -> None:
    """In the record's quarter or not; rows that share fewer quarters with it weigh less."""
    ground = table(4, normal(100, 4, 1))
    points = normal(3, 4, 2)
    explainer = lime_compat(ground, 81)(0)
    found = mapped(explainer, points, tangled)
    cuts = np.percentile(ground.background.astype(np.float64), [25, 50, 75], axis=0)
    for k, point in enumerate(points):
        rows = asked(explainer, points, k)
        same = np.all((rows[:, None, :] > cuts) == (point > cuts), axis=1).astype(np.float64)
        weight = kernel(np.sqrt((1 - same).sum(axis=1)), 0.75 * np.sqrt(4))
        np.testing.assert_allclose(found[k], regression(same, weight, value(rows)), atol=1e-9)


def test_lime_draws_categories_anew_in_every_plan() -> None:
    """And of all reference rows alike, whatever the other columns' are."""
    background = normal(B, 3, 1)
    background[:, :2] = np.arange(B)[:, None]
    ground = table(3, background, whole=(0, 1))
    one, other = (asked(lime(ground, 4001)(plan), normal(1, 3, 2), 0)[1:] for plan in (0, 1))
    assert np.mean(one[:, 0] == other[:, 0]) < 0.1
    assert np.mean(one[:, 0] == one[:, 1]) < 0.1
    counts = np.bincount(one[:, 0].astype(int), minlength=B)
    assert np.abs(counts - 200).max() < 4 * np.sqrt(200)


@pytest.mark.parametrize("domain", WANTED)
def test_lime_of_cells_is_occlusion_where_cells_add_up(domain: str) -> None:
    """A linear model: what a cell is worth does not hang on the others."""
    ground = series(domain, WANTED[domain])
    d = ground.cells.of.size
    points, weight = normal(2, d, 2), np.random.default_rng(8).normal(size=d)
    found = mapped(lime(ground, 8000)(0), points, linear(weight))
    expected = mapped(occlusion(ground)(0), points, linear(weight))
    np.testing.assert_allclose(found, expected, rtol=0.01, atol=1e-3 * np.abs(expected).max())


def test_lime_compat_gives_the_effect_of_the_records_quarter() -> None:
    """An answer that is 5 in one quarter and 0 elsewhere: 5 for a record of that quarter, -5/3 for others."""
    background = np.random.default_rng(1).permuted(np.tile(np.arange(100.0)[:, None], (1, 4)), axis=0)
    background[:, 3] = np.arange(100) % 4 == 0
    ground = table(4, background, whole=(3,))
    points = np.array([[40.0, 10, 80, 1], [90, 50, 20, 0], [3, 30, 60, 0]], np.float32)

    def ask(rows: np.ndarray) -> np.ndarray:
        return (5.0 * ((rows[:, 0] > 25) & (rows[:, 0] < 49)) + 2.0 * rows[:, 3])[:, None]

    found = mapped(lime_compat(ground, 8000)(0), points, ask)
    expected = np.array([[5, 0, 0, 2], [-5 / 3, 0, 0, -2], [-5 / 3, 0, 0, -2]])
    np.testing.assert_allclose(found, expected, atol=0.1)


def test_lime_compat_draws_what_the_reference_holds() -> None:
    """A quarter of the rows in each quarter of a column, none beyond its ends; categories as often as they are."""
    background = normal(400, 3, 1)
    background[:, 2] = np.repeat([0, 2, 5], [200, 120, 80])
    ground = table(3, background, whole=(2,))
    explainer = lime_compat(ground, 8001)(0)
    rows = explainer.rows(normal(1, 3, 2), np.zeros(8000, np.int64), np.arange(1, 8001))
    for column in range(2):
        own = background[:, column]
        assert own.min() <= rows[:, column].min() < rows[:, column].max() <= own.max()
        counts = np.bincount(np.searchsorted(np.percentile(own, [25, 50, 75]), rows[:, column]), minlength=4)
        assert np.abs(counts - 2000).max() < 4 * np.sqrt(8000 * 0.25 * 0.75)
        assert len(np.unique(rows[:, column])) > 7000  # between the values of the reference too
        assert abs(rows[:, column].mean() - own.mean()) < 0.1
    kinds, counts = np.unique(rows[:, 2], return_counts=True)
    np.testing.assert_array_equal(kinds, [0, 2, 5])
    np.testing.assert_allclose(counts / 8000, [0.5, 0.3, 0.2], atol=0.02)


def test_rise_of_a_linear_table_is_half_of_occlusion() -> None:
    """Where half of the coins are heads, the mean answer with a column less the mean answer is half of its effect."""
    ground = table()
    found = mapped(rise(ground, 6000)(0), POINTS, linear(WEIGHT))
    expected = mapped(occlusion(ground, B * D)(0), POINTS, linear(WEIGHT))  # of all background rows, as RISE's
    for point, one, other in zip(POINTS, found, expected, strict=True):
        assert np.corrcoef(one, other)[0, 1] > 0.98
        # The means differ by what the other columns do, by chance, and by whose background row it was.
        far = np.linalg.norm(WEIGHT * (point - ground.background), axis=1).max()
        np.testing.assert_allclose(2 * one, other, atol=4 * far / np.sqrt(6000))


@pytest.mark.parametrize("kind", ["occlusion", "shapley", "kernel-shap", "rise", "temporal"])
def test_sorted_reference_rows_explain_as_any_others(kind: str) -> None:
    """Two groups of patients one after the other: a map is about both, and does not turn round with their order."""
    background = np.concatenate([np.full((200, D), -2.0), np.full((200, D), 2.0)]).astype(np.float32)
    maps = []
    for rows in (background, background[::-1].copy()):
        explainer = KINDS[kind](table()._replace(background=rows), 4 * D if kind == "temporal" else 0)(0)
        maps.append(mapped(explainer, POINTS, linear(WEIGHT)))
    share = 2 if kind == "rise" else 1
    for found in maps:
        np.testing.assert_allclose(share * found, WEIGHT * POINTS, atol=1.0)


def test_shapley_of_unequal_turns_counts_every_background_row_the_same() -> None:
    """Seven permutations over three rows: of an additive model exact, and so say its errors."""
    ground = table()._replace(background=normal(3, D, 11))
    explainer = shapley(ground, in_turns(7))(0)
    expected = WEIGHT * (POINTS - ground.background.mean(axis=0, dtype=np.float64))
    np.testing.assert_allclose(mapped(explainer, POINTS, linear(WEIGHT)), expected, atol=1e-5)
    assert explainer.errors is not None
    values = explain(explainer, POINTS, linear(WEIGHT))
    np.testing.assert_allclose(explainer.errors(values, POINTS), 0, atol=1e-5)


@pytest.mark.parametrize("domain", WANTED)
def test_rise_ranks_cells_as_occlusion(domain: str) -> None:
    """Of a linear model whose weights change slowly, as its masks do."""
    ground = series(domain, WANTED[domain])
    part = ground.parts[0]
    down, across = np.indices((part.rows, part.columns)) / np.array([part.rows, part.columns])[:, None, None]
    plane = np.sin(3 * down + 1) * np.cos(3 * across)
    weight = np.broadcast_to(plane, (part.planes, part.rows, part.columns)).reshape(-1)
    points = np.ones((1, part.size), np.float32)
    ground = ground._replace(fill=lambda own: 0 * own)
    one, other = (mapped(e, points, linear(weight))[0] for e in (rise(ground, 4000)(0), occlusion(ground)(0)))
    assert np.corrcoef(one, other)[0, 1] > 0.95


@pytest.mark.parametrize("domain", WANTED)
def test_rise_shows_every_place_half_the_time(domain: str) -> None:
    """Masks from 0 to 1, the same in all planes of an image, of each lead its own; smooth along time and space."""
    ground = series(domain, WANTED[domain])._replace(fill=lambda own: 0 * own)
    part = ground.parts[0]
    explainer = rise(ground, 3001)(0)
    masks = explainer.rows(np.ones((1, part.size), np.float32), np.zeros(3000, np.int64), np.arange(1, 3001))
    masks = masks.reshape(3000, part.planes, part.rows, part.columns)
    assert masks.min() >= 0
    assert masks.max() <= 1
    np.testing.assert_allclose(masks.mean(axis=0), 0.5, atol=5 * 0.5 / np.sqrt(3000))
    coins = {"image": 7, "signal": 28, "sequence": 12}[domain]
    assert np.abs(np.diff(masks, axis=3)).max() == pytest.approx(coins / part.columns, rel=0.01)
    if domain == "image":
        np.testing.assert_array_equal(masks[:, 0], masks[:, 1])
        assert np.abs(np.diff(masks, axis=2)).max() == pytest.approx(coins / part.rows, rel=0.01)
        # A coin's variance, blended with a neighbour's by a random share down, and by one of its own across.
        diagonal = np.diagonal(masks[:, 0], axis1=1, axis2=2)[:, :9]
        assert diagonal.var(axis=0).mean() == pytest.approx((2 / 3) ** 2 / 4, rel=0.03)
    else:
        assert apart(masks[:, 0, 0], masks[:, 0, 1])
        np.testing.assert_allclose(masks[:, 0, :, :-2].var(axis=0), 2 / 3 / 4, rtol=0.1)


def apart(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether no number [n, a] goes along with one of the others [n, b]."""
    both = np.corrcoef(one, other, rowvar=False)[: one.shape[1], one.shape[1] :]
    return bool(np.abs(both).max() < 5 / np.sqrt(len(one)))


def test_rise_hides_every_input_on_its_own() -> None:
    """Masks of two inputs have nothing in common."""
    axes = "batch", "lead", "time"
    signal = Input("x", "float32", "signal", axes, (1, 30), axes, channels=(Channel("value"),))
    columns = Input("z", "float32", "table", ("batch", "feature"), (6,), ("batch", "feature"), channels=(Channel("v"),))
    face = Interface((signal, columns), Output("binary", ("y",)))
    ground = Ground(
        cells_of(face), face.parts, None, np.zeros((1, 36), np.float32), np.ones(36, np.float32), np.zeros(36, bool), 7
    )  # fmt: skip
    masks = asked(rise(ground, 3001)(0), np.ones((1, 36), np.float32), 0)[1:]
    assert apart(masks[:, :30], masks[:, 30:])
    assert set(masks[:, 30:].reshape(-1)) == {0, 1}


def test_rise_mixes_the_point_with_its_fill() -> None:
    """Nothing beyond the two; categories are one or the other."""
    ground = series("sequence", WANTED["sequence"])
    whole = np.arange(36) >= 24
    ground = ground._replace(whole=whole)
    assert ground.fill is not None
    points = normal(1, 36, 2)
    rows = rise(ground, 500)(0).rows(points, np.zeros(500, np.int64), np.arange(500))
    fill = ground.fill(points)
    share = (rows - fill) / (points - fill)
    assert share.min() > -1e-4
    assert share.max() < 1 + 1e-4
    assert np.isin(rows[:, whole], [points[0, whole], fill[0, whole]]).all()
    assert np.all((rows[:, whole] == points[:, whole]) | (rows[:, whole] == fill[:, whole]))
    assert 0.4 < np.mean(rows[1:, whole] == points[:, whole]) < 0.6


def test_retain_is_its_formula() -> None:
    """One hidden number, variable and hour at a time."""
    rng = np.random.default_rng(6)
    r, t, h, k = 2, 5, 4, 3
    alpha, beta, embedding = rng.random((r, t)), rng.normal(size=(r, t, h)), rng.normal(size=(h, k))
    out, x = rng.normal(size=h), rng.normal(size=(r, t, k))
    expected = np.zeros((r, t, k))
    for i, j, m in itertools.product(range(r), range(t), range(k)):
        inner = sum(out[n] * beta[i, j, n] * embedding[n, m] for n in range(h))
        expected[i, j, m] = alpha[i, j] * inner * x[i, j, m]
    np.testing.assert_allclose(retain(alpha, beta, embedding, out, x), expected, atol=1e-12)
    # Summed up they are the logit that RETAIN's context gives, less its bias.
    context = np.einsum("rt,rth,hk,rtk->rh", alpha, beta, embedding, x)
    np.testing.assert_allclose(expected.sum(axis=(1, 2)), context @ out)
