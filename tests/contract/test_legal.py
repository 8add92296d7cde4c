"""Every asked point is one the attacker may use; what may not change does not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from kit import COMBOS, MINIMISES, SAMPLES, SEARCHES, SIZE, Array, Counter, Problem, problem, solve

from medaudit.core.region import L0, L1, L2, LINF, PATCH

combos = pytest.mark.parametrize(("name", "norm", "kind"), COMBOS)
LEGAL = [(*combo, "sequence") for combo in COMBOS] + [
    (name, norm, "multiclass", domain) for name, norm in SEARCHES for domain in ("signal", "image")
]


def asked(task: Problem, budget: int) -> list[tuple[int, Array]]:
    """Points asked of each sample, with missing cells as the model saw them."""
    counter = Counter(task.model)
    solve(task, budget=budget, stop="budget", answer=counter)
    rows = counter.points
    return [(s, rows[rows[:, 0] == s]) for s in SAMPLES if (rows[:, 0] == s).any()]


@pytest.mark.parametrize(("name", "norm", "kind", "domain"), LEGAL)
def test_points_are_legal(name: str, norm: str, kind: str, domain: str) -> None:
    """Inside the box, on the grid, frozen where frozen, NaN where missing."""
    task = problem(name, norm, kind, domain)
    lanes, region = task.lanes, task.region
    assert lanes.missing is not None
    assert region.step is not None
    grid = region.step > 0
    for sample, points in asked(task, 110):
        gone = lanes.missing[sample]
        assert np.isnan(points[:, gone]).all(), "missing cells must be asked as missing"
        assert not np.isnan(points[:, ~gone]).any()
        x, lo, hi = (a[sample] for a in (lanes.x, lanes.lo, lanes.hi))
        shut = (lo == hi) & ~gone
        assert np.array_equal(points[:, shut], np.broadcast_to(x[shut], (len(points), shut.sum())))
        seen = ~gone
        low = points[:, seen] - lo[seen]
        high = hi[seen] - points[:, seen]
        assert low.min() >= 0, "below the box"
        assert high.min() >= 0, "above the box"
        here = grid & seen
        cells = points[:, here].astype(np.float64) / region.step[here].astype(np.float64)
        assert np.abs(cells - np.rint(cells)).max() < 1e-4, "between two steps of the grid"


def windows(delta: Array) -> Array:
    """Width of what changed in the kit's series (three rows of four), [R]; nothing of its table may."""
    assert not delta[:, :12].any()
    columns = (delta[:, 12:].reshape(-1, 3, 4) != 0).any(axis=1)
    return np.array([np.ptp(np.flatnonzero(row)) + 1 if row.any() else 0 for row in columns])


@combos
def test_points_are_within_eps(name: str, norm: str, kind: str) -> None:
    """Searches that read scores never ask outside eps; nobody claims a success there."""
    task = problem(name, norm, kind)
    lanes, region = task.lanes, task.region
    for sample, points in asked(task, 110):
        x = lanes.x[sample].astype(np.float64)
        delta = np.nan_to_num(points).astype(np.float64) - x
        if norm == L0:
            assert (delta != 0).sum(axis=1).max() <= region.eps
        elif norm == PATCH:
            assert windows(delta).max() <= region.eps
        elif name not in MINIMISES or norm == LINF:
            scaled = np.abs(delta / region.scale.astype(np.float64))
            sizes = {LINF: scaled.max(axis=1), L1: scaled.sum(axis=1), L2: np.sqrt((scaled**2).sum(axis=1))}[norm]
            assert sizes.max() <= region.eps * (1 + 1e-6)


