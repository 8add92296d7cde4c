"""Pure functions: no global randomness, no writes to what they are given, no trust in nonsense."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from kit import (
    COMBOS,
    SAMPLES,
    Array,
    Counter,
    Model,
    Problem,
    bits_of,
    build,
    differences,
    problem,
    solve,
)

from medaudit.core.arrays import leaves
from medaudit.core.protocol import Lanes, Query, Search
from medaudit.core.region import Region

combos = pytest.mark.parametrize(("name", "norm", "kind"), COMBOS)


@combos
def test_no_global_randomness(name: str, norm: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every function of np.random and random poisoned, the result is the same."""
    expected = solve(problem(name, norm, kind))
    fresh = build(name, norm, kind)

    def poison(*_: object, **__: object) -> None:
        raise AssertionError("global randomness was used")

    for module in (np.random, random):
        for word in dir(module):
            if not word.startswith("_") and callable(getattr(module, word)):
                monkeypatch.setattr(module, word, poison)
    assert differences(expected, solve(fresh)) == []


@combos
def test_nothing_given_is_written_to(name: str, norm: str, kind: str) -> None:
    """Lanes, region, donors and states stay as they were (`kit.guarded` locks each of them)."""
    task = build(name, norm, kind)
    before = [bits_of(leaf) for leaf in (*leaves(task.lanes), *region_arrays(task))]
    solve(task, budget=60, stop="budget")
    assert before == [bits_of(leaf) for leaf in (*leaves(task.lanes), *region_arrays(task))]


def region_arrays(task: Problem) -> list[Array]:
    """The arrays of a region."""
    return [a for a in (task.region.scale, task.region.step, task.region.choices) if a is not None]


@combos
def test_asking_twice_gives_the_same(name: str, norm: str, kind: str) -> None:
    """`ask` and `tell` are functions of their arguments."""
    task = problem(name, norm, kind)
    attack = task.attack("budget")
    state = attack.init(task.make_lanes(list(SAMPLES)))
    for _ in range(6):
        first, second = attack.ask(state), attack.ask(state)
        assert bits_of(first.points) == bits_of(second.points)
        answers = task.model(first.points)
        one, two = (attack.tell(state, first, answers) for _ in range(2))
        assert [bits_of(a) for a in leaves(one)] == [bits_of(a) for a in leaves(two)]
        state = one


def sometimes(model: Model, nonsense: float, share: int) -> Model:
    """The model, but one row in `share` (chosen by the row itself) answers some nonsense."""

    def answer(points: Array) -> Array:
        out = model(points).copy()
        for i, row in enumerate(np.nan_to_num(points)):
            number = int(np.abs(row).astype(np.float64).sum() * 1e4)
            if number % share == 0:
                out[i, number % out.shape[1]] = nonsense
        return out

    return answer


class Witness:
    """Stands between `compose` and a search: what the search is told about each row."""

    def __init__(self, task: Problem) -> None:
        self.task = task
        self.best = np.full(len(SAMPLES), np.inf, dtype=np.float32)
        self.hit = np.zeros(len(SAMPLES), dtype=bool)
        self.bad = np.zeros(len(SAMPLES), dtype=np.int64)

    def model(self, inner: Model) -> Model:
        """The model, watched: best score and hits of rows whose answers are numbers."""

        def answer(points: Array) -> Array:
            answers = inner(points)
            lane = points[:, 0].astype(np.int64)
            valid = np.isfinite(answers).all(axis=1)
            score, hit = self.task.oracle.score(self.task.lanes, lane, np.nan_to_num(answers))
            np.add.at(self.bad, lane[~valid], 1)
            np.minimum.at(self.best, lane[valid], score[valid])
            self.hit[lane[valid & hit]] = True
            return answers

        return answer

    def search(self) -> Search:
        """The search, which must be told infinity and no hit for each row of nonsense."""
        inner = self.task.search

        def tell(region: Region, lanes: Lanes, state: Any, query: Query, score: Array, hit: Array) -> Any:
            owner = lanes.x[:, 0].astype(np.int64)[query.lane]
            assert not np.isnan(score).any()
            assert np.all(score >= self.best[owner]), "better than any answer that is a number"
            assert not hit[np.isposinf(score)].any()
            after = inner.tell(region, lanes, state, query, score, hit)
            if hasattr(after, "score"):
                owners = lanes.x[:, 0].astype(np.int64)
                known = np.minimum(self.best[owners], lanes.score)  # the clean answer's is known from the start
                assert np.all(after.score.reshape(len(owners), -1).min(axis=1) >= known)
            return after

        return inner._replace(tell=tell)


@combos
@pytest.mark.parametrize("nonsense", [np.nan, np.inf, -np.inf])
def test_nonsense_never_helps(name: str, norm: str, kind: str, nonsense: float) -> None:
    """NaN or infinity in some answers: no success, no better score, and each is counted."""
    task = problem(name, norm, kind)
    witness = Witness(task)
    model = witness.model(sometimes(task.model, nonsense, 3))
    watched = dataclasses.replace(task, search=witness.search())
    with np.errstate(invalid="ignore"):
        found = solve(watched, budget=50, stop="budget", answer=Counter(model))
    assert witness.bad.sum() > 0
    for sample, one in found.items():
        assert int(one.arrays["invalid"]) == witness.bad[sample]
        if np.isfinite(one.arrays["size"]):
            assert witness.hit[sample]
            point = one.arrays["claim"].copy()
            assert task.lanes.missing is not None
            point[task.lanes.missing[sample]] = np.nan
            answer = sometimes(task.model, nonsense, 3)(point[None])
            assert np.isfinite(answer).all()


@combos
@pytest.mark.parametrize("nonsense", [np.nan, np.inf])
def test_all_nonsense_is_no_success(name: str, norm: str, kind: str, nonsense: float) -> None:
    """A model that answers nothing but nonsense is never broken."""
    task = problem(name, norm, kind)

    def answer(points: Array) -> Array:
        return np.full((len(points), task.lanes.ref.shape[1]), nonsense, dtype=np.float32)

    with np.errstate(invalid="ignore"):
        for sample, one in solve(task, budget=30, answer=Counter(answer)).items():
            assert one.arrays["found"] == 0
            assert np.isinf(one.arrays["size"])
            assert np.all(np.isposinf(one.arrays["curve"]))
            assert int(one.arrays["invalid"]) == one.rows
            assert np.array_equal(one.arrays["claim"], task.lanes.x[sample])


FLIPPING: dict[str, Callable[[Any], Any]] = {
    "nan": lambda answers: np.full_like(answers, np.nan),
    "wrong class infinite": lambda answers: np.where(answers == answers.min(), np.inf, answers),
}


@pytest.mark.parametrize("how", FLIPPING)
@combos
def test_nonsense_on_half_of_the_rows(name: str, norm: str, kind: str, how: str) -> None:
    """Points stay numbers and legal while every second row answers nonsense."""
    task = problem(name, norm, kind)
    asked = [0]

    def answer(points: Array) -> Array:
        out = task.model(points)
        for i in range(len(out)):
            asked[0] += 1
            if asked[0] % 2:
                out[i] = FLIPPING[how](out[i])
        return out

    counter = Counter(answer)
    with np.errstate(invalid="ignore"):
        solve(task, budget=50, stop="budget", answer=counter)
    assert task.lanes.missing is not None
    for row in counter.points:
        sample = int(row[0])
        gone = task.lanes.missing[sample]
        assert np.isfinite(row[~gone]).all()
        assert np.all(row[~gone] >= task.lanes.lo[sample][~gone])
        assert np.all(row[~gone] <= task.lanes.hi[sample][~gone])
