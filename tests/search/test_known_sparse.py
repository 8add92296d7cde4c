"""Few changes: the best ones are known by sorting (linear models) or by trying all (small records)."""

from __future__ import annotations

import itertools
from types import ModuleType

import numpy as np
import pytest
from kit import Array, Model
from known import (
    FAR,
    LANES,
    MARGIN,
    OUTPUT,
    SIZE,
    answers,
    case,
    follow,
    found,
    lanes_at,
    lanes_of,
    lowest,
    region,
    run,
    value,
)
from scipy.optimize import differential_evolution

from medaudit.core.compose import compose
from medaudit.core.protocol import Lanes
from medaudit.core.region import L0, Part, Region
from medaudit.oracle.goal import Goal, oracle
from medaudit.search import entries, genetic, pixels, sparse, sparse_rs


def test_sparse_finds_the_best_single_number() -> None:
    """One change allowed: after a sweep the best score is that of the best single change."""
    one = case()
    attack = compose(sparse.search(), oracle(OUTPUT, Goal(), "scores"), area := region(one, L0, 1))
    state = attack.init(lanes_of(one, area))
    for _ in range(2 * SIZE):
        query = attack.ask(state)
        state = attack.tell(state, query, answers(one, query.points))
    for lane, x in enumerate(one.x):
        changed = np.repeat(x[None], 2 * SIZE, axis=0)
        for i in range(SIZE):
            changed[2 * i, i] -= np.float32(8)
            changed[2 * i + 1, i] += np.float32(8)
        logits = answers(one, changed)
        best = (logits[:, 0] - logits[:, 1]).argmin()
        assert np.array_equal(state.search.base[lane], changed[best])


def test_sparse_flips_with_the_fewest_numbers() -> None:
    """Greedy is exact on a linear model: as many changes as needed, and no success with fewer."""
    one = case()
    reach = np.sort(8 * np.abs(one.slope))[::-1]
    assert reach[0] > MARGIN, "one change is enough here"
    done = run(one, region(one, L0, 1), sparse.search(), "scores", 60)
    assert all(f.arrays["found"] > 0 and f.arrays["size"] == 1 for f in done)
    far = one._replace(offset=one.offset - reach[0])  # margin now needs a second number
    for eps, expected in ((1, False), (2, True)):
        done = run(far, region(far, L0, eps), sparse.search(), "scores", 120)
        assert [bool(f.arrays["found"] > 0) for f in done] == [expected] * LANES


def test_swaps_keep_trying_anew() -> None:
    """After its sweep the sparse search draws another change at every step."""
    one = case()
    area = region(one, L0, 1)
    seen: dict[int, set[bytes]] = {lane: set() for lane in range(LANES)}
    attack = compose(sparse.search(), oracle(OUTPUT, Goal(), "scores"), area, stop="budget")
    state = attack.init(lanes_of(one, area))
    for step in range(2 * SIZE + 60):
        query = attack.ask(state)
        if step >= 2 * SIZE:
            for lane, point in zip(query.lane, query.points, strict=True):
                seen[int(lane)].add(point.tobytes())
        state = attack.tell(state, query, answers(one, query.points))
    assert min(len(points) for points in seen.values()) > 25


GEOMETRIES = [
    ((Part("table", 1, 1, 20),), 3, 1200),
    ((Part("image", 2, 3, 3), Part("table", 1, 1, 2)), 2, 1200),
]


@pytest.mark.parametrize(("parts", "most", "ticks"), GEOMETRIES)
def test_sparse_rs_finds_the_best_places(parts: tuple[Part, ...], most: int, ticks: int) -> None:
    """The places whose numbers gain most at their corners, a pixel's planes together: known by sorting."""
    size = sum(part.size for part in parts)
    rng = np.random.default_rng(4)
    slope, x = rng.normal(0, 1, size), rng.normal(0, 1, (LANES, size)).astype(np.float32)
    lo, hi = (x + way * rng.uniform(0.2, 3, x.shape).astype(np.float32) for way in (-1, 1))
    model = value(lambda points: points @ slope)
    area = Region(L0, most, np.ones(size, dtype=np.float32), None, parts)
    lanes = lanes_at(x, lo, hi, model, list(range(LANES)))
    path = follow(sparse_rs.search(), area, lanes, model, ticks, lowest())
    corner = np.where(slope > 0, lo, hi)
    for lane in range(LANES):
        asked = path.points(lane)
        best = asked[model(asked)[:, 0].argmin()]
        gain = (slope * (corner[lane] - x[lane])).astype(np.float64)
        chosen = np.concatenate(sorted(places(parts), key=lambda numbers: gain[numbers].sum())[:most])
        expected = x[lane].copy()
        expected[chosen] = corner[lane, chosen]
        assert np.array_equal(best, expected)
        assert np.array_equal(path.state.search.score[lane], model(best[None])[0, 0])


