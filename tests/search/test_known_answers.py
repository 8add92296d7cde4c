"""On a linear model the smallest change is known exactly; searches must agree with it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from kit import Array, bits_of

from medaudit.core.compose import compose
from medaudit.core.interface import Output
from medaudit.core.protocol import Attack, Lanes, Search
from medaudit.core.region import L0, L2, LINF, Part, Region
from medaudit.core.streams import key
from medaudit.engine.inline import run_inline
from medaudit.engine.loop import Finished
from medaudit.oracle.goal import Goal, oracle
from medaudit.search import hopskipjump, nes, sparse, square

LANES, SIZE, MARGIN = 6, 20, 1.0
OUTPUT = Output("multiclass", ("y",), "logits", ("a", "b"))


class Case(NamedTuple):
    """A linear model, points that all lie equally far from its boundary, and those distances."""

    slope: Array  # [SIZE] float64, gradient of logit b minus logit a
    offset: float
    x: Array  # [LANES, SIZE] float32
    scale: Array  # [SIZE] float32
    exact: dict[str, float]


def case(seed: int = 0) -> Case:
    """Points at margin MARGIN from the boundary."""
    rng = np.random.default_rng(seed)
    slope, offset = rng.normal(0, 1, SIZE), 0.3
    scale = rng.uniform(0.5, 2, SIZE).astype(np.float32)
    raw = rng.normal(0, 1, (LANES, SIZE))
    margin = -(raw @ slope + offset)
    x = raw + ((margin - MARGIN) / (slope @ slope))[:, None] * slope
    scaled = slope * scale
    exact = {LINF: MARGIN / np.abs(scaled).sum(), L2: MARGIN / np.sqrt((scaled**2).sum())}
    return Case(slope, offset, x.astype(np.float32), scale, exact)


def answers(one: Case, points: Array) -> Array:
    """Two logits; class a where slope @ x + offset < 0."""
    z = (points.astype(np.float64) * one.slope).sum(axis=1) + one.offset
    return np.stack([-z / 2, z / 2], axis=1).astype(np.float32)


def region(one: Case, norm: str, eps: float) -> Region:
    """A table with a scale of its own for every number."""
    return Region(norm, eps, one.scale, None, (Part("table", 1, 1, SIZE),))


def lanes_of(one: Case, reach: Array, samples: list[int]) -> Lanes:
    """Lanes at points of the case, in boxes of a size."""
    x = one.x[samples]
    return Lanes(
        key=np.array([key("known", s) for s in samples], dtype=np.uint64),
        x=x,
        lo=x - reach,
        hi=x + reach,
        missing=None,
        ref=answers(one, x),
        label=np.zeros(len(samples), dtype=np.int64),
        target=np.full(len(samples), -1, dtype=np.int64),
    )


def run(
    one: Case,
    area: Region,
    search: Search,
    access: str,
    budget: int,
    stop: str = "flip",
    smallest: bool = False,
) -> list[Finished]:
    """Attack all points; the box is eps for Linf, and far away otherwise."""
    reach = (area.eps * area.scale).astype(np.float32) if area.norm == LINF else np.float32(8)

    def make_lanes(samples: list[int]) -> Lanes:
        return lanes_of(one, reach, samples)

    attack: Attack = compose(search, oracle(OUTPUT, Goal(), access), area, stop=stop, smallest=smallest)
    jobs = [("known", attack, budget, make_lanes, list(range(LANES)))]
    return run_inline(jobs, lambda p: answers(one, p), 64)


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


@pytest.mark.parametrize("norm", [LINF, L2])
@pytest.mark.parametrize("make", [square.search, nes.search])
def test_success_if_and_only_if_eps_allows(make: object, norm: str) -> None:
    """No success below the exact distance, and every lane succeeds well above it."""
    one, search = case(), make()  # type: ignore[operator]
    below = run(one, region(one, norm, 0.98 * one.exact[norm]), search, "scores", 1500)
    assert [int(f.arrays["found"]) for f in below] == [0] * LANES
    above = run(one, region(one, norm, 1.3 * one.exact[norm]), search, "scores", 3000)
    assert all(f.arrays["found"] > 0 for f in above)
    for done in above:
        assert float(done.arrays["size"]) >= one.exact[norm] * (1 - 1e-5)


@pytest.mark.parametrize(("norm", "eps", "slack"), [(L2, 8.0, 1.05), (LINF, 2.0, 1.15)])
def test_walk_finds_the_boundary(norm: str, eps: float, slack: float) -> None:
    """HopSkipJump's distance, from labels alone, comes within a few percent of the exact one."""
    one = case()
    donors = np.broadcast_to(3 * one.slope.astype(np.float32), one.x.shape)
    kinds = np.ones(LANES, dtype=np.int64)
    search = hopskipjump.search(hopskipjump.Settings(), donors, kinds)
    found = run(one, region(one, norm, eps), search, "labels", 3000, "budget", smallest=True)
    ratios = np.array([float(f.arrays["size"]) for f in found]) / one.exact[norm]
    assert ratios.min() >= 1 - 1e-4, "nearer than possible"
    assert np.median(ratios) <= slack
    assert ratios.max() <= slack + 0.1


def test_sparse_finds_the_best_single_number() -> None:
    """One change allowed: after a sweep the best score is that of the best single change."""
    one = case()
    attack = compose(sparse.search(), oracle(OUTPUT, Goal(), "scores"), region(one, L0, 1))
    state = attack.init(lanes_of(one, np.float32(8), list(range(LANES))))
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
    state = attack.init(lanes_of(one, np.float32(8), list(range(LANES))))
    for step in range(2 * SIZE + 60):
        query = attack.ask(state)
        if step >= 2 * SIZE:
            for lane, point in zip(query.lane, query.points, strict=True):
                seen[int(lane)].add(point.tobytes())
        state = attack.tell(state, query, answers(one, query.points))
    assert min(len(points) for points in seen.values()) > 25


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
