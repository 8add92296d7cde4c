"""The contract of every kind of explanation, in every domain: rows, plans and maps that depend on nothing else."""

from __future__ import annotations

import array_api_strict as xp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medaudit.core.interface import Channel, Input, Interface, Output
from medaudit.policy.schema import EXPLAINERS
from medaudit.probe.explainer import Explainer, Ground, explain
from medaudit.probe.kinds import FILLS, KINDS, OWN, Spec, drawn, ground_of, plans_of

KIND = Channel("kind", kind="category", categories=("a", "b", "c"))
FLAG = Channel("flag", kind="binary")


def numbers(*names: str) -> tuple[Channel, ...]:
    return tuple(Channel(name, sd=1 + 0.3 * k) for k, name in enumerate(names))


def of(domain: str, axes: tuple[str, ...], shape: tuple[int, ...], channels: tuple[Channel, ...]) -> Input:
    return Input(domain, "float32", domain, ("batch", *axes), shape, ("batch", *axes), rate=20.0, channels=channels)


TABLE = of("table", ("feature",), (6,), (*numbers("a", "b", "c", "d"), FLAG, KIND))
SIGNAL = of("signal", ("lead", "time"), (2, 40), numbers("I", "II"))
IMAGE = of("image", ("channel", "row", "column"), (2, 9, 12), numbers("red", "green"))
SEQUENCE = of("sequence", ("variable", "hour"), (3, 12), (*numbers("pulse", "lactate"), KIND))
DOMAINS = {
    "table": (TABLE,), "signal": (SIGNAL,), "image": (IMAGE,), "sequence": (SEQUENCE,), "both": (SIGNAL, TABLE),
}  # fmt: skip
CASES = [(kind, domain) for kind in KINDS for domain in DOMAINS if kind != "lime-compat" or domain == "table"]
MISSING = [(kind, domain) for kind, domain in CASES if domain in ("table", "sequence", "both")]
# What draws its plan; gradients do where rows are fewer than cells need, KernelSHAP where coalitions are left over.
DRAWN = ("shapley", "kernel-shap", "lime", "lime-compat", "rise", "smoothgrad")
REFERENCE = 31  # odd: the median of a category is one of them
ROWS = 400

cases = pytest.mark.parametrize(("kind", "domain"), CASES)


def face(domain: str) -> Interface:
    return Interface(DOMAINS[domain], Output("binary", ("y",)))


def records(domain: str, rows: int, seed: int, missing: bool = False) -> np.ndarray:
    """Read-only points [rows, D]; of numbers, a fifth missing where that is wanted."""
    rng, parts = np.random.default_rng(seed), []
    for item in DOMAINS[domain]:
        part = rng.normal(0.5, 1, (rows, item.part.size)).astype(np.float32)
        if missing and item.domain in ("table", "sequence"):
            part[rng.random(part.shape) < 0.2] = np.nan
        parts.append(part)
    points = np.concatenate(parts, axis=1)
    for channel, most in ((KIND, 3), (FLAG, 2)):
        at = places(domain, channel)
        points[:, at] = rng.integers(0, most, (rows, len(at)))
    points.setflags(write=False)
    return points


def places(domain: str, channel: Channel) -> np.ndarray:
    """Numbers of a point that are this channel's."""
    found, begin = [], 0
    for item in DOMAINS[domain]:
        each = np.arange(item.part.size).reshape(len(item.channels), -1)
        found += [begin + each[k] for k, own in enumerate(item.channels) if own == channel]
        begin += item.part.size
    return np.concatenate([np.zeros(0, np.int64), *found])


def ground(kind: str, domain: str, seed: int = 5, missing: bool = False, **more: object) -> Ground:
    """With read-only arrays."""
    spec = Spec(kind=kind, **{"rows": ROWS, "groups": 2, "windows": 5, "grid": 3, "hours": 3, **more})  # type: ignore[arg-type]
    own = ground_of(spec, face(domain), records(domain, REFERENCE, 1, missing), seed)
    for array in (own.background, own.sd, own.whole, own.cells.of):
        array.setflags(write=False)
    return own


def plan(kind: str, domain: str, number: int = 0, seed: int = 5, missing: bool = False, **more: object) -> Explainer:
    """One plan, of its own ground."""
    rows = int(more.get("rows", ROWS))  # type: ignore[call-overload]
    return plans_of(Spec(kind=kind, rows=rows), ground(kind, domain, seed, missing, **more))(number)


