"""Walks that see labels only, on boundaries whose distance is known exactly: planes and spheres."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from kit import Array, Model
from known import FAR, LANES, MARGIN, OUTPUT, SIZE, Case, case, found, lanes_of, linear, logits, ratios, region, run

from medaudit.core.compose import compose
from medaudit.core.protocol import Lanes, Search
from medaudit.core.region import L2, LINF, Region
from medaudit.oracle.goal import Goal, oracle
from medaudit.search import boundary, cgba, hopskipjump, rays
from medaudit.search import normal as normals
from medaudit.search.noise import ROWS, octets
from medaudit.search.paths import arc, line

RADIUS = 4.0


def walker(module: ModuleType, donors: Array | None = None, **settings: float) -> Search:
    """A walk, with clean records of class b to start from where some are given."""
    kinds = None if donors is None else np.ones(len(donors), dtype=np.int64)
    search: Search = module.search(module.Settings(**settings), donors, kinds)
    return search


@pytest.mark.parametrize("donated", [False, True])
@pytest.mark.parametrize(
    ("module", "norm", "eps", "rows", "slack"),
    [
        (hopskipjump, L2, 8.0, 1500, 1.03),
        (hopskipjump, LINF, 2.0, 1500, 1.06),
        (cgba, L2, 8.0, 1500, 1.02),
        (rays, LINF, 2.0, 600, 1.003),
        (boundary, L2, 8.0, 1000, 1.02),
    ],
)
def test_walk_finds_the_plane(
    module: ModuleType, norm: str, eps: float, rows: int, slack: float, donated: bool
) -> None:
    """Distances, from labels alone, come within a few percent of the exact one, and never below it."""
    one = case()
    donors = np.broadcast_to(3 * one.slope.astype(np.float32), one.x.shape) if donated else None
    done = run(one, region(one, norm, eps), walker(module, donors), "labels", rows, "budget", smallest=True)
    got = ratios(done, one.exact[norm])
    assert got.min() >= 1 - 1e-4, "nearer than possible"
    assert got.max() <= slack


@pytest.mark.parametrize(("module", "norm"), [(hopskipjump, L2), (cgba, L2), (boundary, L2), (rays, LINF)])
def test_walk_succeeds_only_where_eps_allows(module: ModuleType, norm: str) -> None:
    """A distance is a success inside eps only."""
    one = case()
    done = run(one, region(one, norm, 0.98 * one.exact[norm]), walker(module), "labels", 400, "budget", smallest=True)
    assert found(done) == [0] * LANES
    assert ratios(done, one.exact[norm]).min() >= 1 - 1e-4


@pytest.mark.parametrize("above", [False, True])
@pytest.mark.parametrize(
    ("module", "norm", "slack"),
    [(hopskipjump, L2, 1.03), (hopskipjump, LINF, 1.12), (cgba, L2, 1.02), (rays, LINF, 1.003), (boundary, L2, 1.02)],
)
def test_clean_points_at_the_edge_of_what_is_legal(module: ModuleType, norm: str, slack: float, above: bool) -> None:
    """Half of the numbers can move one way only, as black pixels can: the exact distance knows that."""
    one, area, shut = case(), region(case(), norm, 8.0), np.arange(SIZE) % 2 == 0
    lanes = lanes_of(one, area)
    lanes = lanes._replace(**{"hi" if above else "lo": np.where(shut, one.x, lanes.hi if above else lanes.lo)})
    gain = np.abs(one.scaled)[~shut | ((one.slope < 0) == above)]
    exact = MARGIN / (gain.sum() if norm == LINF else np.sqrt((gain**2).sum()))
    state = minimise(walker(module), area, lanes, linear(one), 1500)
    assert (state.size / exact).min() >= 1 - 1e-4, "nearer than possible"
    assert (state.size / exact).max() <= slack


def test_rays_starts_from_a_record_that_shares_numbers() -> None:
    """Another record whose numbers are partly the same, partly near: all of them join in the direction."""
    one, area = case(), region(case(), LINF, 0.01)
    share = np.tile([0.0, 0.01, 0.2, 1.0], SIZE // 4)
    donors = (one.x + 3 * share * np.sign(one.slope)).astype(np.float32)
    lanes = lanes_of(one, area)
    lanes = lanes._replace(legal_lo=one.x - FAR, legal_hi=one.x + FAR)
    state = minimise(walker(rays, donors), area, lanes, linear(one), 1000)
    assert (state.search.starts > 9).all(), "noise near eps is too small here"
    assert (state.size / one.exact[LINF]).min() >= 1 - 1e-4
    assert (state.size / one.exact[LINF]).max() <= 1.003


def minimise(search: Search, area: Region, lanes: Lanes, model: Model, rows: int) -> Any:
    """The composed attack's state after about so many rows a lane, of labels."""
    attack = compose(search, oracle(OUTPUT, Goal(), "labels"), area, stop="budget", smallest=True)
    state = attack.init(lanes)
    while state.rows.max() < rows:
        query = attack.ask(state)
        state = attack.tell(state, query, model(query.points))
    return state


