"""Other ways to lead a map: the programme over its derivatives, the published objective, and plain blends."""

from __future__ import annotations

import numpy as np
import pytest

from medaudit.core.compose import compose
from medaudit.core.protocol import Explained, Lanes, Loss, Oracle, Parts, Query, Search
from medaudit.core.region import LINF, Part, Region
from medaudit.engine.inline import run_inline
from medaudit.search import blends, jacobian, penalty

CELLS, EACH, LANES, EPS = 20, 8, 3, 1.0
RNG = np.random.default_rng(5)
X, OTHER = (RNG.normal(size=(LANES, CELLS * EACH)).astype(np.float32) for _ in range(2))
OF = np.repeat(np.arange(CELLS), EACH)
MIX = np.eye(CELLS) + 0.1 * RNG.normal(size=(CELLS, CELLS))
REGION = Region(LINF, EPS, np.ones(CELLS * EACH, dtype=np.float32), None, (Part("table", 1, 1, CELLS * EACH),))


def maps(points: np.ndarray) -> np.ndarray:
    """Cells' means, mixed: linear, so that one programme is right everywhere."""
    return np.asarray(points, dtype=np.float64).reshape(len(points), CELLS, EACH).mean(axis=2) @ MIX


CLEAN = maps(X)
WANTED = CLEAN + 0.1 * RNG.choice([-1.0, 1.0], size=CLEAN.shape)


def model(points: np.ndarray) -> np.ndarray:
    """One answer, that half of the cells move, and the map."""
    own = maps(points)
    return np.concatenate([own[:, ::2].sum(axis=1, keepdims=True), own], axis=1).astype(np.float32)


def losses(lanes: Lanes, lane: np.ndarray, answers: np.ndarray) -> Loss:
    own, clean = np.asarray(answers, dtype=np.float64), CLEAN[lanes.target[lane]]
    return Loss(np.abs(own[:, 1:] - clean), own[:, 1:] - clean, (own[:, 0] - clean[:, ::2].sum(axis=1)) / 0.2)