def all_rows(explainer: Explainer, points: np.ndarray) -> np.ndarray:
    """[C, T, D]."""
    n, t = len(points), explainer.asks
    rows = explainer.rows(points, np.repeat(np.arange(n), t), np.tile(np.arange(t), n))
    assert rows.dtype == np.float32
    return rows.reshape(n, t, -1)


def bits(array: np.ndarray) -> bytes:
    return np.ascontiguousarray(array).tobytes()


def answers(explainer: Explainer, n: int, seed: int = 0, width: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, explainer.asks, width))


def test_every_kind_is_here() -> None:
    """A kind that is added comes into the battery, and says whether it draws."""
    assert {kind for kind, _ in CASES} == set(KINDS)
    assert {*KINDS, OWN} == set(EXPLAINERS)
    assert set(KINDS) - set(DRAWN) == {"occlusion", "temporal", "gradient"}


@cases
@pytest.mark.parametrize("fill", FILLS)
def test_the_first_row_is_the_point(kind: str, domain: str, fill: str) -> None:
    """Bit for bit, what is missing included; and some other row is not."""
    points = records(domain, 3, 2, missing=True)
    rows = all_rows(plan(kind, domain, fill=fill), points)
    for own, point in zip(rows, points, strict=True):
        assert bits(own[0]) == bits(point)
        assert len({bits(row) for row in own}) > 1


@cases
@settings(max_examples=12)
@given(data=st.data())
def test_rows_never_depend_on_company(kind: str, domain: str, data: st.DataObject) -> None:
    """Any rows of any points, in any order, alone or together: the same bits."""
    explainer, points = KEPT[kind, domain]
    every = all_rows(explainer, points)
    pairs = st.tuples(st.integers(0, len(points) - 1), st.integers(0, explainer.asks - 1))
    picked = np.array(data.draw(st.lists(pairs, min_size=1, max_size=30)))
    found = explainer.rows(points, picked[:, 0], picked[:, 1])
    assert bits(found) == bits(every[picked[:, 0], picked[:, 1]])
    # Points in another order and other points beside them, or none.
    others = np.array(data.draw(st.permutations(range(len(points)))))
    place = np.argsort(others)
    assert bits(explainer.rows(points[others], place[picked[:, 0]], picked[:, 1])) == bits(found)
    k, t = picked[0]
    assert bits(explainer.rows(points[k : k + 1], np.array([0]), np.array([t]))) == bits(found[0])


KEPT = {case: (plan(*case), records(case[1], 3, 2, missing=True)) for case in CASES}


@cases
def test_explanations_in_any_portions(kind: str, domain: str) -> None:
    """`explain` asks the same rows however many at once, and hands their answers back in their places."""
    explainer, points = KEPT[kind, domain]
    every = all_rows(explainer, points)
    for at_once in (7, 4096):
        seen: list[np.ndarray] = []

        def ask(rows: np.ndarray, seen: list[np.ndarray] = seen) -> np.ndarray:
            seen.append(rows)
            return np.arange(2 * len(rows)).reshape(-1, 2) + 2 * sum(map(len, seen[:-1]))

        values = explain(explainer, points, ask, at_once)
        assert max(map(len, seen)) <= at_once
        assert bits(np.concatenate(seen)) == bits(every)
        np.testing.assert_array_equal(
            values, np.arange(2 * every.shape[0] * every.shape[1]).reshape(len(points), -1, 2)
        )


@cases
@pytest.mark.parametrize("width", [1, 3])
def test_maps_never_depend_on_company(kind: str, domain: str, width: int) -> None:
    """Reduced together, alone or in another order: the same bits; only the first column is explained."""
    explainer, _ = KEPT[kind, domain]
    points, values = records(domain, 7, 3), answers(explainer, 7, width=width)
    for array in (points, values):
        array.setflags(write=False)
    for reduce in filter(None, (explainer.reduce, explainer.errors)):
        maps = reduce(values, points)
        assert maps.shape == (7, explainer.cells)
        assert maps.dtype == np.float64
        assert np.ptp(maps) > 0
        for k in range(7):
            assert bits(reduce(values[k : k + 1], points[k : k + 1])[0]) == bits(maps[k])
        assert bits(reduce(values[::-1], points[::-1])) == bits(maps[::-1])
        assert bits(reduce(np.ascontiguousarray(values[:, :, :1]), points)) == bits(maps)


