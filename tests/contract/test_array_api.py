"""Nothing NumPy-only slips in: the same searches and oracles on array-api-strict arrays.

What runs here runs on any array library that follows the standard; CuPy is one.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import array_api_strict as xp
import numpy as np
import pytest
from kit import (
    COMBOS,
    KINDS,
    SAMPLES,
    Counter,
    Problem,
    bits_of,
    build,
    output_of,
    search_of,
    solve,
)

from medaudit.core import region as regions
from medaudit.core import streams
from medaudit.core.arrays import (
    concat,
    leaves,
    map_tree,
    native,
    put,
    put_where,
    select,
    take,
    to_numpy,
)
from medaudit.core.compose import compose
from medaudit.core.region import Region
from medaudit.engine.inline import run_inline
from medaudit.engine.loop import Cohort, Finished, tick
from medaudit.oracle.decision import decide, masks, scores
from medaudit.oracle.goal import dice

combos = pytest.mark.parametrize(("name", "norm", "kind"), COMBOS)


def strict(array: Any) -> Any:
    """A strict copy of a NumPy array."""
    return xp.asarray(np.array(array))


def strict_region(region: Region) -> Region:
    """A region with strict arrays."""
    moved = {
        name: strict(value) for name in ("scale", "step", "choices") if (value := getattr(region, name)) is not None
    }
    return region._replace(**moved)


def strict_problem(name: str, norm: str, kind: str, domain: str = "sequence") -> Problem:
    """`build`, then everything that holds arrays moved over."""
    task = build(name, norm, kind, domain)
    region = strict_region(task.region)
    return dataclasses.replace(
        task,
        search=search_of(name, region, strict(task.donors), strict(task.kinds)),
        region=region,
        lanes=map_tree(strict, task.lanes),
    )


def run_strict(task: Problem, budget: int, stop: str) -> dict[int, Finished]:
    """The engine's own driver over strict arrays."""

    def make_lanes(samples: list[int]) -> Any:
        return map_tree(lambda a: xp.take(a, xp.asarray(samples), axis=0), task.lanes)

    attack = compose(task.search, task.oracle, task.region, stop=stop, smallest=task.smallest)
    job = ("check", attack, budget, make_lanes, list(SAMPLES))
    # Blocks of one row: the engine slices past the end of short blocks, which strict refuses.
    return {f.sample: f for f in run_inline([job], Counter(task.model, 1), 1, 64)}


def same(a: Finished, b: Finished) -> list[str]:
    """Names of what differs between a NumPy and a strict outcome."""
    wrong = [] if (a.rows, a.exhausted) == (b.rows, b.exhausted) else ["rows"]
    return wrong + [n for n in a.arrays if bits_of(a.arrays[n]) != bits_of(b.arrays[n])]


@combos
@pytest.mark.parametrize("stop", ["flip", "budget"])
def test_search_and_oracle(name: str, norm: str, kind: str, stop: str) -> None:
    """The same claims, scores, curves and counts as with NumPy, to the last bit."""
    expected = solve(build(name, norm, kind), budget=70, stop=stop)
    found = run_strict(strict_problem(name, norm, kind), 70, stop)
    for sample in SAMPLES:
        assert same(expected[sample], found[sample]) == []


@pytest.mark.parametrize("domain", ["signal", "image"])
@pytest.mark.parametrize(("name", "norm"), [("square", "linf"), ("square", "l2")])
def test_windows_of_other_geometries(name: str, norm: str, domain: str) -> None:
    """Signals and images have windows of their own."""
    expected = solve(build(name, norm, "multiclass", domain), budget=40, stop="budget")
    found = run_strict(strict_problem(name, norm, "multiclass", domain), 40, "budget")
    for sample in SAMPLES:
        assert same(expected[sample], found[sample]) == []


def test_state_stays_strict() -> None:
    """No step turns a state back into NumPy arrays; snapshots and resumes keep the namespace."""
    for name, norm in (("square", "linf"), ("nes", "l2"), ("hopskipjump", "l2"), ("sparse", "l0")):
        task = strict_problem(name, norm, "multiclass")

        def make_lanes(samples: list[int], task: Problem = task) -> Any:
            return map_tree(lambda a: xp.take(a, xp.asarray(samples), axis=0), task.lanes)

        waiting: list[tuple[int, bytes | None]] = [(sample, None) for sample in SAMPLES]
        for _ in range(3):
            cohort = Cohort("check", task.attack("budget"), 500, make_lanes)
            cohort.waiting.extend(waiting)
            for _ in range(3):
                tick([cohort], 1, Counter(task.model, 1), 500)
            assert not any(native(leaf) for leaf in leaves(cohort.state))
            waiting = list(cohort.snapshots())