@combos
def test_claims_are_true(name: str, norm: str, kind: str) -> None:
    """A claim reaches the goal when asked again, has the size it says, and is inside the box."""
    task = problem(name, norm, kind)
    lanes, region = task.lanes, task.region
    assert lanes.missing is not None
    for sample, one in solve(task, budget=110, stop="budget").items():
        claim, size = one.arrays["claim"], float(one.arrays["size"])
        if not np.isfinite(size):
            assert one.arrays["found"] == 0
            assert np.array_equal(claim, lanes.x[sample])
            continue
        point = np.where(lanes.missing[sample], np.nan, claim)[None]
        lane = np.array([sample], dtype=np.int64)
        _, hit = task.oracle.score(lanes, lane, task.model(point))
        assert hit[0]
        assert np.all(claim >= lanes.lo[sample])
        assert np.all(claim <= lanes.hi[sample])
        delta = (claim.astype(np.float64) - lanes.x[sample]) / region.scale
        real = {
            LINF: np.abs(delta).max(),
            L2: np.sqrt((delta**2).sum()),
            L1: np.abs(delta).sum(),
            L0: np.count_nonzero(delta),
            PATCH: windows(delta[None])[0] if norm == PATCH else 0,
        }[norm]
        assert size == pytest.approx(real, rel=1e-5)
        assert (one.arrays["found"] > 0) == (size <= region.eps * (1 + 1e-6))


@combos
def test_nothing_free_ends(name: str, norm: str, kind: str) -> None:
    """A lane whose every number is frozen ends, asks no other point, and finds nothing."""
    task = problem(name, norm, kind)
    shut = task.lanes._replace(lo=task.lanes.x, hi=task.lanes.x)
    frozen = dataclasses.replace(task, lanes=shut, stop="flip")
    counter = Counter(task.model)
    for sample, one in solve(frozen, budget=60, answer=counter).items():
        assert one.arrays["found"] == 0
        assert np.isinf(one.arrays["size"])
        assert np.array_equal(one.arrays["claim"], shut.x[sample])
    rows = np.nan_to_num(counter.points)
    for sample in SAMPLES:
        own = rows[rows[:, 0] == sample]
        assert np.array_equal(own, np.broadcast_to(shut.x[sample], own.shape))


@pytest.mark.parametrize("step", [0.0, 0.1, 0.05])
@pytest.mark.parametrize(("name", "norm"), SEARCHES)
def test_awkward_numbers(name: str, norm: str, step: float) -> None:
    """Values far from zero, boxes of a few steps of float32: still inside, to the bit."""
    task = problem(name, norm, "multiclass")
    rng = np.random.default_rng(int(step * 100))
    base = np.where(np.arange(SIZE) % 3 == 0, 1000.0, 3.7) * rng.choice([-1, 1], SIZE)
    x = (base + rng.normal(0, 1, (len(SAMPLES), SIZE))).astype(np.float32)
    if step:
        x = (np.rint(x / step) * step).astype(np.float32)
    wide = x.astype(np.float64)
    reach = np.where(np.arange(SIZE) % 2 == 0, 0.37, 0.0123)
    low, high = wide - reach, wide + reach
    if step:
        low, high = np.ceil(low / step) * step, np.floor(high / step) * step
    lo, hi = (np.where(np.abs(b - wide) < 1e-9, x, b).astype(np.float32) for b in (low, high))
    lo, hi = np.minimum(lo, x), np.maximum(hi, x)
    lo[:, 0] = hi[:, 0] = x[:, 0] = SAMPLES
    lanes = task.lanes._replace(x=x, lo=lo, hi=hi, missing=None, ref=task.model(x))
    lanes = lanes._replace(label=np.asarray(lanes.ref.argmax(axis=1), dtype=np.int64))
    grid = np.full(SIZE, step, dtype=np.float32)
    grid[0] = 0
    region = task.region._replace(step=grid if step else None, choices=None)
    if norm == LINF:
        region = region._replace(eps=1.0, scale=reach.astype(np.float32))
    awkward = dataclasses.replace(task, region=region, lanes=lanes)
    for sample, points in asked(awkward, 90):
        assert np.all(points >= lo[sample])
        assert np.all(points <= hi[sample])
        if norm == L0:
            assert (points != x[sample]).sum(axis=1).max() <= region.eps
