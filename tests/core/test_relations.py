"""What must hold between numbers: repaired points hold it, by arithmetic of this file's own."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import array_api_strict as strict
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from medaudit.core.arrays import map_tree, to_numpy
from medaudit.core.protocol import Lanes
from medaudit.core.relations import Relation, Rules, broken, held, repair

Array = NDArray[Any]
D = 12  # a table of four numbers, a one-hot group of three at 4 .. 6, and more
GROUP = np.array([4, 5, 6], dtype=np.int64)
eighths = st.integers(-24, 24).map(lambda i: i / 8)  # sums of these are exact in float64
weights = st.sampled_from([-2.0, -1.0, -0.5, 0.5, 1.0, 2.0])


class Case(NamedTuple):
    """Rules, lanes, and rows with their lanes."""

    rules: Rules
    lanes: Lanes
    lane: Array
    points: Array


def lanes_of(x: Array, missing: Array | None = None) -> Lanes:
    """Lanes that have nothing but clean points."""
    n = len(x)
    none = np.zeros(n, dtype=np.int64)
    return Lanes(np.zeros(n, dtype=np.uint64), x, x - 9, x + 9, missing, np.zeros((n, 1)), none, none)


def relation(text_terms: dict[int, float], constant: float = 0.0, above: bool = False) -> Relation:
    """One instance over single numbers."""
    index = np.array([[i] for i in text_terms], dtype=np.int64)
    return Relation(index, tuple(text_terms.values()), constant, above)


def fixed(rules: Rules, x: Sequence[float], point: Sequence[float]) -> Array:
    """One row, repaired."""
    row = np.array([x], dtype=np.float32)
    own = np.array([point], dtype=np.float32)
    out: Array = repair(rules, lanes_of(row), np.zeros(1, dtype=np.int64), own)[0]
    return out


def holds(one: Relation, q: int, row: Array) -> bool:
    """Instance q, in exact fractions."""
    terms = [Fraction(w) * Fraction(float(row[one.index[t, q]])) for t, w in enumerate(one.weight)]
    total = sum(terms, Fraction(one.constant))
    return total > 0 if one.strict else total >= 0


def owed(case: Case, one: Relation, q: int, row: int) -> bool:
    """Whether row's record is held to instance q: it keeps it and has all its numbers."""
    lane = case.lane[row]
    places = one.index[:, q]
    gone = case.lanes.missing is not None and bool(case.lanes.missing[lane, places].any())
    return not gone and holds(one, q, case.lanes.x[lane])


@st.composite
def cases(draw: st.DrawFn, groups: bool = True, shared: bool = True) -> Case:
    """Up to four relations that share numbers; shared: also one number against a run of others."""
    relations = []
    for _ in range(draw(st.integers(1, 4))):
        places = draw(st.lists(st.integers(0, D - 1), min_size=1, max_size=3, unique=True))
        index = np.array([[p] for p in places], dtype=np.int64)
        if shared and draw(st.booleans()):
            run = np.arange(7, 7 + draw(st.integers(2, 5)), dtype=np.int64)
            index = np.stack([np.broadcast_to(index[0], run.shape), run])
        own = tuple(draw(st.lists(weights, min_size=len(index), max_size=len(index))))
        relations.append(Relation(index, own, draw(eighths), draw(st.booleans())))
    n, rows = draw(st.integers(1, 3)), draw(st.integers(1, 6))
    x = np.array(draw(st.lists(eighths, min_size=n * D, max_size=n * D)), dtype=np.float32).reshape(n, D)
    some = np.array(draw(st.lists(eighths, min_size=rows * D, max_size=rows * D)), dtype=np.float32)
    lane = np.array(draw(st.lists(st.integers(0, n - 1), min_size=rows, max_size=rows)), dtype=np.int64)
    missing = None
    if draw(st.booleans()):
        missing = np.array(draw(st.lists(st.booleans(), min_size=n * D, max_size=n * D))).reshape(n, D)
        missing[:, GROUP] = False
        x[missing] = 0
    points = some.reshape(rows, D)
    if missing is not None:
        points[missing[lane]] = 0
    if groups:
        x[:, GROUP] = np.eye(3, dtype=np.float32)[draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))]
    return Case(Rules(tuple(relations), (GROUP,) if groups else ()), lanes_of(x, missing), lane, points)


def repaired(case: Case) -> Array:
    """The case's points after repair."""
    out: Array = repair(case.rules, case.lanes, case.lane, case.points)
    return out


