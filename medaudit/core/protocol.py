"""The attack protocol: four pure array functions, first axis = lane.

An attack never sees the model. Shape letters: L lanes, R query rows, D numbers in a point,
M numbers in an answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from medaudit.core.arrays import Array


class Lanes(NamedTuple):
    """What lanes are born with; every array's first axis is the lane."""

    key: Array  # [L] uint64, stream key of (seed, rule, check id, sample id)
    x: Array  # [L, D] float32, clean point; missing cells hold 0
    lo: Array  # [L, D] float32, box the attacker may use: lo <= point <= hi
    hi: Array  # [L, D] float32; lo == hi == x where nothing may change
    missing: Array | None  # [L, D] bool, cells that must stay NaN; None when there are none
    ref: Array  # [L, M] float32, the model's answer to the clean point
    label: Array  # [L] int64, the model's clean decision as a class; -1 where it is not one class
    target: Array  # [L] int64, class, finding or direction that the goal names; -1 when none
    legal_lo: Array | None = None  # [L, D] float32, the box without eps, for searches that minimise size
    legal_hi: Array | None = None
    score: Array | None = None  # [L] float32, of the clean answer; set where an oracle is at hand


class Query(NamedTuple):
    """Rows asked in one tick, all rows of a lane together and in the order of the draws."""

    points: Array  # [R, D] float32
    lane: Array  # [R] int64, owner
    claims: Array | None = None  # [R] bool, rows that may become the lane's result; None: all


class Loss(NamedTuple):
    """What rows [R] lose piece by piece, where each number of an answer is about one of S cells of a record."""

    cells: np.ndarray  # [R, S] what each cell loses
    added: np.ndarray  # [R, S] what each cell adds to the answer, in shares of what the answer may move
    answer: np.ndarray  # [R] how far the answer moved, in the same


Losses = Callable[[Lanes, Array, Array], Loss]
"""lanes, lane [R], answers [R, M]"""


class Parts(NamedTuple):
    """What rows [R] cost in the published attack: distance of maps, what the label asks for, and whether it stayed."""

    distance: np.ndarray
    label: np.ndarray
    kept: np.ndarray


Costs = Callable[[Lanes, Array, Array], Parts]
"""lanes, lane [R], answers [R, M]"""


class Explained(NamedTuple):
    """What searches may look at where answers [R, M + S] hold a map of S cells; lanes.ref: clean and wanted map too."""

    of: np.ndarray  # [D] cell of each number
    cells: int  # S
    losses: Losses
    donors: Callable[[Lanes], Array] | None = None  # other records [L, D] of lanes
    wish: Callable[[Lanes], tuple[np.ndarray, np.ndarray]] | None = None  # wanted maps, weights of cells [L, S] each
    costs: Callable[[str], Costs] | None = None  # by what the label asks for: hinge, confident or kl


class Search(NamedTuple):
    """How to propose. Knows boxes, norms and scores; knows neither labels nor units."""

    name: str
    quantum: int  # most rows a lane asks in one tick
    init: Callable[[Any, Lanes], Any]  # region, lanes -> state
    ask: Callable[[Any, Lanes, Any], Query]  # region, lanes, state -> query
    tell: Callable[[Any, Lanes, Any, Query, Array, Array], Any]  # ..., query, score, hit -> state
    stopped: Callable[[Any], Array] | None = None  # state -> [L] bool, nothing left to try
    starts: Callable[[Any], Array] | None = None  # state -> [L] int64, rows asked to find a start point
    beyond: bool = False  # it may ask outside eps: it minimises size
    turn: Callable[[Any], Array] | None = None  # state -> [L] int64, which of its members asked last
    members: tuple[str, ...] = ()  # names, where several searches take turns
    share: Callable[[Any], Array] | None = None  # state -> [L] float32, share of trials that reached the goal
    look: Callable[[Any, Lanes, Any, Query, Array], Any] | None = None
    """region, lanes, state, query, answers [R, M] -> state: before `tell`, for searches that read whole answers"""
    adopt: Callable[[Any, Array, Array], Any] | None = None
    """state, points [L, D], scores [L] (inf: none) -> state that goes on from them where they are better"""


class Oracle(NamedTuple):
    """What to ask and how to score: smaller is closer to the attacker's goal."""

    name: str
    score: Callable[[Lanes, Array, Array], tuple[Array, Array]]
    """lanes, lane [R], answers [R, M] -> score [R] float32, hit [R] bool"""


class Attack(NamedTuple):
    """What the engine runs. Most attacks are `compose(search, oracle, region)`."""

    name: str
    quantum: int
    init: Callable[[Lanes], Any]  # lanes -> state
    ask: Callable[[Any], Query]  # state -> query
    tell: Callable[[Any, Query, Array], Any]  # state, query, answers [R, M] -> state
    done: Callable[[Any], Array]  # state -> [L] bool
    result: Callable[[Any], dict[str, Array]]  # state -> arrays, first axis lane
    members: tuple[str, ...] = ()  # names of the searches that take turns
    votes: int = 1  # model rows for each row of a query