@cases
def test_maps_are_linear_in_the_answers(kind: str, domain: str) -> None:
    """A map of a sum is the sum of the maps, and a constant more changes nothing."""
    explainer, _ = KEPT[kind, domain]
    points, one, other = records(domain, 2, 3), answers(explainer, 2, 1), answers(explainer, 2, 2)
    found = explainer.reduce(2 * one - other + 5, points)
    expected = 2 * explainer.reduce(one, points) - explainer.reduce(other, points)
    np.testing.assert_allclose(found, expected, atol=1e-8)


@cases
def test_a_plan_is_its_number(kind: str, domain: str) -> None:
    """The same number is the same plan: digest, rows and maps."""
    one, points = KEPT[kind, domain]
    other = plan(kind, domain)
    assert one.digest == other.digest
    assert len(one.digest) == 64
    assert bits(all_rows(one, points)) == bits(all_rows(other, points))
    values = answers(one, 3)
    assert bits(one.reduce(values, points)) == bits(other.reduce(values, points))


@cases
def test_other_plans_are_others_where_something_is_drawn(kind: str, domain: str) -> None:
    """All of them, and those of another seed; where nothing is drawn every plan is the same one."""
    points = KEPT[kind, domain][1]
    some = [plan(kind, domain, number) for number in (0, 1, 2, 77)] + [plan(kind, domain, seed=6)]
    rows = [bits(all_rows(one, points)) for one in some]
    different = len(some) if kind in DRAWN else 1
    assert len({one.digest for one in some}) == different
    assert len(set(rows)) == different
    assert drawn(some[0], some[1]) == (kind in DRAWN)


@pytest.mark.parametrize("domain", DOMAINS)
def test_gradients_draw_where_cells_are_many(domain: str) -> None:
    """One row and two for each cell are enough to draw nothing; one fewer are not."""
    s = KEPT["gradient", domain][0].cells
    enough = [plan("gradient", domain, number, rows=1 + 2 * s) for number in (0, 1)]
    few = [plan("gradient", domain, number, rows=2 * s) for number in (0, 1)]
    assert enough[0].digest == enough[1].digest
    assert few[0].digest != few[1].digest
    assert (enough[0].asks, few[0].asks) == (1 + 2 * s, 2 * s - 1)


def test_kernel_shap_draws_nothing_where_all_coalitions_fit() -> None:
    """2^6 - 2 coalitions of six columns before ten background rows each; one fewer, and the rest is drawn."""
    enough = 1 + 10 + 10 * 62
    assert plan("kernel-shap", "table", 0, rows=enough).digest == plan("kernel-shap", "table", 1, rows=enough).digest
    assert plan("kernel-shap", "table", 0, rows=enough).asks == enough
    few = [plan("kernel-shap", "table", number, rows=enough - 10).digest for number in (0, 1)]
    assert few[0] != few[1]


@cases
def test_about_as_many_rows_as_asked_for(kind: str, domain: str) -> None:
    """Never more than that, where background rows do not need more."""
    explainer = KEPT[kind, domain][0]
    least = explainer.cells + 1  # of occlusion, which asks no more where a fill is given
    assert least <= explainer.asks <= ROWS


@cases
def test_nothing_given_is_written_to(kind: str, domain: str) -> None:
    """Points, background, spreads, cells and answers are read-only here, and stay as they were."""
    own = ground(kind, domain)
    points = records(domain, 3, 2)
    given = [points, own.background, own.sd, own.whole, own.cells.of]
    before = [bits(array) for array in given]
    explainer = plans_of(Spec(kind=kind, rows=ROWS), own)(0)
    rows = all_rows(explainer, points)
    rows[...] = 7  # what it hands out is nobody else's
    assert [bits(array) for array in given] == before
    values = answers(explainer, 3)
    values.setflags(write=False)
    maps = explainer.reduce(values, points)
    kept = bits(values), bits(maps)
    maps[...] = 7
    assert (bits(values), bits(explainer.reduce(values, points))) == kept
    assert [bits(array) for array in given] == before


