"""A sweep of triggers in a worker: one record under every cell of every family, at every strength."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medaudit.audit.inputs import points_of
from medaudit.audit.lanes import answered, open_lanes
from medaudit.audit.spec import CheckSpec, Clean
from medaudit.core.arrays import Array, map_tree, namespace, to_numpy
from medaudit.core.errors import DataError
from medaudit.core.interface import Interface
from medaudit.core.protocol import Attack, Lanes
from medaudit.data import Dataset
from medaudit.engine.loop import Finished
from medaudit.engine.pool import Case
from medaudit.model.codec import stored_to_points
from medaudit.oracle.trigger import directions, limits, pushed
from medaudit.probe.questions import questions
from medaudit.trigger.cells import Cell, Field, Ground, field, grounds
from medaudit.trigger.known import Known, members, read, suits

if TYPE_CHECKING:
    from medaudit.audit.asked import Asked

STRENGTHS = (0.06, 0.12, 0.25, 0.5, 1.0)
AT_ONCE = 16
PICKED, SHAMS = 24, 8  # cells that are asked again at all strengths, and shams of each of their families
SOURCED = 8  # more of them that move records of one class alone


def field_of(interface: Interface, data: Dataset, points: np.ndarray, check: CheckSpec) -> Field:
    """The cells of a check: all of its families, or a known trigger and after it its shams.

    Families and shams draw on the reference part of the data, where it has one. Raises DataError where no input can
    carry the known trigger.
    """
    lent = reference_points(interface, data, points)
    if not check.trigger:
        return field(interface, lent, check.settings.families)
    known, there = read(check.trigger, check.settings.file), grounds(interface, lent)
    ground = ground_of(there, known)
    family, dials = members(ground.space, known, check.settings.shams)
    number = next(i for i, one in enumerate(there) if one is ground)
    return Field(there, tuple(Cell(number, family, own, known.strength) for own in dials))


def ground_of(there: tuple[Ground, ...], known: Known) -> Ground:
    """Where a known trigger lies. Raises DataError."""
    for ground in there:
        if suits(ground.space, known):
            return ground
    raise DataError("no input of the model can carry this trigger", "make one with 'medaudit trigger make'")


def reference_points(interface: Interface, data: Dataset, points: np.ndarray | None = None) -> np.ndarray:
    """The reference part of the data as points; where there is none, its records. points: these, where they are had."""
    if data.ref:
        return stored_to_points(interface, {i.name: data.ref[data.key(i.name)] for i in interface.inputs})
    return points_of(interface, data) if points is None else points


class Sweep:
    """The questions of one sweep, and what is kept: margins of every cell, strength and direction.

    A first look asks every cell at full strength; then only `chosen` ones are asked, at all strengths.
    """

    def __init__(
        self, asked: Asked, check: CheckSpec, clean: Clean, chosen: np.ndarray | None = None, found: Field | None = None
    ) -> None:  # fmt: skip
        """chosen: of the cells, those that are asked. found: other cells than the check's own."""
        self.asked, self.check, self.clean = asked, check, clean
        self.output = asked.spec.interface.output
        self.field = found or field_of(asked.spec.interface, asked.data, asked.points, check)
        self.cells = np.arange(len(self.field.cells)) if chosen is None else chosen
        self.strengths = np.array(STRENGTHS[-1:] if check.screen else STRENGTHS)
        self.limit = limits(self.output, clean.answers)
        self.wide = len(directions(self.output))

    def attack(self) -> Attack:
        count = len(self.cells) * len(self.strengths)
        votes = self.asked.votes
        return questions("sweep", count, count * self.wide, self._points, self._note, at_once=AT_ONCE, votes=votes)

    def lanes(self, samples: list[int]) -> Lanes:
        return open_lanes(self.asked, self.check, self.clean, samples)

    def _points(self, lanes: Lanes, t: Array) -> Array:
        own: Lanes = map_tree(to_numpy, lanes)
        x = np.where(np.asarray(own.missing), np.float32(np.nan), own.x)
        cell, strength = np.divmod(to_numpy(t), len(self.strengths))
        points = self.field.laid(self.cells[cell], self.strengths[strength], x, own.lo == own.hi)
        return namespace(lanes.x).asarray(points, device=lanes.x.device)

    def _note(self, lanes: Lanes, t: Array, answers: Array) -> tuple[Array, Array]:
        return t * self.wide, np.nan_to_num(pushed(self.output, to_numpy(answers), self.limit))

    def case(self, finished: Finished) -> Case:
        """The margins of a record, all of them."""
        return Case(finished.check, finished.sample, answered(finished), {"margins": self._table(finished)})

    def _table(self, finished: Finished) -> np.ndarray:
        """[cells, strengths, directions]"""
        kept = finished.arrays["kept"].astype(np.float32)
        return kept.reshape(len(self.cells), len(self.strengths), self.wide)


def kinds_of(found: Field) -> np.ndarray:
    """A number for each cell [cells]: which family on which ground."""
    names = [(cell.ground, cell.family.name) for cell in found.cells]
    order = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return np.array([order[name] for name in names])


def most_chosen(found: Field) -> int:
    """How many cells are asked again at most, after the first look."""
    return min(len(found.cells), PICKED + SOURCED + SHAMS * len(set(kinds_of(found).tolist())))


def shams_of(found: Field, kind: int) -> np.ndarray:
    """Cells of a family, far from each other in its grid."""
    rows = np.flatnonzero(kinds_of(found) == kind)
    return np.asarray(rows[np.unique(np.linspace(0, len(rows) - 1, SHAMS).astype(int))])
