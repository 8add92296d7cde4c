"""Models whose nearest changes and best points are known exactly, and ways to run searches on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from kit import Array, Model

from medaudit.core.compose import compose
from medaudit.core.interface import Output
from medaudit.core.protocol import Attack, Lanes, Oracle, Query, Search
from medaudit.core.region import L1, L2, LINF, Part, Region
from medaudit.core.streams import key
from medaudit.engine.inline import run_inline
from medaudit.engine.loop import Finished
from medaudit.oracle.goal import Goal, oracle

LANES, SIZE, MARGIN = 6, 20, 1.0
FAR = np.float32(8)  # half the box where the norm is not Linf
OUTPUT = Output("multiclass", ("y",), "logits", ("a", "b"))


class Case(NamedTuple):
    """A linear model, points that all lie equally far from its boundary, and those distances."""

    slope: Array  # [SIZE] float64, gradient of logit b minus logit a
    offset: float
    x: Array  # [LANES, SIZE] float32
    scale: Array  # [SIZE] float32
    exact: dict[str, float]

    @property
    def scaled(self) -> Array:
        """Gain of one unit of scale, [SIZE] float64."""
        return self.slope * self.scale


def case(seed: int = 0, size: int = SIZE) -> Case:
    """Points at margin MARGIN from the boundary."""
    rng = np.random.default_rng(seed)
    slope, offset = rng.normal(0, 1, size), 0.3
    scale = rng.uniform(0.5, 2, size).astype(np.float32)
    raw = rng.normal(0, 1, (LANES, size))
    margin = -(raw @ slope + offset)
    x = raw + ((margin - MARGIN) / (slope @ slope))[:, None] * slope
    gain = np.abs(slope * scale)
    exact = {LINF: MARGIN / gain.sum(), L2: MARGIN / np.sqrt((gain**2).sum()), L1: MARGIN / gain.max()}
    return Case(slope, offset, x.astype(np.float32), scale, exact)


def logits(z: Array) -> Array:
    """Two logits, class a where z < 0."""
    return np.stack([-z / 2, z / 2], axis=1).astype(np.float32)


def answers(one: Case, points: Array) -> Array:
    """Two logits; class a where slope @ x + offset < 0."""
    return logits((points.astype(np.float64) * one.slope).sum(axis=1) + one.offset)


def linear(one: Case) -> Model:
    """The case as an answer function."""
    return lambda points: answers(one, points)


def region(one: Case, norm: str, eps: float) -> Region:
    """A table with a scale of its own for every number."""
    return Region(norm, eps, one.scale, None, (Part("table", 1, 1, one.scale.size),))


def lanes_at(x: Array, lo: Array, hi: Array, model: Model, samples: list[int]) -> Lanes:
    """Lanes at clean points of class a [LANES, D], in boxes of their own."""
    return Lanes(
        key=np.array([key("known", s) for s in samples], dtype=np.uint64),
        x=x[samples],
        lo=np.broadcast_to(lo, x.shape)[samples],
        hi=np.broadcast_to(hi, x.shape)[samples],
        missing=None,
        ref=model(x[samples]),
        label=np.zeros(len(samples), dtype=np.int64),
        target=np.full(len(samples), -1, dtype=np.int64),
    )


def box_of(area: Region, x: Array) -> tuple[Array, Array]:
    """The box around points: eps for Linf, rounded inwards, and far away otherwise."""
    if area.norm != LINF:
        return x - FAR, x + FAR
    wide, reach = x.astype(np.float64), area.eps * area.scale.astype(np.float64)
    lo, hi = ((wide + way * reach).astype(np.float32) for way in (-1, 1))
    return np.nextafter(lo, x), np.nextafter(hi, x)


def lanes_of(one: Case, area: Region, model: Model | None = None) -> Lanes:
    """Lanes at all points of the case, on its own model or on another one."""
    return lanes_at(one.x, *box_of(area, one.x), model or linear(one), list(range(LANES)))


def run(
    one: Case,
    area: Region,
    search: Search,
    access: str,
    budget: int,
    stop: str = "flip",
    smallest: bool = False,
    model: Model | None = None,
) -> list[Finished]:
    """Attack all points of a case, on its own model or on another one; outcomes by sample."""
    ask = model or linear(one)
    box = box_of(area, one.x)

    def make_lanes(samples: list[int]) -> Lanes:
        return lanes_at(one.x, *box, ask, samples)

    attack: Attack = compose(search, oracle(OUTPUT, Goal(), access), area, stop=stop, smallest=smallest)
    jobs = [("known", attack, budget, make_lanes, list(range(LANES)))]
    return sorted(run_inline(jobs, ask, 64), key=lambda f: f.sample)


def ratios(done: list[Finished], exact: float) -> Array:
    """Sizes of claims over the exact distance, [LANES]; inf where there is none."""
    return np.array([float(f.arrays["size"]) for f in done]) / exact


def found(done: list[Finished]) -> list[int]:
    """Rows until the first success of every lane; 0: none."""
    return [int(f.arrays["found"]) for f in done]


class Path(NamedTuple):
    """What a search did in so many ticks, with all lanes in company."""

    state: Any  # of the composed attack
    queries: list[Query]
    answers: list[Array]

    def points(self, lane: int) -> Array:
        """All points one lane asked, in order, [rows, D]."""
        return np.concatenate([query.points[query.lane == lane] for query in self.queries])

    def hits(self) -> int:
        """Rows of class b."""
        return sum(int((given.argmax(axis=1) == 1).sum()) for given in self.answers)


def follow(search: Search, area: Region, lanes: Lanes, model: Model, ticks: int, judge: Oracle | None = None) -> Path:
    """Ask and tell a search so many times, whatever it finds."""
    attack = compose(search, judge or oracle(OUTPUT, Goal(), "scores"), area, stop="budget")
    state, path = attack.init(lanes), Path(None, [], [])
    for _ in range(ticks):
        query = attack.ask(state)
        given = model(query.points)
        state = attack.tell(state, query, given)
        path.queries.append(query)
        path.answers.append(given)
    return path._replace(state=state)


def lowest() -> Oracle:
    """Scores are the model's only value, and nothing is ever a success: a plain minimisation."""
    return Oracle("lowest", lambda lanes, lane, given: (given[:, 0], given[:, 0] < -np.inf))


def value(function: Callable[[Array], Array]) -> Model:
    """A model with one value, from a function of float64 points."""
    return lambda points: function(points.astype(np.float64))[:, None].astype(np.float32)