@given(case=cases())
def test_repaired_points_hold_what_their_record_holds(case: Case) -> None:
    """Every relation of the clean record, in exact arithmetic, and exactly one 1 in a group."""
    points = repaired(case)
    assert points.dtype == np.float32
    for r, row in enumerate(points):
        for one in case.rules.relations:
            for q in range(one.index.shape[1]):
                assert holds(one, q, row) or not owed(case, one, q, r)
        assert sorted(row[GROUP]) == [0, 0, 1]


@given(case=cases(groups=False, shared=False))
def test_the_rest_is_left_alone(case: Case) -> None:
    """What is broken goes back, then what that breaks; no other number changes by a bit."""
    points = repaired(case)
    for r, row in enumerate(case.points):
        clean, expected = case.lanes.x[case.lane[r]], row.copy()
        while wrong := [
            one for one in case.rules.relations if owed(case, one, 0, r) and not holds(one, 0, expected)
        ]:  # fmt: skip
            for one in wrong:
                expected[one.index[:, 0]] = clean[one.index[:, 0]]
        assert expected.tobytes() == points[r].tobytes()


@given(case=cases(), seed=st.integers(0, 1000))
def test_company_and_order_change_no_bit(case: Case, seed: int) -> None:
    """A row alone, and all rows in another order, come out the same; so do rows of lanes in another order."""
    whole = repaired(case)
    rng = np.random.default_rng(seed)
    order, turned = rng.permutation(len(whole)), rng.permutation(len(case.lanes.x))
    other = repair(case.rules, case.lanes, case.lane[order], case.points[order])
    assert other.tobytes() == whole[order].tobytes()
    moved = map_tree(lambda a: a[turned], case.lanes)
    assert repair(case.rules, moved, np.argsort(turned)[case.lane], case.points).tobytes() == whole.tobytes()
    for r in range(len(whole)):
        alone = repair(case.rules, case.lanes, case.lane[r : r + 1], case.points[r : r + 1])
        assert alone.tobytes() == whole[r : r + 1].tobytes()


@given(case=cases())
def test_again_changes_nothing(case: Case) -> None:
    """Repaired points are in order, clean points always were, and what was handed in stays as it was."""
    before = case.points.copy()
    once = repaired(case)
    assert case.points.tobytes() == before.tobytes()
    assert repair(case.rules, case.lanes, case.lane, once).tobytes() == once.tobytes()
    own = np.arange(len(case.lanes.x))
    assert np.array_equal(repair(case.rules, case.lanes, own, case.lanes.x), case.lanes.x)


@given(case=cases())
def test_strict_arrays_give_the_same_bits(case: Case) -> None:
    """Nothing NumPy-only: repair, broken and held on array-api-strict arrays."""

    def move(array: Array) -> Any:
        return strict.asarray(np.array(array))

    relations = tuple(r._replace(index=move(r.index)) for r in case.rules.relations)
    rules = Rules(relations, tuple(move(g) for g in case.rules.one_hot))
    lanes, points = map_tree(move, case.lanes), move(case.points)
    found = repair(rules, lanes, move(case.lane), points)
    assert isinstance(found, type(points))
    assert to_numpy(found).tobytes() == repaired(case).tobytes()
    for plain, hard in zip(case.rules.relations, relations, strict=True):
        assert np.array_equal(to_numpy(broken(hard, points)), broken(plain, case.points))
        assert np.array_equal(to_numpy(held(hard, lanes)), held(plain, case.lanes))


@given(case=cases())
def test_broken_and_held(case: Case) -> None:
    """Each instance of each row, as exact arithmetic has it."""
    for one in case.rules.relations:
        wide = range(one.index.shape[1])
        assert broken(one, case.points).tolist() == [[not holds(one, q, row) for q in wide] for row in case.points]
        own = case._replace(lane=np.arange(len(case.lanes.x)))
        assert held(one, case.lanes).tolist() == [[owed(own, one, q, r) for q in wide] for r in own.lane]


@pytest.mark.parametrize(("above", "back"), [(True, True), (False, False)])
def test_equal_is_broken_only_where_it_must_be_above(above: bool, back: bool) -> None:
    """a < b refuses a == b; a <= b does not."""
    found = fixed(Rules((relation({1: 1.0, 0: -1.0}, 0.0, above),)), [1, 2, 3], [4, 4, 5])
    assert found.tolist() == ([1, 2, 5] if back else [4, 4, 5])


