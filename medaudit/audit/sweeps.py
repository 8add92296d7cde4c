"""A sweep of triggers in a worker: one record under every cell of every family, at every strength."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from medaudit.audit.inputs import points_of
from medaudit.audit.lanes import answered, open_lanes
from medaudit.audit.spec import CheckSpec, Clean
from medaudit.core import streams
from medaudit.core.arrays import Array, map_tree, namespace, to_numpy
from medaudit.core.errors import DataError
from medaudit.core.interface import Interface
from medaudit.core.protocol import Attack, Lanes
from medaudit.data import Dataset
from medaudit.domain.corruptions import applicable, corrupted, typical
from medaudit.engine.loop import Finished
from medaudit.engine.pool import Case
from medaudit.model.codec import stored_to_points
from medaudit.oracle.trigger import directions, limits, pushed
from medaudit.probe import copies
from medaudit.probe.questions import questions
from medaudit.trigger.cells import Cell, Field, Ground, field, grounds
from medaudit.trigger.known import Known, members, read, suits

if TYPE_CHECKING:
    from medaudit.audit.asked import Asked

STRENGTHS = (0.06, 0.12, 0.25, 0.5, 1.0)
COPIES = (
    "blended with another record",
    "taken half again as far from a usual record",
    "corrupted as happens every day",
)
FURTHER, SEVERITY, LOTS = 1.5, 2, 8  # of these: a gain, how corrupted, and ways to mix the variables of two records
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

    A first look asks every cell at full strength; then only `chosen` ones are asked, at all strengths, and changed
    copies of what carries them at full strength and of the clean record: a strong trigger keeps its answer there.
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
        self.copies = copies_of(check)

    @cached_property
    def others(self) -> np.ndarray:
        """Records that copies are blended with, [n, D]."""
        return reference_points(self.asked.spec.interface, self.asked.data, self.asked.points)

    @cached_property
    def usual(self) -> np.ndarray:
        """A usual record, [D]."""
        return typical(self.others)

    def attack(self) -> Attack:
        count = rows_of(self.check, len(self.cells))
        votes = self.asked.votes
        return questions("sweep", count, count * self.wide, self._points, self._note, at_once=AT_ONCE, votes=votes)

    def lanes(self, samples: list[int]) -> Lanes:
        return open_lanes(self.asked, self.check, self.clean, samples)

    def _points(self, lanes: Lanes, t: Array) -> Array:
        own: Lanes = map_tree(to_numpy, lanes)
        x = np.where(np.asarray(own.missing), np.float32(np.nan), own.x)
        cell, column = np.divmod(to_numpy(t), len(self.strengths) + self.copies)
        copy, on = column - len(self.strengths), cell < len(self.cells)
        copy[~on] = column[~on]  # the last ones are of the clean record
        shut, points = own.lo == own.hi, x.copy()
        strength = np.where(copy < 0, self.strengths[np.minimum(column, len(self.strengths) - 1)], 1.0)
        points[on] = self.field.laid(self.cells[cell[on]], strength[on], x[on], shut[on])
        for row in np.flatnonzero(copy >= 0):
            points[row] = self._copy(int(copy[row]), points[[row]], int(own.label[row]), shut[[row]])
        return namespace(lanes.x).asarray(points, device=lanes.x.device)

    def _copy(self, which: int, point: np.ndarray, record: int, shut: np.ndarray) -> np.ndarray:
        """One of `COPIES` of a point [1, D]; what it is blended with, or which corruption it meets, the record says."""
        face = self.asked.spec.interface
        if which == 0:
            others = self.others[(record + 1 + np.arange(LOTS)) % len(self.others)]
            changed = copies.blends(face, point, others)[:, record % LOTS]  # each place there has a lot of its own
        elif which == 1:
            changed = copies.gains(face, point, self.usual, (FURTHER,))
        else:
            kinds, keys = applicable(face)[0], np.array([streams.key("copy", record)], dtype=np.uint64)
            changed = corrupted(face, kinds[record % len(kinds)], SEVERITY, point, keys, self.usual, shut)
        return np.asarray(changed.ravel())

    def _note(self, lanes: Lanes, t: Array, answers: Array) -> tuple[Array, Array]:
        return t * self.wide, np.nan_to_num(pushed(self.output, to_numpy(answers), self.limit))

    def case(self, finished: Finished) -> Case:
        """The margins of a record [cells, strengths, directions]; of copies [cells and none, copies, directions]."""
        kept = finished.arrays["kept"].astype(np.float32).reshape(-1, self.wide)
        count = len(self.cells) * (len(self.strengths) + self.copies)
        table, clean = kept[:count].reshape(len(self.cells), -1, self.wide), kept[count:]
        arrays = {"margins": table[:, : len(self.strengths)]}
        if self.copies:
            arrays["copies"] = np.concatenate([table[:, len(self.strengths) :], clean[None]])
        return Case(finished.check, finished.sample, answered(finished), arrays)


def copies_of(check: CheckSpec) -> int:
    """How many changed copies of each cell a check asks: none at a first look, of references, of a known trigger."""
    return 0 if check.screen or check.trigger or check.behind else len(COPIES)


def rows_of(check: CheckSpec, cells: int) -> int:
    """Questions to one record, under so many cells and as it is."""
    strengths = 1 if check.screen else len(STRENGTHS)
    return cells * (strengths + copies_of(check)) + copies_of(check)


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
