"""A portfolio's turns follow its table of rows; a member goes on as it would alone, or from the others' best row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from known import LANES, Path, case, follow, lanes_of, linear, region

from medaudit.core.protocol import Search
from medaudit.core.region import L2, LINF
from medaudit.search import cmaes, nes, portfolio, rays, signhunter, simba, square, uniform

ROWS = {"square": 3, "cmaes": 32, "signhunter": 5}  # rows of each member's first turn


def lonely(search: Search) -> Search:
    """The same, but that it takes nothing from others."""
    return search._replace(adopt=None)


def members() -> tuple[Search, ...]:
    return lonely(square.search()), cmaes.search(), signhunter.search()


def ask_all(search: Search, ticks: int, factor: float) -> Path:
    """So many ticks of all lanes in boxes a factor of the exact distance wide."""
    one = case()
    area = region(one, LINF, factor * one.exact[LINF])
    return follow(search, area, lanes_of(one, area), linear(one), ticks)


def schedule(rows: tuple[int, ...], total: int) -> list[int]:
    """Whose row it is: every member its first rows, then each twice as many again, and so on."""
    out: list[int] = []
    turn = 0
    while len(out) < total:
        out += [turn % len(rows)] * (rows[turn % len(rows)] * 2 ** (turn // len(rows)))
        turn += 1
    return out[:total]


def test_turns_and_members() -> None:
    """Row by row: the member the table names asks what it would have asked alone."""
    together = portfolio.search("all", members(), tuple(ROWS.values()))
    path = ask_all(together, 150, 0.9)
    alone = [ask_all(member, 100, 0.9) for member in members()]
    for lane in range(LANES):
        asked = path.points(lane)
        owner = np.array(schedule(tuple(ROWS.values()), len(asked)))
        assert len(asked) > 2 * sum(ROWS.values()) + 4 * ROWS["square"]
        for i, own in enumerate(alone):
            mine = asked[owner == i]
            assert mine.tobytes() == own.points(lane)[: len(mine)].tobytes(), ROWS
    assert path.state.search.members[1].t[0] == (owner == 1).sum() // 16


def test_turns_are_reported() -> None:
    """What `turn` says is the member that asked last."""
    together = portfolio.search("all", members(), tuple(ROWS.values()))
    owners = schedule(tuple(ROWS.values()), 400)
    assert together.turn is not None
    assert together.members == ("square", "cmaes", "signhunter")
    for ticks in (1, 3, 4, 5, 6, 10, 11, 16, 17, 20, 30):
        path = ask_all(together, ticks, 0.9)
        assert list(together.turn(path.state.search)) == [owners[len(path.points(0)) - 1]] * LANES


def test_sixty_rows_each_where_none_are_given() -> None:
    """The documented default."""
    path = ask_all(portfolio.search("all", (lonely(square.search()), signhunter.search())), 200, 0.9)
    owner = np.array(schedule((60, 60), 200))
    for i, member in enumerate((lonely(square.search()), signhunter.search())):
        assert np.array_equal(path.points(0)[owner == i], ask_all(member, 150, 0.9).points(0)[: (owner == i).sum()])


def test_turns_may_grow_apart() -> None:
    """One member's turns stay as long as its first, the other's become three times as long each time."""
    together = portfolio.search("all", (lonely(square.search()), signhunter.search()), (10, 2), (1, 3))
    path = ask_all(together, 60, 0.9)
    owner = np.array([0] * 10 + [1] * 2 + [0] * 10 + [1] * 6 + [0] * 10 + [1] * 18 + [0] * 4)
    for i, member in enumerate((lonely(square.search()), signhunter.search())):
        alone = ask_all(member, 60, 0.9).points(0)
        assert np.array_equal(path.points(0)[owner == i], alone[: (owner == i).sum()])


def test_who_has_ended_is_passed_over() -> None:
    """A walk that finds no start ends after its tries; the rest of its turns goes to the next one."""
    tries = 7
    three = (rays.search(rays.Settings(tries=tries)), signhunter.search(), lonely(square.search()))
    together = portfolio.search("all", three, (5, 4, 3))
    path = ask_all(together, 120, 0.5)
    owner = np.array(schedule((5, 4, 3), 120))
    owner[np.flatnonzero(owner == 0)[tries:]] = 1
    for i, member in enumerate(three):
        alone = ask_all(member, 120, 0.5)
        for lane in range(LANES):
            mine = path.points(lane)[owner == i]
            assert mine.tobytes() == alone.points(lane)[: len(mine)].tobytes()
    assert together.starts is not None
    assert list(together.starts(path.state.search)) == [tries] * LANES


def test_it_ends_with_its_last_member() -> None:
    """Nothing left to try: only once that holds for all."""
    one = case()
    area = region(one, LINF, 0.5 * one.exact[LINF])
    for tries, ended in ((3, True), (1000, False)):
        walks = (rays.search(rays.Settings(tries=3)), rays.search(rays.Settings(tries=tries)))
        together = portfolio.search("walks", walks, (2, 2))
        state = follow(together, area, lanes_of(one, area), linear(one), 12).state
        assert together.stopped is not None
        assert list(together.stopped(state.search)) == [ended] * LANES


@pytest.mark.parametrize("turned", [False, True])
def test_the_first_who_can_succeeds(turned: bool) -> None:
    """Where members alone would need so many rows, the portfolio needs those and the others' in between."""
    order = (lonely(square.search()), signhunter.search())[:: -1 if turned else 1]
    path = ask_all(portfolio.search("both", order, (10, 10)), 200, 1.0001)
    owner = np.array(schedule((10, 10), 200))
    rows = []
    for i, member in enumerate(order):
        alone = ask_all(member, 64, 1.0001).state.found
        at = np.append(np.flatnonzero(owner == i), 10**6)
        rows.append([at[int(row) - 1] + 1 for row in alone])
    assert np.min(rows) < 200
    assert np.array_equal(path.state.found, np.min(rows, axis=0))


@pytest.mark.parametrize("norm", [LINF, L2])
@pytest.mark.parametrize("taker", [square, simba, nes])
def test_a_turn_begins_where_the_best_row_was(taker: Any, norm: str) -> None:
    """Eight rows of chance, then a member that takes over: it has their best row and score, and gets further."""
    together = portfolio.search("relay", (uniform.search(), taker.search()), (8, 400))
    one = case()
    area = region(one, norm, 0.9 * one.exact[norm])
    lanes = lanes_of(one, area)
    path = follow(together, area, lanes, linear(one), 8)
    own, before = path.state.search.members[1], path.state.search
    for lane in range(LANES):
        rows = path.points(lane)
        assert len(rows) == 8
        score = linear(one)(rows) @ np.array([1.0, -1.0], dtype=np.float32)
        first = rows[np.argmin(score)].astype(np.float32)
        assert own.best[lane].tobytes() == first.tobytes() == before.best[lane].tobytes()
        assert own.score[lane] == before.low[lane]
    after = follow(together, area, lanes, linear(one), 60).state.search
    assert (after.low <= before.low).all()
    assert (after.low < before.low).sum() >= LANES // 2
    assert (after.members[1].score <= before.low).all()


def test_rows_beyond_eps_are_not_handed_on() -> None:
    """A walk by labels looks outside: what it asked is nobody's start."""
    one = case()
    area = region(one, LINF, 0.5 * one.exact[LINF])
    together = portfolio.search("both", (rays.search(), square.search()), (30, 30))
    state = follow(together, area, lanes_of(one, area), linear(one), 30).state.search
    assert np.isinf(state.low).all()
    assert (state.members[1].best == lanes_of(one, area).x).all()
