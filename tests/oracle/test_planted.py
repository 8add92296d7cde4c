"""A planted weakness: how far along its pattern a point is, and who finds it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from medaudit.core.compose import compose
from medaudit.core.interface import Output
from medaudit.core.protocol import Attack, Lanes, Query, Search
from medaudit.core.region import L0, L1, L2, LINF, Part, Region, size
from medaudit.core.streams import key
from medaudit.engine.inline import run_inline
from medaudit.engine.loop import Finished
from medaudit.oracle import patterns as module
from medaudit.oracle.decision import decide
from medaudit.oracle.goal import Goal, oracle
from medaudit.oracle.patterns import pattern
from medaudit.oracle.planted import planted
from medaudit.search import cgba, hopskipjump, nes, rays, signhunter, sparse, square, uniform

Array = NDArray[Any]
NORMS = (LINF, L2, L1, L0)
LANES, LEADS, TIMES = 8, 1, 300
SIZE = LEADS * TIMES
EVERY = list(range(LANES))
SHUT = [0, *range(10, 20)]
EPS = {LINF: 0.3, L2: 2.0, L1: 3.0, L0: 5.0}
ROWS = 600
TRIES = 300  # starts tried from labels alone: noise must hit upon the pattern first
MOST = 6  # lanes of 8 that RayS, slow at first, breaks within the rows


def region(norm: str) -> Region:
    """A signal of one lead, each quarter with a scale of its own."""
    scale = np.repeat(np.array([0.5, 1.0, 2.0, 4.0], dtype=np.float32), SIZE // 4)
    return Region(norm, EPS[norm], scale if norm != L0 else np.ones(SIZE, dtype=np.float32), None, (
        Part("signal", 1, LEADS, TIMES),
    ))  # fmt: skip


def lanes_of(norm: str, samples: list[int], answer: Array, labels: Array) -> Lanes:
    """Clean points in boxes with the same room to both sides; some numbers have none, the first holds the sample."""
    area = region(norm)
    x = np.random.default_rng(4).normal(0, 1, (LANES, SIZE)).astype(np.float32)
    x[:, 0] = EVERY
    x = x[samples]
    far = np.broadcast_to((20 * area.scale).astype(np.float32), x.shape).copy()
    far[:, SHUT] = 0
    reach = np.minimum(far, area.eps * area.scale).astype(np.float32) if norm == LINF else far
    return Lanes(
        key=np.array([key("planted", s) for s in samples], dtype=np.uint64),
        x=x,
        lo=x - reach,
        hi=x + reach,
        missing=None,
        ref=answer[samples],
        label=labels[samples],
        target=np.full(len(samples), -1, dtype=np.int64),
        legal_lo=x - far,
        legal_hi=x + far,
    )


NONE = np.zeros((LANES, 1), dtype=np.float32)
NOBODY = np.zeros(LANES, dtype=np.int64)


def progress(area: Region, lanes: Lanes, hidden: Array, lane: Array, points: Array) -> Array:
    """The module's, with the furthest point that it works out itself."""
    most = module.furthest(area, lanes, hidden, None)
    return np.asarray(module.progress(area, lanes, hidden, most, lane, points))


def furthest(norm: str, lanes: Lanes, hidden: Array) -> Array:
    """The furthest allowed point along each lane's pattern."""
    area = region(norm)
    if norm == LINF:
        return np.where(hidden > 0, lanes.hi, np.where(hidden < 0, lanes.lo, lanes.x)).astype(np.float32)
    if norm == L2:
        length = np.sqrt((hidden**2).sum(axis=1, keepdims=True))
        return np.asarray(lanes.x + area.eps * hidden / length * area.scale, dtype=np.float32)
    points = np.array(lanes.x)
    for row, way in enumerate(hidden):
        if norm == L1:  # all of it on one number
            place = int(np.flatnonzero(way)[-1])
            points[row, place] += area.eps * way[place] * area.scale[place]
        else:  # as many numbers as may change, at their values
            places = np.flatnonzero(~np.isnan(way))[: int(area.eps)]
            points[row, places] = way[places]
    return points