def places(parts: tuple[Part, ...]) -> list[Array]:
    """The numbers of every pixel (all its planes) or cell."""
    out, begin = [], 0
    for part in parts:
        numbers = begin + np.arange(part.size).reshape(part.planes, part.rows * part.columns)
        out += list(numbers.T)
        begin += part.size
    return out


@pytest.mark.parametrize("module", [sparse, sparse_rs])
def test_no_success_with_fewer_places_than_needed(module: ModuleType) -> None:
    """Where the two best numbers together are just enough, one is never, and two are found."""
    one = case()
    reach = np.sort(float(FAR) * np.abs(one.slope))[::-1]
    far = one._replace(offset=one.offset + MARGIN - 0.999 * (reach[0] + reach[1]))
    for most, rows in ((1, 600), (2, 3000)):
        done = found(run(far, region(far, L0, most), module.search(), "scores", rows))
        assert min(done) > 0 if most == 2 else done == [0] * LANES


# --- a record with categories and whole numbers


CHOICES = np.array([4, 3, 0, 0, 5, 0])  # categories of each number
STEP = np.array([0, 0, 1, 0.5, 0, 1], dtype=np.float32)
LOW = np.array([0, 0, -2, -1, 0, 0], dtype=np.float32)
HIGH = np.array([3, 2, 2, 1, 4, 3], dtype=np.float32)
RECORD = Region(
    L0, 2, np.ones(6, dtype=np.float32), STEP, (Part("table", 1, 1, 6),), choices=CHOICES
)  # fmt: skip


def legal() -> list[Array]:
    """All values of each number."""
    return [
        np.arange(LOW[i], HIGH[i] + 0.1, 1 if CHOICES[i] else STEP[i], dtype=np.float32) for i in range(len(CHOICES))
    ]


def bumpy(coupled: bool) -> Model:
    """A random value for every value of a number; coupled: of two, so that none can be judged alone."""
    rng, values = np.random.default_rng(3), legal()
    count = range(len(values))
    pairs = list(itertools.combinations(count, 2)) if coupled else [(i, i) for i in count]
    tables = [rng.normal(0, 1, (len(values[i]), len(values[j]))) for i, j in pairs]

    def total(points: Array) -> Array:
        at = [np.searchsorted(values[i], points[:, i] - 0.1) for i in range(len(values))]
        return np.sum([table[at[i], at[j]] for (i, j), table in zip(pairs, tables, strict=True)], axis=0)

    return value(total)


def exhausted(x: Array, most: int) -> Array:
    """Every record that differs from x in at most so many numbers."""
    out = [x]
    for chosen in itertools.combinations(range(len(x)), most):
        for combination in itertools.product(*(legal()[i] for i in chosen)):
            point = x.copy()
            point[list(chosen)] = combination
            out.append(point)
    return np.stack(out)


