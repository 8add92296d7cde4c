"""Lanes never meet: company, order, shards, kills and other cohorts change no bit of a result."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kit import BLIND, COMBOS, SAMPLES, SEARCHES, Counter, Problem, differences, guarded, problem, solve

from medaudit.core.arrays import leaves
from medaudit.engine.inline import run_inline
from medaudit.engine.loop import Cohort, Finished, restore, snapshot, tick

BUDGETS = {"flip": 60, "budget": 70}
combos = pytest.mark.parametrize(("name", "norm", "kind"), COMBOS)
stops = pytest.mark.parametrize("stop", ["flip", "budget"])


@combos
@stops
def test_one_lane_is_many_lanes(name: str, norm: str, kind: str, stop: str) -> None:
    """Alone, in company, in another order and in two shards: the same bits."""
    task, budget = problem(name, norm, kind), BUDGETS[stop]
    whole = solve(task, budget=budget, stop=stop)
    alone: dict[int, Finished] = {}
    for sample in SAMPLES:
        alone |= solve(task, [sample], budget, stop=stop)
    assert differences(whole, alone) == []
    assert differences(whole, solve(task, [3, 5, 0, 2, 4, 1], budget, stop=stop)) == []
    shards = solve(task, SAMPLES[::2], budget, stop=stop) | solve(task, SAMPLES[1::2], budget, stop=stop)
    assert differences(whole, shards) == []


@combos
def test_block_and_room_do_not_matter(name: str, norm: str, kind: str) -> None:
    """How rows are packed, and how many lanes are open at once, changes no bit."""
    task = problem(name, norm, kind)
    whole = solve(task)
    for block, room in ((1, 1), (3, 2), (64, 1000)):
        packed = solve(task, block=block, room=room, answer=Counter(task.model, block))
        assert differences(whole, packed) == [], (block, room)


def killed(task: Problem, budget: int, stop: str, ticks: int, lost: int) -> dict[int, Finished]:
    """Run with a kill every few ticks; what happened after the last snapshot is lost."""
    waiting: list[tuple[int, bytes | None]] = [(sample, None) for sample in SAMPLES]
    finished: dict[int, Finished] = {}
    answer = Counter(task.model)
    while waiting:
        cohort = Cohort("check", guarded(task.attack(stop)), budget, task.make_lanes)
        cohort.waiting.extend(waiting)
        for _ in range(ticks):
            if cohort.waiting or cohort.open:
                finished |= {f.sample: f for f in tick([cohort], 8, answer, 16)}
        waiting = [*cohort.snapshots(), *cohort.waiting]
        for _ in range(lost):
            if cohort.waiting or cohort.open:
                tick([cohort], 8, answer, 16)
    return finished


@combos
@stops
def test_killed_and_resumed(name: str, norm: str, kind: str, stop: str) -> None:
    """Snapshots of open lanes bring every bit back, also when work since then was lost."""
    task, budget = problem(name, norm, kind), BUDGETS[stop]
    whole = solve(task, budget=budget, stop=stop)
    ticks, lost = (2, 0) if stop == "flip" else (9, 4)
    assert differences(whole, killed(task, budget, stop, ticks, lost)) == []


@combos
def test_half_of_the_lanes_go_on_elsewhere(name: str, norm: str, kind: str) -> None:
    """Lanes given away in mid-search, open and waiting ones, end with the same bits in another worker."""
    task = problem(name, norm, kind)
    answer = Counter(task.model)
    here, there = (Cohort("check", guarded(task.attack()), 40, task.make_lanes) for _ in range(2))
    here.waiting.extend((sample, None) for sample in SAMPLES)
    finished: dict[int, Finished] = {}
    for turn in range(60):
        if turn in (1, 4):
            left = len(here.waiting) + here.open
            given = here.give(3)
            assert len(given) == min(3, left)
            assert len(here.waiting) + here.open == left - len(given)
            there.waiting.extend(given)
        for cohort in (here, there):
            for one in tick([cohort], 8, answer, 16):
                assert one.sample not in finished
                finished[one.sample] = one
    assert differences(finished, solve(task, budget=40)) == []
    assert here.give(1) == []


@combos
def test_a_lane_that_was_not_told_asks_again(name: str, norm: str, kind: str) -> None:
    """The engine may leave lanes for the next tick: they ask the same rows, the others go on."""
    task = problem(name, norm, kind)
    attack = task.attack("budget")
    held = attack.init(task.make_lanes(list(SAMPLES)))
    for turn in range(12):
        query = attack.ask(held)
        odd = np.flatnonzero(query.lane % 2 == turn % 2)
        part = query._replace(
            points=query.points[odd],
            lane=query.lane[odd],
            claims=None if query.claims is None else query.claims[odd],
        )
        after = attack.tell(held, part, task.model(part.points)) if odd.size else held
        again = attack.ask(after)
        rest = query.points[query.lane % 2 != turn % 2]
        assert np.array_equal(again.points[again.lane % 2 != turn % 2], rest, equal_nan=True)
        held = after


@combos
def test_shared_with_another_cohort(name: str, norm: str, kind: str) -> None:
    """Checks that share blocks do not feel each other."""
    task = problem(name, norm, kind)
    other = problem("square", "linf", kind) if name != "square" else problem("nes", "l2", kind)
    jobs: list[Any] = [
        ("check", guarded(task.attack()), 60, task.make_lanes, list(SAMPLES)),
        ("other", guarded(other.attack("budget")), 43, other.make_lanes, list(SAMPLES)),
    ]
    for order in (jobs, jobs[::-1]):
        both = run_inline(order, Counter(task.model), 8)
        mine = {f.sample: f for f in both if f.check == "check"}
        theirs = {f.sample: f for f in both if f.check == "other"}
        assert differences(solve(task), mine) == []
        assert differences(solve(other, budget=43, stop="budget"), theirs) == []


@combos
def test_snapshot_holds_the_whole_state(name: str, norm: str, kind: str) -> None:
    """A state that was written and read again is the same, leaf by leaf."""
    task = problem(name, norm, kind)
    attack = task.attack("budget")
    for steps in (0, 1, 5):
        state = attack.init(task.make_lanes([4]))
        for _ in range(steps):
            query = attack.ask(state)
            state = attack.tell(state, query, task.model(query.points))
        spent, again = restore(snapshot(17, state), attack.init(task.make_lanes([4])))
        assert spent == 17
        assert type(again) is type(state)
        pairs = list(zip(leaves(state), leaves(again), strict=True))
        assert len(pairs) > 10
        for one, two in pairs:
            assert one.dtype == two.dtype
            assert np.array_equal(one, two, equal_nan=one.dtype.kind == "f")


@pytest.mark.parametrize(("name", "norm"), SEARCHES)
@pytest.mark.parametrize("domain", ["signal", "image"])
@pytest.mark.parametrize("kind", ["multiclass", "dice"])
def test_every_geometry(name: str, norm: str, kind: str, domain: str) -> None:
    """Signals and images beside a table: one lane is many lanes."""
    task = problem(name, norm, kind, domain)
    whole = solve(task, budget=40, stop="budget")
    pair = solve(task, [1, 4], 40, stop="budget") | solve(task, [0, 2, 3, 5], 40, stop="budget")
    assert differences(whole, pair) == []


SAME = BLIND | {"signhunter", "blends"}  # draw nothing, at least at first


@pytest.mark.parametrize(("name", "norm", "kind"), [c for c in COMBOS if c[0] not in SAME and c[2] != "label"])
def test_twins_differ_by_key_only(name: str, norm: str, kind: str) -> None:
    """Samples 0 and 5 hold the same record: their searches still draw differently.

    (Walks are left out: their first start is the nearest donor, which twins share.)
    """
    counter = Counter(problem(name, norm, kind).model)
    solve(problem(name, norm, kind), [0, 5], 40, stop="budget", answer=counter)
    rows = counter.points
    first, second = (rows[rows[:, 0] == sample][:, 1:] for sample in (0, 5))
    shared = min(len(first), len(second))
    assert shared
    assert not np.array_equal(first[:shared], second[:shared])