def far(answers: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Distance L1 to the wanted map, in shares of the clean one's."""
    return np.asarray(
        np.abs(answers[:, 1 : 1 + CELLS] - WANTED[target]).sum(axis=1) / np.abs(CLEAN - WANTED).sum(axis=1)[target]
    )


def score(lanes: Lanes, lane: np.ndarray, answers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance L1 to the wanted map; above 1 where the answer moved by more than its room of .2."""
    own, target = np.asarray(answers, dtype=np.float64), lanes.target[lane]
    off = np.abs(own[:, 0] - CLEAN[target][:, ::2].sum(axis=1)) / 0.2
    led = far(own, target) / 2
    return np.where(off <= 1, led, 1 + off).astype(np.float32), np.zeros(len(own), dtype=bool)


def lanes_of(samples: list[int]) -> Lanes:
    own = X[samples]
    keys, zero = np.array(samples, dtype=np.uint64), np.zeros(len(samples), dtype=np.int64)
    clean = model(own)
    wide = np.concatenate([clean, WANTED[samples].astype(np.float32)], axis=1)
    edge = np.float32(EPS)
    made = Lanes(keys, own, own - edge, own + edge, None, wide, zero, np.array(samples))
    return made._replace(score=score(made, np.arange(len(samples)), clean)[0])


def led(search: Search, rows: int) -> np.ndarray:
    """How far each lane's best row is from the wanted map, in shares of where it began; what it asked of."""
    attack = compose(search, Oracle("led", score), REGION, stop="budget", keep_worst=True)
    done = run_inline([("c", attack, rows, lanes_of, list(range(LANES)))], model, 512, 512)
    best = np.stack([f.arrays["worst"] for f in sorted(done, key=lambda f: f.sample)])
    found = model(best).astype(np.float64)
    every = np.arange(LANES)
    assert (np.abs(found[:, 0] - CLEAN[every][:, ::2].sum(axis=1)) <= 0.2 + 1e-5).all()
    return far(found, every)


def explained() -> Explained:
    return Explained(OF, CELLS, losses, wish=lambda lanes: (WANTED[lanes.target], np.ones((len(lanes.target), CELLS))))


def test_rounds_of_the_programme_come_near_the_wanted_map() -> None:
    """Of a linear map; a round asks one row a cell and eight lengths, and what it kept never gets worse."""
    each = CELLS + len(jacobian.LENGTHS)
    found = [led(jacobian.search(explained()), rounds * each).max() for rounds in (1, 3, 8)]
    assert found[0] < 0.95
    assert found[2] < 0.5
    assert found[0] >= found[1] >= found[2]


def test_a_programme_finds_the_least_sum_by_hand() -> None:
    """Two cells, two moves: the first is worth going whole, the second as far as the answer lets it."""
    slopes = np.array([[-1.0, 0.0, 0.0], [0.0, -1.0, 1.6]])  # of both cells, and of the answer
    move = jacobian._programme(np.array([1.0, 1.0]), slopes, np.zeros(2), np.ones(2), 0.0)
    assert move == pytest.approx([1.0, jacobian.ROOM / 1.6])
    heavy = jacobian._programme(np.array([1.0, 1.0]), slopes, np.zeros(2), np.array([1.0, 0.0]), 0.0)
    assert heavy[0] == pytest.approx(1.0)


def costs(lanes: Lanes, lane: np.ndarray, answers: np.ndarray) -> Parts:
    own, target = np.asarray(answers, dtype=np.float64), lanes.target[lane]
    off = np.abs(own[:, 0] - CLEAN[target][:, ::2].sum(axis=1)) / 0.2
    return Parts(20 * far(own, target), np.maximum(0, off - 1), off <= 1)


def test_the_published_objective_leads_the_map() -> None:
    assert led(penalty.search(costs), 100 * (1 + 2 * penalty.PAIRS)).max() < 0.75


def test_its_penalty_schedule() -> None:
    """A flipped label halves a and doubles b at each step; five safe steps later both are as at the start."""
    lanes = lanes_of([0])
    kept = [1, 0, 0, 1, 1, 1, 1, 1, 1]
    told = iter(kept)

    def scripted(lanes: Lanes, lane: np.ndarray, answers: np.ndarray) -> Parts:
        n = len(answers)
        return Parts(np.ones(n), np.zeros(n), np.full(n, bool(next(told))))

    search = penalty.search(scripted)
    state, seen = search.init(REGION, lanes), []
    for _ in kept:
        query = search.ask(REGION, lanes, state)
        assert search.look is not None
        state = search.look(REGION, lanes, state, query, model(query.points))
        state = search.tell(REGION, lanes, state, query, np.zeros(15), np.zeros(15, dtype=bool))
        seen.append((float(state.a[0]), float(state.b[0])))
    assert seen == [(1, 1), (0.5, 2), (0.25, 4), (0.25, 4), (0.25, 4), (0.25, 4), (0.25, 4), (1, 1), (1, 1)]


def test_what_is_next_to_nothing_becomes_nothing() -> None:
    """With no slope but that of |d|_1 a change shrinks, and ends at nothing at all."""
    lanes = lanes_of([0])
    still = penalty.search(lambda lanes, lane, answers: Parts(*(np.ones(len(answers)) for _ in range(3))))
    state = still.init(REGION, lanes)
    near = X[:1].copy()
    near[0, 0] += np.float32(0.5 * 2 * EPS * penalty.FAINT)
    state = state._replace(point=near)
    query: Query = still.ask(REGION, lanes, state)
    assert still.look is not None
    state = still.look(REGION, lanes, state, query, model(query.points))
    step = penalty.RATE * 2 * EPS * np.sqrt(X.shape[1])  # one entry has all of the slope
    state = still.tell(REGION, lanes, state, query, np.zeros(15), np.zeros(15, dtype=bool))
    assert state.point[0, 1:] == pytest.approx(X[0, 1:])
    assert abs(state.point[0, 0] - X[0, 0]) <= step + 1e-6
    state = state._replace(point=X[:1])
    state = still.tell(REGION, lanes, state, query, np.zeros(15), np.zeros(15, dtype=bool))
    assert np.array_equal(state.point, X[:1])


def test_blends_are_the_way_to_the_other_record() -> None:
    """Twenty rows, a twentieth more of the other in each, inside the box."""
    search, lanes = blends.search(lambda lanes: OTHER[lanes.target]), lanes_of([0, 1, 2])
    state = search.init(REGION, lanes)
    rows = search.ask(REGION, lanes, state).points.reshape(LANES, blends.ROWS, -1)
    for k in range(blends.ROWS):
        blend = np.clip(X + (k + 1) / blends.ROWS * (OTHER - X), X - EPS, X + EPS)
        assert rows[:, k] == pytest.approx(blend, abs=1e-5)
    query = search.ask(REGION, lanes, state)
    state = search.tell(REGION, lanes, state, query, np.zeros(60), np.zeros(60, dtype=bool))
    assert search.stopped is not None
    assert search.stopped(state).all()