def sphere(inside: bool) -> tuple[Case, Model, Array]:
    """Points at distance MARGIN from a sphere (in units of scale), a model of its two sides, and points beyond."""
    rng = np.random.default_rng(6)
    scale = rng.uniform(0.5, 2, SIZE).astype(np.float32)
    centre, way = rng.normal(0, 1, SIZE), rng.normal(0, 1, (LANES, SIZE))
    way /= np.sqrt((way**2).sum(axis=1))[:, None]
    far = RADIUS - MARGIN if inside else RADIUS + MARGIN
    x = (centre + far * way * scale).astype(np.float32)

    def model(points: Array) -> Array:
        out = np.sqrt((((points.astype(np.float64) - centre) / scale) ** 2).sum(axis=1)) - RADIUS
        return logits(out if inside else -out)

    beyond = centre + (2 * RADIUS if inside else 0) * way * scale
    return Case(np.zeros(SIZE), 0.0, x, scale, {L2: MARGIN}), model, beyond.astype(np.float32)


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize(
    ("module", "rows", "slack"), [(hopskipjump, 1500, 1.03), (cgba, 1500, 1.02), (boundary, 1500, 1.02)]
)
def test_walk_finds_the_sphere(module: ModuleType, rows: int, slack: float, inside: bool) -> None:
    """A boundary that bends away from the clean point, or around it."""
    one, model, donors = sphere(inside)
    area = region(one, L2, 2.0)
    done = run(one, area, walker(module, donors), "labels", rows, "budget", smallest=True, model=model)
    got = ratios(done, MARGIN)
    assert got.min() >= 1 - 1e-4, "nearer than possible"
    assert got.max() <= slack


def estimated(area: Region, lanes: Lanes, at: Array, model: Model, probes: int) -> Array:
    """The normals at points of a boundary, [LANES, SIZE] float64, from so many labels each."""
    normal, who = normals.begin(lanes), np.arange(LANES)
    out = np.empty((LANES * ROWS, SIZE), dtype=np.float32)
    reach, want = (np.full(LANES, number, dtype=np.float32) for number in (0.01, probes))
    for t in range(-(-probes // ROWS)):
        noise = octets(area, lanes.key, np.full(LANES, t), 2, who >= 0)
        normals.probes(area, lanes, who, at, reach, noise, out)
        hit = (model(out).argmax(axis=1) == 1).reshape(LANES, ROWS)
        normal, ready = normals.add(area, lanes, normal, who, noise, hit, want)
        assert ready.all() == ready.any() == ((t + 1) * ROWS >= probes)
    direction: Array = normal.direction.astype(np.float64)
    return direction


@pytest.mark.parametrize("probes", [40, 200, 1000])
def test_the_normal_is_as_good_as_its_probes(probes: int) -> None:
    """Of a plane: n outcomes of sign noise make a cosine of 1 / sqrt(1 + pi D / 2 n) with its normal.

    An outcome times its noise has the mean sqrt(2 / pi) g and a variance of about 1 in every number,
    for a unit normal g in which no number outweighs all others.
    """
    one, area = case(), region(case(), L2, 8.0)
    way = one.scaled / np.sqrt((one.scaled**2).sum())
    at = (one.x + one.exact[L2] * way * one.scale).astype(np.float32)
    direction = estimated(area, lanes_of(one, area), at, linear(one), probes)
    assert np.abs(np.sqrt((direction**2).sum(axis=1)) - 1).max() < 1e-5
    expected = (1 + 0.5 * np.pi * SIZE / probes) ** -0.5
    assert abs((direction @ way).mean() - expected) < 0.3 * (1 - expected) + 0.01


def test_the_signs_of_a_normal() -> None:
    """In Linf: signs only, right for all numbers that are not near zero."""
    one, area = case(), region(case(), LINF, 8.0)
    at = (one.x + one.exact[LINF] * np.sign(one.scaled) * one.scale).astype(np.float32)
    direction = estimated(area, lanes_of(one, area), at, linear(one), 2000)
    heavy = np.abs(one.scaled) > 0.2 * np.abs(one.scaled).mean()
    assert heavy.sum() > 12
    assert np.array_equal(direction[:, heavy], np.broadcast_to(np.sign(one.scaled), direction.shape)[:, heavy])


def test_ways_to_the_clean_point() -> None:
    """A line is straight, or cuts off at a radius; an arc is half a circle with the line as its diameter."""
    one, wide = case(), region(case(), L2, 8.0)
    rng, who = np.random.default_rng(9), np.arange(LANES)
    lanes = lanes_of(one, wide)
    delta, way = rng.normal(0, 0.5, (2, LANES, SIZE))
    far = (one.x + delta * one.scale).astype(np.float32)
    middle, radius = 0.5 * delta, 0.5 * np.sqrt((delta**2).sum(axis=1))
    for share in (0.0, 0.3, 0.8, 1.0):
        shares = np.full(LANES, share, dtype=np.float32)
        straight = (line(wide, lanes, who, far, shares) - one.x) / one.scale
        assert np.abs(straight - share * delta).max() < 1e-5
        cut = (line(region(one, LINF, 8.0), lanes, who, far, shares) - one.x) / one.scale
        assert np.abs(cut - np.clip(delta, -share, share)).max() < 1e-5
        bent = (arc(wide, lanes, who, far, way, shares) - one.x) / one.scale
        assert np.abs(np.sqrt(((bent - middle) ** 2).sum(axis=1)) - radius).max() < 1e-5
        angle = (1 - share) * np.pi / 2
        assert np.abs(np.sqrt((bent**2).sum(axis=1)) - 2 * radius * np.cos(angle)).max() < 1e-5
        assert ((bent - np.cos(angle) ** 2 * delta) * way).sum(axis=1).min() >= -1e-5
