"""The tick: blocks, budgets, refills, snapshots."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit import SAMPLES, Counter, bits_of, differences, guarded, problem, solve
from numpy.typing import NDArray

from medaudit.core.arrays import leaves
from medaudit.engine import loop
from medaudit.engine.inline import run_inline
from medaudit.engine.loop import Cohort, Finished, ask_model, tick

Array = NDArray[Any]


@given(counts=st.lists(st.integers(1, 20), min_size=1, max_size=6), block=st.integers(1, 9))
def test_blocks_are_shared_and_sorted_back(counts: list[int], block: int) -> None:
    """Any number of queries in blocks of any size: every row gets its own answer."""
    start = 0
    queries: list[Array] = []
    for count in counts:
        queries.append(np.arange(start, start + count, dtype=np.float32)[:, None])
        start += count
    calls: list[int] = []

    def answer(points: Array) -> Array:
        calls.append(len(points))
        return np.asarray(points * 2)

    found = ask_model(queries, block, answer)
    for query, got in zip(queries, found, strict=True):
        assert np.array_equal(got, query * 2)
    assert sum(calls) == start, "every row is asked once"
    assert max(calls) <= block
    short = [c for c in calls if c < block]
    assert len(short) <= 1, "at most one block is not full"


def test_nothing_to_ask() -> None:
    """No queries, no calls."""
    assert ask_model([], 8, lambda p: p) == []


def test_idle_lanes_are_replaced() -> None:
    """With room for two lanes, six samples still all end, in any order."""
    task = problem("square", "linf", "binary")
    cohort = Cohort("check", guarded(task.attack()), 40, task.make_lanes)
    cohort.waiting.extend((s, None) for s in SAMPLES)
    finished: list[Finished] = []
    most = 0
    for _ in range(1000):
        if not (cohort.waiting or cohort.open):
            break
        finished += tick([cohort], 2, Counter(task.model, 2), 2)
        most = max(most, cohort.open)
    assert most <= 2
    assert sorted(f.sample for f in finished) == list(SAMPLES)
    assert differences({f.sample: f for f in finished}, solve(task, budget=40)) == []


@pytest.mark.parametrize("name", ["square", "nes", "sparse", "hopskipjump"])
def test_every_cohort_gets_its_turn(name: str) -> None:
    """Three checks with little room: all end, each with the rows of its own lanes."""
    norm = "l0" if name == "sparse" else "l2"
    tasks = {kind: problem(name, norm, kind) for kind in ("multiclass", "binary", "multilabel")}
    jobs: list[Any] = [
        (kind, guarded(task.attack()), 50, task.make_lanes, list(SAMPLES)) for kind, task in tasks.items()
    ]

    # Every kind has a model of its own; answer by the widest and let oracles read what they need.
    def answer(points: Array) -> Array:
        return tasks["multilabel"].model(points)

    def narrow(kind: str) -> Any:
        width = {"multiclass": 3, "binary": 1, "multilabel": 4}[kind]
        attack = jobs[[j[0] for j in jobs].index(kind)][1]
        return attack._replace(tell=lambda s, q, a: attack.tell(s, q, np.ascontiguousarray(a[:, :width])))

    jobs = [(kind, narrow(kind), *rest) for kind, _, *rest in jobs]
    found = run_inline(jobs, answer, 8, 4)
    assert sorted((f.check, f.sample) for f in found) == sorted((kind, s) for kind in tasks for s in SAMPLES)


def test_an_attack_that_asks_nothing_ends() -> None:
    """A lane for which no row is asked is over, not open for ever."""
    task = problem("square", "linf", "binary")
    attack = task.attack()

    def nothing(state: Any) -> Any:
        query = attack.ask(state)
        return query._replace(points=query.points[:0], lane=query.lane[:0])

    found = run_inline(
        [("check", attack._replace(ask=nothing), 40, task.make_lanes, [0, 1])],
        Counter(task.model),
        8,
    )
    assert [(f.rows, f.exhausted) for f in found] == [(0, True), (0, True)]


def test_snapshot_is_a_plain_archive(tmp_path: Any) -> None:
    """Written without pickles, read without pickles; float bits and types survive."""
    import io

    task = problem("hopskipjump", "l2", "label")
    state = task.attack().init(task.make_lanes([1]))
    blob = loop.snapshot(12, state)
    with np.load(io.BytesIO(blob), allow_pickle=False) as saved:
        assert int(saved["spent"]) == 12
        assert len(saved.files) == len(leaves(state)) + 1
    _, again = loop.restore(blob, state)
    assert [bits_of(a) for a in leaves(again)] == [bits_of(a) for a in leaves(state)]


def test_empty_cohort() -> None:
    """Nothing waits, nothing is open: nothing happens."""
    task = problem("square", "linf", "binary")
    cohort = Cohort("check", task.attack(), 40, task.make_lanes)
    assert tick([cohort], 8, Counter(task.model), 8) == []
    assert list(cohort.snapshots()) == []
    assert run_inline([("check", task.attack(), 9, task.make_lanes, [])], Counter(task.model), 8) == []