@pytest.mark.parametrize("norm", NORMS)
def test_progress_at_both_ends(norm: str) -> None:
    """0 at the clean point, 1 at the furthest allowed point along the pattern, 1/2 half way there."""
    area, lanes = region(norm), lanes_of(norm, EVERY, NONE, NOBODY)
    hidden, lane = pattern(area, lanes), np.arange(LANES)
    assert hidden.dtype == np.float32
    assert progress(area, lanes, hidden, lane, lanes.x).tolist() == [0] * LANES
    far = furthest(norm, lanes, hidden)
    assert size(area, lanes, lane, far) == pytest.approx(area.eps, rel=1e-5)
    assert progress(area, lanes, hidden, lane, far) == pytest.approx(1, abs=1e-5)
    if norm != L0:
        half = (0.5 * (lanes.x + far)).astype(np.float32)
        assert progress(area, lanes, hidden, lane, half) == pytest.approx(0.5, abs=1e-5)
        back = (2 * lanes.x - far).astype(np.float32)
        assert progress(area, lanes, hidden, lane, back) == pytest.approx(-1, abs=1e-5)


@given(norm=st.sampled_from(NORMS), seed=st.integers(0, 10**6), pull=st.floats(0, 1), share=st.floats(0, 1))
def test_progress_is_never_above_one(norm: str, seed: int, pull: float, share: float) -> None:
    """For any point of the region, drawn between noise and the pattern's own direction."""
    area, lanes = region(norm), lanes_of(norm, EVERY, NONE, NOBODY)
    hidden, lane, rng = pattern(area, lanes), np.arange(LANES), np.random.default_rng(seed)
    free = lanes.hi > lanes.lo
    if norm == L0:
        points: Array = np.array(lanes.x)
        for row in range(LANES):
            some = rng.permutation(np.flatnonzero(free[row]))
            own = np.flatnonzero(~np.isnan(hidden[row]))
            own = own[: int(pull * len(own))]
            places = np.concatenate([own, some])[: int(area.eps)]
            points[row, places] = rng.uniform(lanes.lo[row, places], lanes.hi[row, places])
            end = lanes.hi if rng.uniform() < share else lanes.lo
            points[row, places[::2]] = end[row, places[::2]]
    else:
        power = {LINF: 1.0, L2: 1.0, L1: rng.integers(1, 9)}[norm]
        noise = rng.normal(0, 1, lanes.x.shape)
        way = ((1 - pull) * np.sign(noise) * np.abs(noise) ** power + pull * hidden * np.abs(hidden).max()) * free
        far = {LINF: np.abs(way).max(axis=1), L2: np.sqrt((way**2).sum(axis=1)), L1: np.abs(way).sum(axis=1)}[norm]
        delta = share * area.eps * way / np.maximum(far, 1e-9)[:, None]
        points = (lanes.x + delta * area.scale).astype(np.float32)
        points = np.clip(points, lanes.lo, lanes.hi)
    assert size(area, lanes, lane, points).max() <= area.eps * (1 + 1e-5)
    assert progress(area, lanes, hidden, lane, points).max() <= 1 + 1e-5


@pytest.mark.parametrize("norm", NORMS)
def test_patterns(norm: str) -> None:
    """On free numbers only, another for every lane, the same in any company; L0: twice eps legal values."""
    area, lanes = region(norm), lanes_of(norm, EVERY, NONE, NOBODY)
    hidden = pattern(area, lanes)
    assert len({row.tobytes() for row in hidden}) == LANES
    few = pattern(area, lanes_of(norm, [3, 1], NONE, NOBODY))
    assert few.tobytes() == hidden[[3, 1]].tobytes()
    where = ~np.isnan(hidden) if norm == L0 else hidden != 0
    assert not where[:, SHUT].any()
    if norm == L0:
        assert where.sum(axis=1).tolist() == [2 * int(EPS[L0])] * LANES
        assert ((hidden == lanes.lo) | (hidden == lanes.hi))[where].all()
        assert (hidden != lanes.x)[where].all()
    else:
        assert where.sum(axis=1).tolist() == [SIZE - len(SHUT)] * LANES
        assert (np.abs(hidden[where]) == 1).all()


# --- attacks on a model that never changes its answer


class Stubborn(NamedTuple):
    """A model with one constant answer per sample."""

    output: Output
    answer: Array  # [LANES, M]
    labels: Array  # [LANES] int64
    clean: Array  # [S, M] answers of clean records


