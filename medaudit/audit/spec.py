"""What the parent tells its workers: plain data, the same for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from medaudit.core.interface import Interface
from medaudit.domain.threat import Threat
from medaudit.model.facts import Batching, Facts
from medaudit.oracle.goal import Goal


class Found(NamedTuple):
    """What discovery gives: the file's facts, the interface that the data confirm, the batching."""

    facts: Facts
    interface: Interface
    batching: Batching


@dataclass(frozen=True)
class CheckSpec:
    """One check with everything resolved."""

    id: str
    rule: str
    threat: Threat | None
    goal: Goal
    budget: int
    settings: Any
    planted: bool = False  # on the model with a planted weakness
    fit: tuple[int, ...] = ()  # rows of the data file that one change is fitted on; then this is the fit
    truth: bool = False  # attacked from the label, not from the clean decision: all records are admitted


@dataclass(frozen=True)
class WorkSpec:
    """A run as its workers see it."""

    model: str
    data: str
    interface: Interface
    batching: Batching
    device: str
    block: int
    seed: int
    room: int = 0  # rows wanted per tick; 0: eight blocks


@dataclass(frozen=True)
class Clean:
    """The clean pass, once per run: what lanes are measured against."""

    answers: np.ndarray  # [n, M] float32, on the search session; n rows of the data file
    single: np.ndarray  # [n, M] float32, one row at a time on a CPU session
    floor: float  # largest difference of scores between the two
    donors: np.ndarray  # [S] int64, rows that starts are taken from
    kinds: np.ndarray  # [S] int64, their decisions; -1 where a decision is not one class