ANSWERS = {
    kind: np.random.default_rng(3).normal(0.4, 0.6, (7, output_of(kind).width)).astype(np.float32) for kind in KINDS
}


@pytest.mark.parametrize("kind", KINDS)
def test_decisions(kind: str) -> None:
    """Scores and decisions, with a row that is no number."""
    output = output_of(kind)
    answers = np.clip(ANSWERS[kind], 0, 1) if kind in ("multilabel", "label") else ANSWERS[kind].copy()
    answers[3, 0] = np.nan
    with np.errstate(invalid="ignore"):
        for function in (scores, decide):
            expected = function(output, answers)
            found = to_numpy(function(output, strict(answers)))
            assert bits_of(found) == bits_of(expected)


def test_masks_and_dice() -> None:
    """Masks of both layouts, and their overlap."""
    output = output_of("dice")
    flat = dataclasses.replace(output, class_axis=0, thresholds=(0.4,))
    for form, answers in ((output, ANSWERS["dice"]), (flat, ANSWERS["dice"][:, :6])):
        expected = masks(form, answers)
        found = masks(form, strict(answers))
        assert bits_of(to_numpy(found)) == bits_of(expected)
        other = xp.asarray(np.roll(expected, 1, axis=0)) > 0
        overlap = dice(found > 0, other)
        assert bits_of(to_numpy(overlap)) == bits_of(dice(expected > 0, np.roll(expected, 1, axis=0) > 0))


def test_streams() -> None:
    """The same words, numbers and bytes."""
    keys = np.array([1, 2**63, 2**64 - 1], dtype=np.uint64)
    step = np.array([0, 7, 10**9], dtype=np.int64)
    for draw, n in ((streams.bits, 5), (streams.uniform, 5), (streams.octets, 130)):
        expected = draw(keys, step, 3, n)
        found = draw(strict(keys), strict(step), 3, n)
        assert bits_of(to_numpy(found)) == bits_of(expected)


def test_trees_and_lanes() -> None:
    """Take, concat and put of lanes."""
    a = np.arange(12, dtype=np.float32).reshape(4, 3)
    index, rows = np.array([2, 0]), np.full((2, 3), 9, dtype=np.float32)
    keep = np.array([True, False])
    s = strict(a)
    assert np.array_equal(to_numpy(take(s, strict(index))), take(a, index))
    assert np.array_equal(to_numpy(concat([s, s])), concat([a, a]))
    assert np.array_equal(to_numpy(put(s, strict(index), strict(rows))), put(a, index, rows))
    kept = put_where(s, strict(index), strict(rows), strict(keep))
    assert np.array_equal(to_numpy(kept), put_where(a, index, rows, keep))
    assert np.array_equal(to_numpy(s), a), "put writes to a copy"
    mask = a > 4
    assert bits_of(to_numpy(select(strict(mask), s, -s))) == bits_of(select(mask, a, -a))


def region_pair() -> tuple[Problem, Problem]:
    """One problem, in NumPy and in strict arrays."""
    return build("nes", "l2", "multiclass"), strict_problem("nes", "l2", "multiclass")


def test_regions() -> None:
    """Sizes, grids, boxes and balls."""
    plain, hard = region_pair()
    rng = np.random.default_rng(4)
    points = (plain.lanes.x + rng.normal(0, 1, plain.lanes.x.shape)).astype(np.float32)
    lane = np.arange(len(points))
    s, own = strict(points), strict(lane)
    for norm in ("linf", "l2", "l0"):
        expected = regions.size(plain.region._replace(norm=norm), plain.lanes, lane, points)
        found = regions.size(hard.region._replace(norm=norm), hard.lanes, own, s)
        assert bits_of(to_numpy(found)) == bits_of(expected)
    pairs = [
        (regions.snap(plain.region, points), regions.snap(hard.region, s)),
        (
            regions.snap_inward(plain.region, plain.lanes.x, points),
            regions.snap_inward(hard.region, hard.lanes.x, s),
        ),
        (regions.clip(plain.lanes, lane, points), regions.clip(hard.lanes, own, s)),
        (
            regions.shrink(plain.region, plain.lanes, points),
            regions.shrink(hard.region, hard.lanes, s),
        ),
        (regions.free(plain.lanes), regions.free(hard.lanes)),
    ]
    for expected, found in pairs:
        assert bits_of(to_numpy(found)) == bits_of(expected)