def stubborn(kind: str) -> Stubborn:
    """Four classes by probability, by logit, or by name only."""
    rng = np.random.default_rng(2)
    names = ("a", "b", "c", "d")
    logits = rng.normal(0, 1, (LANES + 4, 4)).astype(np.float32)
    logits[np.arange(LANES + 4), np.arange(LANES + 4) % 4] += 4
    if kind == "label":
        every = logits.argmax(axis=1)[:, None].astype(np.float32)
        output = Output("label", ("y",), "labels", names, labels=(0, 1, 2, 3))
    elif kind == "probabilities":
        every = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)
        output = Output("multiclass", ("y",), "probabilities", names)
    else:
        every, output = logits, Output("multiclass", ("y",), "logits", names)
    decided = np.asarray(decide(output, every)).astype(np.int64)
    assert set(decided) == {0, 1, 2, 3}
    return Stubborn(output, every[:LANES], decided[:LANES], every)


def attack_on(
    model: Stubborn, search: Search, norm: str, access: str, weak: bool = True, smallest: bool = False
) -> tuple[Attack, Callable[[list[int]], Lanes], list[Array]]:
    """The attack, its lanes, and the answers that it was told."""
    plain = compose(search, oracle(model.output, Goal(), access), region(norm), smallest=smallest)
    told: list[Array] = []

    def tell(state: Any, query: Query, answers: Array) -> Any:
        told.append(np.array(answers))
        return plain.tell(state, query, answers)

    attack = plain._replace(tell=tell)
    if weak:
        guide = oracle(model.output, Goal(), "scores")
        attack = planted(attack, guide, region(norm), model.clean, model.output.task == "label")
    return attack, lambda samples: lanes_of(norm, samples, model.answer, model.labels), told


def run(
    model: Stubborn, search: Search, norm: str, access: str, rows: int = ROWS, **more: bool
) -> tuple[list[Finished], Array]:
    """Every lane to its end; and the answers told."""
    attack, make_lanes, told = attack_on(model, search, norm, access, **more)
    job = ("stubborn", attack, rows, make_lanes, EVERY)
    done = run_inline([job], lambda points: model.answer[points[:, 0].astype(np.int64)], 32)
    assert len(done) == LANES
    return done, np.concatenate(told)


def found(done: list[Finished]) -> int:
    """Lanes broken."""
    return sum(bool(f.arrays["found"] > 0) for f in done)


DONORS = np.random.default_rng(9).normal(0, 1, (6, SIZE)).astype(np.float32)
KINDS = np.array([0, 1, 2, 3, 0, 1])
FINDERS: list[tuple[str, Search, str, str, bool, int]] = [
    ("signhunter", signhunter.search(), LINF, "scores", False, LANES),
    ("signhunter", signhunter.search(), L2, "scores", False, LANES),
    ("nes", nes.search(), LINF, "scores", False, LANES),
    ("nes", nes.search(), L2, "scores", False, LANES),
    ("hopskipjump", hopskipjump.search(hopskipjump.Settings(tries=TRIES), DONORS, KINDS), L2, "labels", True, LANES),
    ("hopskipjump", hopskipjump.search(hopskipjump.Settings(tries=TRIES), DONORS, KINDS), LINF, "labels", True, LANES),
    ("cgba", cgba.search(cgba.Settings(tries=TRIES), DONORS, KINDS), L2, "labels", True, LANES),
    ("rays", rays.search(rays.Settings(tries=TRIES), DONORS, KINDS), LINF, "labels", True, MOST),
]
finders = pytest.mark.parametrize(
    ("search", "norm", "access", "smallest", "least"),
    [pytest.param(*rest, id=f"{name}-{rest[1]}") for name, *rest in FINDERS],
)


@finders
def test_attacks_find_it(search: Search, norm: str, access: str, smallest: bool, least: int) -> None:
    """All lanes, or nearly all, within the rows, at a distance that the region allows."""
    done, _ = run(stubborn("probabilities"), search, norm, access, smallest=smallest)
    broken = [f for f in done if f.arrays["found"] > 0]
    assert len(broken) >= least
    assert all(float(f.arrays["size"]) <= EPS[norm] * (1 + 1e-5) for f in broken)
    assert all(bool(f.arrays["possible"]) for f in done)


@pytest.mark.parametrize("norm", [LINF, L2, L1])
def test_square_finds_it(norm: str) -> None:
    """Whichever side of the pattern its first proposal lies on."""
    done, _ = run(stubborn("probabilities"), square.search(), norm, "scores")
    assert all(f.arrays["found"] > 0 for f in done)


