"""What every attack shares: claims, the curve, counts, distrust of nonsense."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from medaudit.core import compose as composing
from medaudit.core.compose import CHECKPOINTS, compose
from medaudit.core.protocol import Attack, Lanes, Oracle, Query, Search
from medaudit.core.region import LINF, Part, Region

Array = NDArray[Any]
AREA = Region(LINF, 1.0, np.ones(2, dtype=np.float32), None, (Part("table", 1, 1, 2),))


def lanes(n: int, missing: Array | None = None) -> Lanes:
    """Lanes at the origin in a box of 9."""
    x = np.zeros((n, 2), dtype=np.float32)
    none = np.full(n, -1, dtype=np.int64)
    keys = np.arange(n, dtype=np.uint64)
    return Lanes(keys, x, x - 9, x + 9, missing, x[:, :1], none + 1, none)


def scripted(*ticks: list[tuple[int, float]], claims: list[list[bool]] | None = None) -> Search:
    """Asks what the script says: per tick a list of (lane, first number)."""

    def ask(region: Region, own: Lanes, state: Any) -> Query:
        now = int(state[0])
        script = ticks[min(now, len(ticks) - 1)]
        points = np.array([[v, 0] for _, v in script], dtype=np.float32).reshape(-1, 2)
        kept = None if claims is None else np.array(claims[now])
        return Query(points, np.array([lane for lane, _ in script], dtype=np.int64), kept)

    def tell(region: Region, own: Lanes, state: Any, query: Query, score: Array, hit: Array) -> Any:
        told.append((query, score, hit))
        return state + 1

    told: list[Any] = []
    search = Search("scripted", 9, lambda region, own: np.zeros(len(own.x), dtype=np.int64), ask, tell)
    return search._replace(stopped=None)


def hit_above(limit: float) -> Oracle:
    """A hit where the answer exceeds a limit."""
    return Oracle("above", lambda own, lane, a: (limit - a[:, 0], a[:, 0] > limit))


def play(attack: Attack, own: Lanes, ticks: int) -> dict[str, Array]:
    """Answer each point by its first number."""
    state = attack.init(own)
    for _ in range(ticks):
        query = attack.ask(state)
        state = attack.tell(state, query, query.points[:, :1].copy())
    return attack.result(state)


def test_rows_are_counted_in_their_tick() -> None:
    """`found` is the row at which the goal was reached, counting rows of the same tick in order."""
    search = scripted([(0, 0.1), (0, 0.2), (1, 0.1)], [(0, 0.3), (0, 0.9), (0, 0.95), (1, 0.8)])
    got = play(compose(search, hit_above(0.5), AREA), lanes(2), 2)
    assert got["rows"].tolist() == [5, 2]
    assert got["found"].tolist() == [4, 2]
    assert got["claim"][:, 0].tolist() == pytest.approx([0.9, 0.8])
    assert got["size"].tolist() == pytest.approx([0.9, 0.8])


def test_first_or_smallest_claim() -> None:
    """Without `smallest` the first claim stays; with it, a smaller one replaces it."""
    script = [(0, 0.9)], [(0, 0.7), (0, 0.6)], [(0, 0.8)]
    first = play(compose(scripted(*script), hit_above(0.5), AREA), lanes(1), 3)
    assert first["size"][0] == pytest.approx(0.9)
    least = play(compose(scripted(*script), hit_above(0.5), AREA, smallest=True), lanes(1), 3)
    assert least["size"][0] == pytest.approx(0.6)
    assert least["found"][0] == first["found"][0] == 1
    curve = least["curve"][0]
    assert curve[0] == pytest.approx(0.9)  # after one row
    assert curve[CHECKPOINTS.index(3)] == pytest.approx(0.6)
    assert curve[-1] == pytest.approx(0.6)


def test_claims_outside_eps_are_no_success() -> None:
    """A hit that is too far away is kept as a distance, but not as found."""
    search = scripted([(0, 5.0)], [(0, 0.9)])
    got = play(compose(search, hit_above(0.5), AREA, smallest=True), lanes(1), 1)
    assert got["found"].tolist() == [0]
    assert got["size"].tolist() == [5.0]
    got = play(compose(search, hit_above(0.5), AREA, smallest=True), lanes(1), 2)
    assert got["found"].tolist() == [2]


def test_rows_that_may_not_claim() -> None:
    """Rows marked as no claim can hit, and count, but never become the result."""
    search = scripted([(0, 0.9), (0, 0.8)], claims=[[False, True]])
    got = play(compose(search, hit_above(0.5), AREA), lanes(1), 1)
    assert got["size"][0] == pytest.approx(0.8)
    assert got["found"].tolist() == [2]


@pytest.mark.parametrize("nonsense", [np.nan, np.inf, -np.inf])
def test_nonsense_is_told_as_the_worst(nonsense: float) -> None:
    """The search hears infinity and no hit, also when the oracle is fooled."""
    heard: list[Any] = []
    search = scripted([(0, 0.9), (0, 0.2)])

    def tell(region: Region, own: Lanes, state: Any, query: Query, score: Array, hit: Array) -> Any:
        heard.append((score, hit))
        return state

    fooled = Oracle("fooled", lambda own, lane, a: (-np.abs(a[:, 0]), np.ones(len(a), dtype=bool)))
    attack = compose(search._replace(tell=tell), fooled, AREA)
    state = attack.init(lanes(1))
    state = attack.tell(state, attack.ask(state), np.array([[nonsense], [0.2]], dtype=np.float32))
    score, hit = heard[0]
    assert score.tolist() == pytest.approx([np.inf, -0.2])
    assert hit.tolist() == [False, True]
    got = attack.result(state)
    assert got["invalid"].tolist() == [1]
    assert got["found"].tolist() == [2]
    assert got["claim"][0, 0] == pytest.approx(0.2)


def test_missing_cells() -> None:
    """Missing cells are asked as NaN, kept as 0 in claims, and do not make a distance."""
    missing = np.array([[False, True]])
    attack = compose(scripted([(0, 0.9)]), hit_above(0.5), AREA)
    state = attack.init(lanes(1, missing))
    query = attack.ask(state)
    assert np.isnan(query.points[0, 1])
    assert query.points[0, 0] == np.float32(0.9)
    state = attack.tell(state, query, np.array([[0.9]], dtype=np.float32))
    got = attack.result(state)
    assert got["claim"].tolist() == [[pytest.approx(0.9), 0.0]]
    assert got["size"][0] == pytest.approx(0.9)


def test_when_lanes_end() -> None:
    """flip: at the first success; budget: never; a search that gave up ends both."""
    search = scripted([(0, 0.9), (1, 0.1)])
    for stop, ends in (("flip", [True, False]), ("budget", [False, False])):
        attack = compose(search, hit_above(0.5), AREA, stop=stop)
        state = attack.init(lanes(2))
        query = attack.ask(state)
        state = attack.tell(state, query, query.points[:, :1].copy())
        assert attack.done(state).tolist() == ends
    gave_up = search._replace(stopped=lambda state: np.array([False, True]))
    attack = compose(gave_up, hit_above(0.5), AREA, stop="budget")
    assert attack.done(attack.init(lanes(2))).tolist() == [False, True]


def test_checkpoints() -> None:
    """Rows from 1 to 100,000, in order."""
    assert CHECKPOINTS[0] == 1
    assert CHECKPOINTS[-1] == 100_000
    assert list(CHECKPOINTS) == sorted(CHECKPOINTS)


def test_order_in_lane() -> None:
    """Position of each row among its lane's."""
    lane = np.array([0, 0, 3, 3, 3, 1])
    assert composing._order_in_lane(lane).tolist() == [0, 1, 0, 1, 2, 0]