def test_a_record_that_breaks_a_relation_is_not_held_to_it() -> None:
    """Systolic below diastolic from the start: both may move as they like; the next record may not."""
    rules = Rules((relation({0: 1.0, 1: -1.0}),))
    x = np.array([[70, 90, 0], [120, 80, 0]], dtype=np.float32)
    points = np.array([[60, 95, 1], [60, 95, 1]], dtype=np.float32)
    found = repair(rules, lanes_of(x), np.array([0, 1]), points)
    assert found.tolist() == [[60, 95, 1], [120, 80, 1]]


def test_a_relation_with_a_missing_cell_does_not_bind() -> None:
    """A missing cell stands as 0 and would hold or break anything; of its hours only that one is free."""
    index = np.array([[0, 1, 2], [3, 3, 3]], dtype=np.int64)
    rules = Rules((Relation(index, (1.0, -1.0), 0.0, False),))  # each hour at least number 3
    x = np.array([[5, 0, 5, -1]], dtype=np.float32)
    missing = np.array([[False, True, False, False]])
    point = np.array([[5, 0, 5, 3]], dtype=np.float32)
    lane = np.zeros(1, dtype=np.int64)
    assert repair(rules, lanes_of(x, missing), lane, point).tolist() == point.tolist()
    assert repair(rules, lanes_of(x), lane, point).tolist() == x.tolist()


def test_relations_that_share_numbers() -> None:
    """0 <= 1 <= 2 <= 3: mending the last breaks the middle, mending that the first; 4 has no part in it."""
    rules = Rules((relation({1: 1.0, 0: -1.0}), relation({2: 1.0, 1: -1.0}), relation({3: 1.0, 2: -1.0})))
    assert fixed(rules, [1, 2, 3, 4, 5], [5, 6, 7, 3, 9]).tolist() == [1, 2, 3, 4, 9]
    assert fixed(rules, [1, 2, 3, 4, 5], [0, 6, 7, 8, 9]).tolist() == [0, 6, 7, 8, 9]
    assert fixed(rules, [1, 2, 3, 4, 5], [1.5, 1, 7, 8, 9]).tolist() == [1, 2, 7, 8, 9]


def test_a_group_follows_what_rose_most() -> None:
    """The member that rose most is the one 1; none rose, or no 1 to begin with: as in the clean record."""
    rules = Rules(one_hot=(np.array([0, 1, 2]),))
    assert fixed(rules, [1, 0, 0, 7], [1, 0.4, 0.6, 8]).tolist() == [0, 0, 1, 8]
    assert fixed(rules, [0, 1, 0, 7], [0.1, 1, 0, 8]).tolist() == [1, 0, 0, 8]
    assert fixed(rules, [1, 0, 0, 7], [0.2, 0, -1, 8]).tolist() == [1, 0, 0, 8]
    for x in ([0, 0, 0, 7], [1, 1, 0, 7], [0.5, 0.5, 0, 7], [2, -1, 0, 7]):
        assert fixed(rules, x, [3, 4, 5, 8]).tolist() == [*x[:3], 8]


def test_a_group_goes_back_as_a_whole() -> None:
    """A relation on one member takes its group back with it: never two members of a group at 1."""
    rules = Rules((relation({0: -1.0, 3: -1.0}, 1.0),), (np.array([0, 1, 2]),))  # 0 + 3 <= 1
    assert fixed(rules, [0, 1, 0, 0.5, 7], [1, 0, 0, 0.5, 8]).tolist() == [0, 1, 0, 0.5, 8]
    assert fixed(rules, [0, 1, 0, 0.5, 7], [0, 0, 1, 0.75, 8]).tolist() == [0, 0, 1, 0.75, 8]


def test_no_rules_change_nothing() -> None:
    """Points come back as they are."""
    points = np.ones((2, 3), dtype=np.float32)
    assert repair(Rules(), lanes_of(0 * points), np.arange(2), points).tobytes() == points.tobytes()


def test_one_broken_hour_takes_back_that_hour_only() -> None:
    """A value held against every hour: rounds go on until nothing is broken, and no further."""
    hours = np.array([[0, 1, 2], [3, 3, 3]], dtype=np.int64)
    below = Relation(hours, (1.0, -1.0), 0.0, False)  # hour - limit >= 0
    got = fixed(Rules((below,), ()), [80, 80, 80, 60, 1], [58, 59, 75, 58.5, 9])
    assert got[4] == 9, "what is in no relation stays"
    assert all(hour >= got[3] for hour in got[:3])