@pytest.mark.parametrize(
    ("module", "most", "coupled", "rows"),
    [(sparse, 1, True, 600), (sparse, 2, False, 800), (genetic, 1, True, 1600), (genetic, 2, True, 3200)],
)
def test_the_best_record_of_all(module: ModuleType, most: int, coupled: bool, rows: int) -> None:
    """With so many changes allowed: as low as the lowest of all records, and all asked are among those.

    Swaps keep one of two changes, so two are surely found only where each number counts alone.
    """
    model = bumpy(coupled)
    rng = np.random.default_rng(5)
    x = np.stack([rng.choice(values, LANES) for values in legal()], axis=1)
    area = RECORD._replace(eps=float(most))
    search = module.search()
    lanes = lanes_at(x, LOW, HIGH, model, list(range(LANES)))
    path = follow(search, area, lanes, model, rows // search.quantum, lowest())
    for lane in range(LANES):
        every = exhausted(x[lane], most)
        asked = path.points(lane)
        assert {point.tobytes() for point in asked + 0.0} <= {point.tobytes() for point in every + 0.0}
        assert model(asked).min() == model(every).min()


# --- single entries


def test_random_entries_are_spread_as_stated() -> None:
    """Half of the draws go to the two ends, the others anywhere between; categories are all as likely."""
    share, end = (grid.ravel() for grid in np.meshgrid((np.arange(60) + 0.5) / 60, (np.arange(8) + 0.5) / 8))
    lo, hi = np.full(480, -1, dtype=np.float32), np.full(480, 3, dtype=np.float32)
    numbers = entries.random(RECORD, lo, hi, None, share, end)
    assert np.array_equal(numbers == -1, end < 0.25)
    assert np.array_equal(numbers == 3, end > 0.75)
    between = (end > 0.25) & (end < 0.75)
    assert np.abs(numbers[between] - (-1 + 4 * share[between])).max() < 1e-6
    categories = entries.random(RECORD, lo, hi, np.full(480, 5), share, end)
    assert np.array_equal(np.bincount(categories.astype(int)), [96] * 5)


def test_slots_are_both_ends_or_every_category() -> None:
    """One slot a category, two a number, and none beyond."""
    lanes = lanes_at(np.zeros((LANES, 6), dtype=np.float32), LOW, HIGH, bumpy(True), list(range(LANES)))
    assert entries.slots(RECORD) == 5
    assert entries.slots(RECORD._replace(choices=None)) == 2
    feature, slot = (np.broadcast_to(g.ravel(), (LANES, 30)) for g in np.meshgrid(np.arange(6), np.arange(5)))
    got = entries.value(RECORD, lanes, feature, slot)
    for i, count in enumerate(CHOICES):
        values = got[0, feature[0] == i]
        expected = np.arange(count) if count else [LOW[i], HIGH[i]]
        assert np.array_equal(values[: len(expected)], expected)
        assert np.isnan(values[len(expected) :]).all()


@pytest.mark.parametrize("full", [False, True])
def test_a_swap_takes_back_one_change_and_makes_one(full: bool) -> None:
    """The changed number with the largest draw goes back, the clean one with the largest draw changes."""
    x = np.zeros((LANES, 6), dtype=np.float32)
    lanes: Lanes = lanes_at(x, LOW, HIGH, bumpy(True), list(range(LANES)))
    lanes.hi[:, 5] = lanes.lo[:, 5]  # fixed
    base = x.copy()
    base[:, [0, 2]] = 2, -1
    draw = np.tile([0.1, 0.9, 0.7, 0.9, 0.9, 0.9, 0.9, 0.3, 0.1, 0.2, 0.8, 0.9, 0.99, 0.99], (LANES, 1))
    after = entries.swap(RECORD, lanes, base, np.full(LANES, full), draw)
    expected = base.copy()
    expected[:, 4] = 4  # draw 0.8, the largest of those that may change and have not
    if full:
        expected[:, 2] = 0  # draw 0.7 of the two changed
    assert np.array_equal(after, expected)


def test_few_pixels_find_what_scipys_evolution_finds() -> None:
    """One pixel of a weighted sum, over many seeds: as much gained on the average as by `differential_evolution`."""
    part, seeds, rows, ticks = Part("image", 1, 5, 6), 40, 20, 30
    slope = np.random.default_rng(2).normal(0, 1, 30)
    x = np.full((seeds, 30), 0.5, dtype=np.float32)
    model = value(lambda points: points @ slope)
    area = Region(L0, 1, np.ones(30, dtype=np.float32), None, (part,))
    lanes = lanes_at(x, np.zeros_like(x), np.ones_like(x), model, list(range(seeds)))
    path = follow(pixels.search(pixels.Settings(rows=rows)), area, lanes, model, ticks, lowest())
    ours, theirs, best = [], [], 0.5 * np.abs(slope).max()
    for lane in range(seeds):
        asked = path.points(lane)
        assert ((asked != 0.5).sum(axis=1) <= 1).all()
        found = asked[model(asked)[:, 0].argmin()]
        ours.append(float(((x[lane] - found) @ slope) / best))

        def gained(genes: Array) -> float:
            row, column = min(4, int(5 * genes[0])), min(5, int(6 * genes[1]))
            return float((genes[2] - 0.5) * slope[6 * row + column] / best)

        start = np.random.default_rng(lane).random((rows, 3))
        got = differential_evolution(
            gained, [(0, 1)] * 3, init=start, maxiter=ticks - 1, polish=False, rng=lane, tol=0, updating="deferred"
        )
        theirs.append(-float(got.fun))
    assert np.mean(ours) > np.mean(theirs) - 0.05
    assert min(ours) > 0.5


def test_few_pixels_breed_as_written() -> None:
    """A child takes what it takes from best + F (other - another): with no share crossed, one number alone."""
    part = Part("image", 2, 4, 4)
    x = np.full((1, 32), 0.5, dtype=np.float32)
    model = value(lambda points: points.sum(axis=1))
    area = Region(L0, 2, np.ones(32, dtype=np.float32), None, (part,))
    lanes = lanes_at(x, np.zeros_like(x), np.ones_like(x), model, [0])
    settings = pixels.Settings(rows=6, cross=1e-9)
    state = pixels.init(settings, area, lanes)
    state = state._replace(t=state.t + 1, score=np.arange(6, dtype=np.float32)[None])
    child = pixels._children(settings, lanes, state)
    assert ((child != state.points).sum(axis=2) <= 1).all()
    whole = pixels._children(pixels.Settings(rows=6, cross=1.0), lanes, state)
    pool = state.points[0].astype(np.float64)

    def explained(child: Array, a: int, b: int) -> bool:
        """One F for all numbers; where the sum leaves 0 to 1, anything."""
        for j in range(child.size):
            step = (child[j] - pool[0, j]) / (pool[a, j] - pool[b, j])
            mutant = pool[0] + step * (pool[a] - pool[b])
            inside = (mutant >= 0) & (mutant <= 1)
            if 0.5 <= step <= 1 and inside.any() and np.allclose(mutant[inside], child[inside], atol=1e-5):
                return True
        return False

    for i in range(6):
        others = [(a, b) for a in range(6) for b in range(6) if a != b and i not in (a, b)]
        assert sum(explained(whole[0, i], a, b) for a, b in others) == 1