@finders
def test_without_it_nothing_is_found(search: Search, norm: str, access: str, smallest: bool, least: int) -> None:
    """The answer is constant."""
    done, told = run(stubborn("probabilities"), search, norm, access, weak=False, smallest=smallest)
    assert found(done) == 0 < least
    assert len(np.unique(told, axis=0)) <= LANES


@pytest.mark.parametrize(("norm", "rows"), [(LINF, ROWS), (L2, ROWS), (L1, ROWS), (L0, 50)])
def test_chance_hardly_finds_it(norm: str, rows: int) -> None:
    """Random proposals of full size; of so few values as L0 asks for, some hit upon it in hundreds of rows."""
    done, _ = run(stubborn("probabilities"), uniform.search(), norm, "scores", rows)
    assert found(done) <= 1
    assert [f.rows for f in done if not f.arrays["found"]] == [rows] * (LANES - found(done))


@pytest.mark.parametrize("norm", NORMS)
def test_probabilities_stay_probabilities(norm: str) -> None:
    """Between 0 and 1, with a sum of 1, on the way and at the end."""
    search = sparse.search() if norm == L0 else square.search()
    _, told = run(stubborn("probabilities"), search, norm, "scores")
    assert told.dtype == np.float32
    assert told.min() >= 0
    assert told.max() <= 1
    assert told.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert len(np.unique(told, axis=0)) > LANES, "answers move with the points"


@pytest.mark.parametrize(
    ("search", "norm"),
    [
        (hopskipjump.search(hopskipjump.Settings(tries=TRIES), DONORS, KINDS), L2),
        (rays.search(rays.Settings(tries=TRIES), DONORS, KINDS), LINF),
    ],
)
def test_labels_stay_labels(search: Search, norm: str) -> None:
    """Nothing between two of them; the weakness is found from them alone."""
    model = stubborn("label")
    done, told = run(model, search, norm, "labels", smallest=True)
    assert set(np.unique(told)) <= {0, 1, 2, 3}
    assert found(done) >= MOST


def test_the_answer_moves_with_the_point() -> None:
    """Nearly untouched at the clean point, nowhere flat, another class's answer at four fifths of the way."""
    model = stubborn("logits")
    attack, make_lanes, told = attack_on(model, square.search(), LINF, "scores")
    lanes = make_lanes(EVERY)
    state = attack.init(lanes)
    far = furthest(LINF, lanes, pattern(region(LINF), lanes))
    for share in (-0.5, 0.0, 0.4, 0.81, 1.0):
        points = (lanes.x + np.float32(share) * (far - lanes.x)).astype(np.float32)
        state = attack.tell(state, Query(points, np.arange(LANES)), model.answer)
    back, none, some, most, whole = told
    for told_here, mixed in ((back, 0.01), (none, 0.02), (some, 0.5), (most, 0.992)):
        assert np.allclose(told_here, (1 - mixed) * model.answer + mixed * whole, atol=1e-3)
    for row, answer in enumerate(whole):
        assert (model.clean == answer).all(axis=1).any()
        assert int(answer.argmax()) != int(model.labels[row])


def test_nothing_is_planted_where_no_clean_answer_fits() -> None:
    """Every clean record of one class: no lane can be led elsewhere, and the result says so."""
    model = stubborn("logits")
    one = model._replace(clean=model.clean[model.labels[0] :: 4])
    attack, make_lanes, told = attack_on(one, square.search(), LINF, "scores")
    lanes = make_lanes([0, 4])
    state = attack.init(lanes)
    far = furthest(LINF, lanes, pattern(region(LINF), lanes))
    state = attack.tell(state, Query(far, np.arange(2)), model.answer[[0, 4]])
    assert np.array_equal(told[0], model.answer[[0, 4]])
    assert attack.result(state)["possible"].tolist() == [False, False]


def test_missing_cells_do_not_count() -> None:
    """A point with missing cells is as far along as with the clean values there."""
    area, lanes = region(L2), lanes_of(L2, EVERY, NONE, NOBODY)
    hidden, lane = pattern(area, lanes), np.arange(LANES)
    points = furthest(L2, lanes, hidden)
    points[:, :8] = lanes.x[:, :8]
    gone = points.copy()
    gone[:, :8] = np.nan
    expected = progress(area, lanes, hidden, lane, points)
    assert progress(area, lanes, hidden, lane, gone).tolist() == expected.tolist()
    assert expected.max() < 1