@cases
def test_a_constant_model_has_an_empty_map(kind: str, domain: str) -> None:
    """Zeros, and nothing in doubt."""
    explainer, points = KEPT[kind, domain]
    values = explain(explainer, points, lambda rows: np.full((len(rows), 1), 3.7))
    np.testing.assert_allclose(explainer.reduce(values, points), 0, atol=1e-9)
    if explainer.errors is not None:
        np.testing.assert_allclose(explainer.errors(values, points), 0, atol=1e-9)


def blind(rows: np.ndarray) -> np.ndarray:
    """A model for which what is missing is 0."""
    own = np.nan_to_num(rows.astype(np.float64))
    return (own @ np.linspace(1, 2, own.shape[1]) + np.tanh(own).prod(axis=1))[:, None]


@pytest.mark.parametrize(("kind", "domain"), MISSING)
@pytest.mark.parametrize("fill", FILLS)
def test_maps_of_records_with_missing_values(kind: str, domain: str, fill: str) -> None:
    """A model that knows what to do of them has finite maps, whether the reference misses values too or not."""
    points = records(domain, 3, 2, missing=True)
    assert np.isnan(points).any()
    for missing in (False, True):
        explainer = plan(kind, domain, missing=missing, fill=fill)
        values = explain(explainer, points, blind)
        maps = explainer.reduce(values, points)
        assert np.isfinite(maps).all()
        assert np.all(np.ptp(maps, axis=1) > 0)


@pytest.mark.parametrize(("kind", "domain"), [c for c in MISSING if c[0] in ("gradient", "smoothgrad")])
def test_what_is_missing_does_not_move(kind: str, domain: str) -> None:
    """Gradients have nowhere to go from it: it is missing in every row, and its map is 0 where the whole cell is."""
    points = records(domain, 3, 2, missing=True).copy()
    own = ground(kind, domain)
    points[:, own.cells.of == 0] = np.nan
    explainer = plan(kind, domain, rows=1000)  # enough for every cell alone
    gone = np.isnan(points)
    assert np.array_equal(np.isnan(all_rows(explainer, points)), np.repeat(gone[:, None], explainer.asks, axis=1))
    maps = explainer.reduce(explain(explainer, points, blind), points)
    of_cell = np.stack([np.bincount(own.cells.of, ~row, minlength=own.cells.size) for row in gone])
    moving = np.bincount(own.cells.of, ~own.whole, minlength=own.cells.size) > 0
    assert (of_cell == 0).any()
    np.testing.assert_allclose(maps[of_cell == 0], 0, atol=1e-9)
    assert np.all(np.abs(maps[(of_cell > 0) & moving[None, :]]) > 0.5)


@cases
@pytest.mark.parametrize("fill", ["", "own", "rows"])
def test_categories_stay_categories(kind: str, domain: str, fill: str) -> None:
    """Whole numbers that the reference or the point holds, in every row."""
    points = records(domain, 3, 2)
    rows = all_rows(plan(kind, domain, fill=fill), points)
    for channel, most in ((KIND, 3), (FLAG, 2)):
        own = rows[:, :, places(domain, channel)]
        assert np.isin(own, np.arange(most)).all()
    if domain != "signal" and domain != "image":
        moved = rows[:, :, places(domain, KIND)] != points[:, None, places(domain, KIND)]
        assert moved.any() == (kind not in ("gradient", "smoothgrad"))


@pytest.mark.parametrize(("kind", "domain"), CASES)
@pytest.mark.parametrize("fill", FILLS)
def test_rows_on_strict_arrays(kind: str, domain: str, fill: str) -> None:
    """Any library of the array API: the same bits, but of blurs, whose sums may run otherwise."""
    points = records(domain, 2, 2, missing=True)
    explainer = plan(kind, domain, fill=fill)
    n, t = len(points), explainer.asks
    which, number = np.repeat(np.arange(n), t), np.tile(np.arange(t), n)
    found = explainer.rows(*(xp.asarray(np.array(a)) for a in (points, which, number)))
    assert found.dtype == xp.float32
    expected = explainer.rows(points, which, number)
    if domain == "image":
        np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-6, atol=1e-6)
    else:
        assert bits(np.asarray(found)) == bits(expected)


