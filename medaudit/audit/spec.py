"""What the parent tells its workers: plain data, the same for all of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from medaudit.core.interface import Interface
from medaudit.domain.threat import Threat
from medaudit.model.facts import Batching, Facts
from medaudit.oracle.goal import Goal
from medaudit.probe.kinds import Spec as Explaining
from medaudit.stage.stage import Stage, askings


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
    lent: tuple[int, ...] = ()  # rows whose recordings the fit may be made of
    behind: str = ""  # the name of stages that it is made behind; "": of none
    replay: tuple[str, ...] = ()  # names of stages that its failing inputs are put before
    trigger: str = ""  # the text of a trigger file
    screen: bool = False  # what comes before a sweep or search: every cell at full strength, or the search itself
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
    stages: dict[str, tuple[Stage, ...]] = field(default_factory=dict)  # by name; "": those that are always there
    triggers: dict[str, str] = field(default_factory=dict)  # by the name that a policy gives: text of the file
    suspicious: str = ""  # file of inputs that are to be compared with clean records
    explainers: dict[str, Explaining] = field(default_factory=dict)  # by the name that a policy gives
    references: dict[str, str] = field(default_factory=dict)  # name -> file of an approved model, asked as this one is


@dataclass(frozen=True)
class Clean:
    """The clean pass, once per run: what lanes are measured against."""

    answers: np.ndarray  # [n, M] float32, on the search session; n rows of the data file
    single: np.ndarray  # [n, M] float32, one row at a time on a CPU session
    floor: float  # largest difference of scores between the two
    donors: np.ndarray  # [S] int64, rows that starts are taken from
    kinds: np.ndarray  # [S] int64, their decisions; -1 where a decision is not one class
    kin: float = 0.0  # of a reference: how far the model's weights go with its own


def around(spec: WorkSpec, name: str) -> tuple[Stage, ...]:
    """All stages that a check behind `name` meets, in their order."""
    return spec.stages.get(name, ()) + (spec.stages.get("", ()) if name else ())


def face_behind(spec: WorkSpec, name: str) -> Interface:
    """The interface behind a stage: an answer may be a vote of several askings."""
    face = spec.interface
    count = askings(spec.stages.get(name, ())) if name else 1
    return replace(face, output=replace(face.output, votes=face.output.votes * count))
