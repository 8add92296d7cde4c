"""A search over the dials of every family, in a worker: a lane for each family and answer, all on the same records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from medaudit.audit.lanes import answered
from medaudit.audit.spec import CheckSpec, Clean
from medaudit.audit.sweeps import SHAMS, field_of
from medaudit.core import streams
from medaudit.core.arrays import Array, namespace, to_numpy
from medaudit.core.compose import compose
from medaudit.core.interface import Interface, Output
from medaudit.core.protocol import Attack, Lanes, Oracle, Query
from medaudit.core.region import LINF, Part, Region
from medaudit.data import Dataset
from medaudit.engine.loop import Finished
from medaudit.engine.pool import Case
from medaudit.oracle.outlying import LEAST
from medaudit.oracle.trigger import directions, limits, pushed
from medaudit.search import cmaes
from medaudit.trigger.base import Family
from medaudit.trigger.cells import Cell, Field, lay

if TYPE_CHECKING:
    from medaudit.audit.asked import Asked

POPULATION = 12
PICKED = 12  # ways whose best members are asked again
FURTHEST = 6.0  # spreads beyond which a margin counts no more: one record must not outweigh the others


class Way(NamedTuple):
    """What one lane searches: a family on a ground, towards an answer."""

    ground: int
    family: Family
    towards: int


def ways(found: Field, output: Output) -> list[Way]:
    """All lanes, in order."""
    kinds = dict.fromkeys((cell.ground, cell.family.name) for cell in found.cells)
    families = {cell.family.name: cell.family for cell in found.cells}
    every = range(len(directions(output)))
    return [Way(g, families[name], t) for g, name in kinds if families[name].dials for t in every]


class Joint:
    """The model and its references as one: their answers side by side."""

    def __init__(self, bare: Asked, others: list[Asked]) -> None:
        self.spec, self.every = bare.spec, [bare, *others]
        self.votes = bare.votes * len(self.every)  # rows behind one answer of all of them

    def ask(self, points: Array) -> np.ndarray:
        return np.concatenate([one.ask(points) for one in self.every], axis=1)


class Searching:
    """The search of one check in a worker. The records all lanes share are `check.fit`."""

    def __init__(self, joint: Joint, check: CheckSpec, cleans: list[Clean], data: Dataset, points: np.ndarray) -> None:
        """cleans: of the model and of each reference."""
        face: Interface = joint.spec.interface
        self.asked, self.check, self.output = joint, check, face.output
        self.field = field_of(face, data, points, check)
        self.ways = ways(self.field, face.output)
        rows = list(check.fit)
        self.points, self.size = points[rows], len(rows)
        self.limit = limits(face.output, cleans[0].answers)
        clean = pushed(face.output, cleans[0].answers, self.limit)
        self.others = np.nan_to_num(clean[rows]) <= 0  # [records, directions]
        self.spread = [np.nanstd(pushed(face.output, c.answers, self.limit), axis=0) for c in cleans]
        self.deep = max((len(way.family.dials) for way in self.ways), default=1)

    def attack(self) -> Attack:
        area = Region(LINF, 0.5, np.ones(self.deep, dtype=np.float32), None, (Part("table", 1, 1, self.deep),))
        search = cmaes.search(cmaes.Settings(rows=POPULATION))
        inner = compose(
            search, Oracle("excess", self._score), area, stop="budget", keep_worst=True, votes=self.asked.votes
        )
        size = self.size

        def ask(state: Any) -> Query:
            query = inner.ask(state)
            return Query(self._laid(state.lanes, query), namespace(query.lane).repeat(query.lane, size))

        def tell(state: Any, query: Query, answers: Array) -> Any:
            own = inner.ask(state)
            told = np.isin(np.asarray(own.lane), np.asarray(query.lane))  # some lanes may wait for the next tick
            own = Query(own.points[told], own.lane[told])
            return inner.tell(state, own, namespace(answers).reshape(answers, (own.points.shape[0], -1)))

        def result(state: Any) -> Any:
            found = inner.result(state)
            return found | {"rows": to_numpy(found["rows"]) * size, "low": to_numpy(state.low)}

        return inner._replace(quantum=POPULATION * size, ask=ask, tell=tell, result=result)

    def lanes(self, samples: list[int]) -> Lanes:
        """Lane numbers stand where records have theirs."""
        n = len(samples)
        dials = np.array([len(self.ways[s].family.dials) for s in samples])
        used = np.arange(self.deep)[None, :] < dials[:, None]
        half = np.full((n, self.deep), 0.5, dtype=np.float32)
        names = [streams.key(self.asked.spec.seed, self.check.rule, self.check.id, s) for s in samples]
        width = self.size * self.output.width * len(self.spread)
        return Lanes(
            np.array(names, dtype=np.uint64), half, np.where(used, np.float32(0), half),
            np.where(used, np.float32(1), half), None, np.zeros((n, width), dtype=np.float32),
            np.array(samples, dtype=np.int64), np.full(n, -1),
        )  # fmt: skip

    def _laid(self, lanes: Lanes, query: Query) -> np.ndarray:
        """Every record under every member that is asked."""
        which, dials = np.asarray(lanes.label)[np.asarray(query.lane)], np.asarray(query.points, dtype=np.float64)
        rows = len(which)
        out = np.tile(self.points, (rows, 1))
        for number in np.unique(which):
            way = self.ways[int(number)]
            at = (np.flatnonzero(which == number)[:, None] * self.size + np.arange(self.size)).ravel()
            own = np.repeat(dials[which == number, : len(way.family.dials)], self.size, axis=0)
            shut = np.zeros((len(at), out.shape[1]), dtype=bool)
            out[at] = lay(self.field.grounds[way.ground], way.family, own, np.ones(len(at)), out[at], shut)
        return out

    def _score(self, lanes: Lanes, lane: Array, answers: Array) -> tuple[Array, Array]:
        """Less the excess of each member; nothing is claimed. answers: [R, records x models x M]."""
        models, width = len(self.spread), self.output.width
        every = np.asarray(answers).reshape(-1, self.size, models, width)
        towards = np.array([self.ways[int(k)].towards for k in np.asarray(lanes.label)[np.asarray(lane)]])
        score = np.zeros(len(every), dtype=np.float32)
        for t in np.unique(towards):
            at, rows = np.flatnonzero(towards == t), self.others[:, t]
            if not rows.any():
                continue
            reached = []
            for m in range(models):
                some = every[at][:, rows, m].reshape(-1, width)
                margin = pushed(self.output, some, self.limit)[:, t].reshape(len(at), -1)
                scaled = np.clip(margin / max(float(self.spread[m][t]), LEAST), -FURTHEST, FURTHEST)
                reached.append(scaled.mean(axis=1))
            score[at] = -(reached[0] - np.mean(reached[1:], axis=0))
        return score, np.zeros(len(score), dtype=bool)

    def case(self, finished: Finished) -> Case:
        """The best member of a lane, and its excess; None where no member was answered with numbers."""
        got = finished.arrays
        low = float(got["low"])
        record = {**answered(finished), "excess": -low if np.isfinite(low) else None}
        return Case(finished.check, finished.sample, record, {"dials": np.asarray(got["worst"], dtype=np.float64)})


def searched(many: int) -> int:
    """Cells that are asked again after a search of so many ways: the best members, each with its shams."""
    return min(many, PICKED) * (1 + SHAMS)


def searched_cells(found: Field, output: Output, picks: np.ndarray) -> list[list[Cell]]:
    """What a search found, each with shams of its family behind it. picks [n, 1 + k]: number of the way, dials."""
    every, out = ways(found, output), []
    for number, *dials in picks:
        way = every[int(number)]
        grid = way.family.grid(found.grounds[way.ground].space)
        some = grid[np.unique(np.linspace(0, len(grid) - 1, SHAMS).astype(int))]
        out.append([Cell(way.ground, way.family, np.array(own)) for own in (dials[: len(way.family.dials)], *some)])
    return out


def searched_field(found: Field, output: Output, picks: np.ndarray) -> Field:
    """The same, one after another."""
    return Field(found.grounds, tuple(cell for own in searched_cells(found, output, picks) for cell in own))