@pytest.mark.parametrize("kind", [kind for kind, domain in CASES if domain == "table"])
def test_explain_on_strict_arrays(kind: str) -> None:
    """Answers come back as NumPy's, whatever the rows are."""
    points = records("table", 2, 2)
    explainer = plan(kind, "table")

    def ask(rows: xp.Array) -> xp.Array:
        return xp.sum(xp.astype(rows, xp.float64), axis=1, keepdims=True)

    values = explain(explainer, xp.asarray(np.array(points)), ask, 50)
    assert isinstance(values, np.ndarray)
    expected = explain(explainer, points, lambda rows: rows.astype(np.float64).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(values, expected, atol=1e-12)


def test_the_ground_of_a_model() -> None:
    """Spreads and kinds number by number; background rows from the first to the last, as many as wanted."""
    own = ground("occlusion", "both")
    reference = records("both", REFERENCE, 1)
    np.testing.assert_allclose(own.sd, np.concatenate([np.repeat([1, 1.3], 40), [1, 1.3, 1.6, 1.9, 1, 1]]), rtol=1e-6)
    np.testing.assert_array_equal(np.flatnonzero(own.whole), [84, 85])
    np.testing.assert_array_equal(own.background, reference)
    few = ground("occlusion", "both", background=4).background
    np.testing.assert_array_equal(few, reference[[0, 10, 20, 30]])


def test_what_is_usual_is_the_median_of_what_was_measured() -> None:
    """Of each number; missing where nothing ever was. Tables are filled with rows unless it is asked for."""
    reference = records("table", REFERENCE, 1, missing=True).copy()
    reference[:, 3] = np.nan
    own = ground_of(Spec(fill="own"), face("table"), reference, 0)
    assert own.fill is not None
    points = records("table", 2, 2)
    expected = [np.nan if k == 3 else np.median(column[~np.isnan(column)]) for k, column in enumerate(reference.T)]
    np.testing.assert_allclose(own.fill(points), np.tile(expected, (2, 1)), rtol=1e-6)
    assert ground_of(Spec(), face("table"), reference, 0).fill is None
    assert ground_of(Spec(), face("sequence"), records("sequence", 5, 1), 0).fill is not None
    late = records("sequence", REFERENCE, 1).reshape(REFERENCE, -1, 12).copy()
    late[:, 0, 3:] = np.nan  # an hour from which on a variable was never measured: what it usually is
    late[:, 1] = np.nan  # a variable that never was
    own = ground_of(Spec(), face("sequence"), late.reshape(REFERENCE, -1), 0)
    assert own.fill is not None
    usual = own.fill(records("sequence", 2, 2)).reshape(2, -1, 12)
    np.testing.assert_allclose(usual[:, 0, 3:], np.median(late[:, 0, :3]), rtol=1e-6)
    assert np.isnan(usual[:, 1]).all()
    gone = ground_of(Spec(fill="missing"), face("table"), reference, 0).fill
    assert gone is not None
    assert np.isnan(gone(points)).all()


def test_another_explainer_draws_other_plans() -> None:
    """Every field of its specification and the seed are in the key."""
    specs = [Spec(), Spec(kind="rise"), Spec(rows=5), Spec(background=5), Spec(hours=5), Spec(fill="own")]
    keys = [ground_of(spec, face("table"), records("table", 9, 1), seed).key for spec in specs for seed in (0, 1)]
    assert len(set(keys)) == len(keys)


def test_the_models_own_explanation_is_read_off() -> None:
    """One row, the point; the columns after the explained value are the map, a number of the record each."""
    for domain in ("table", "signal", "sequence"):
        spec = Spec(kind=OWN, tensor="map")
        own = ground_of(spec, face(domain), records(domain, REFERENCE, 1), 0)
        explainer = plans_of(spec, own)(0)
        points = records(domain, 3, 2)
        assert (explainer.asks, explainer.cells, explainer.width) == (1, points.shape[1], 1 + points.shape[1])
        assert bits(all_rows(explainer, points)[:, 0]) == bits(points)
        values = explain(explainer, points, lambda rows: np.concatenate([rows[:, :1] * 0 + 9, 2 * rows], axis=1))
        np.testing.assert_array_equal(explainer.reduce(values, points), 2 * points.astype(np.float64))
        assert len(set(own.cells.names)) == points.shape[1]
