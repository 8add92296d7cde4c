"""`medaudit attribute`: one explanation of one record, with what is known of its own noise, or what counts over all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medaudit import data as readers
from medaudit.audit.explainers import asking, plans_for, reading
from medaudit.audit.inputs import points_of
from medaudit.audit.lanes import decision_words
from medaudit.audit.led import save_maps
from medaudit.audit.spec import Found, WorkSpec
from medaudit.audit.sweeps import reference_points
from medaudit.audit.work import start_worker
from medaudit.core.errors import DataError, MedauditError
from medaudit.core.interface import Interface
from medaudit.core.text import printable
from medaudit.data import Dataset
from medaudit.model.facts import stream_size
from medaudit.oracle.explanation import evidence, explained, same, unit
from medaudit.policy import loader
from medaudit.policy.schema import ExplainerSection, ModelSection
from medaudit.probe.explainer import explain
from medaudit.probe.kinds import Spec, cells_for, drawn, ground_of, named, short, unsuited
from medaudit.probe.permutation import permutation
from medaudit.stats import bounds
from medaudit.stats.background import intervals
from medaudit.stats.bounds import Estimate
from medaudit.stats.maps import mass_overlap

if TYPE_CHECKING:
    from medaudit.audit.asked import Asked


ROWS = 20_000  # of the model, for what counts over all records
CONFIDENCE = 0.95
VALUES = ("regression", "reconstruction")


@dataclass(frozen=True)
class Attribution:
    """What each cell speaks for (above 0) or against the answer."""

    answer: str
    explainer: str
    rows: int  # of the model, for one explanation
    names: list[str]
    values: list[float]
    errors: list[float] | None  # standard errors by the plan's own draws
    explained: float  # log-odds of the answer, or the value
    of: str  # what cells speak for
    unit: str  # of all of them
    agreement: float | None  # overlap with the explanation of another plan; None: nothing is drawn
    ranges: list[list[float]] | None  # of Shapley values: what another choice of the reference rows could make of them
    digest: str


@dataclass(frozen=True)
class Importance:
    """What answers lose, over records, when a cell's values are exchanged between them."""

    records: int
    total: int  # of the data file
    rows: int  # of the model
    names: list[str]
    lost: list[Estimate]  # log-odds of the answer, or how far the value goes; mean over patients
    turned: list[float]  # share of exchanges that turn the answer
    digest: str
    unit: str  # of what is lost


def attribute(
    model: Path, data_path: Path, index: int, section: ExplainerSection, policy: str, out: Path | None
) -> Attribution:  # fmt: skip
    """Explain row `index` of the data file. out: the maps file that a report could draw. Raises MedauditError."""
    data = readers.read(data_path)
    if not 0 <= index < data.rows:
        raise DataError(f"{data_path} has no row {index}", f"rows are numbered from 0 to {data.rows - 1}")
    explainer = Spec(**section.model_dump())
    face, got = _asked(model, data, explainer, policy, "attribute", index)
    cells = cells_for(explainer, face)
    if out is not None:
        save_maps(out, face, cells, {"clean": np.asarray(got["values"])}, points_of(face, data)[index])
    return Attribution(names=[printable(name, 80) for name in cells.names], explainer=named(explainer), **got)


def importance(
    model: Path, data_path: Path, rows: int, section: ExplainerSection, policy: str, out: Path | None
) -> Importance:  # fmt: skip
    """Permutation importance of the explainer's cells, of about so many model rows; 0: 20,000. Raises MedauditError."""
    data = readers.read(data_path)
    explainer = Spec(**section.model_dump())
    face, got = _asked(model, data, explainer, policy, "importance", rows or ROWS)
    if not got["records"]:
        raise DataError(
            f"{data_path} has fewer than two rows that this model answers", "values are exchanged between rows"
        )
    cells = cells_for(explainer, face)
    lost = [bounds.mean(column, CONFIDENCE, np.asarray(data.groups)[got["which"]]) for column in got["lost"].T]
    if out is not None:
        save_maps(out, face, cells, {"clean": np.array([one.value for one in lost])}, None)
    names = [printable(name, 80) for name in cells.names]
    return Importance(
        got["records"], data.rows, got["rows"], names, lost, got["turned"], got["digest"], unit(face.output)
    )


def _asked(
    model: Path, data: Dataset, explainer: Spec, policy: str, kind: str, what: int
) -> tuple[Interface, dict[str, Any]]:
    """What a worker of its own answers. Raises MedauditError."""
    about = ModelSection() if not policy else loader.load(loader.find(policy))[0].model
    worker = start_worker()
    try:
        found: Found = worker.ask("discover", (str(model), str(data.path), about, ""))
        face = found.interface
        if why := unsuited(explainer, face) or short(explainer, face):
            raise MedauditError(f"kind {explainer.kind} does not explain this model", why)
        block = stream_size(4 * face.size, found.batching)
        spec = WorkSpec(
            str(model), data.path, face, found.batching, "cpu", block, 1, explainers={"given": explainer}
        )  # fmt: skip
        worker.ask("open", spec)
        return face, worker.ask(kind, what, timeout=3600)
    finally:
        worker.close()


def attributed(asked: Asked, index: int, explainer: Spec) -> dict[str, Any]:
    """In a worker: the record under two plans."""
    face, m = asked.spec.interface, asked.spec.interface.output.width
    _, plans = plans_for(explainer, face, asked.data, asked.spec.seed, 1)
    point = asked.points[[index]]
    own = np.ascontiguousarray(asked.ask(point)[:, :m])
    if not np.isfinite(own).all():
        raise DataError(f"the model answers row {index} with what is no number", "there is nothing to explain")
    ask = asking(reading(face.output, explainer, plans[0].width), asked.ask, own)
    values = [explain(plan, point, ask) for plan in plans[:2]]
    first, second = (plan.reduce(v, point) for plan, v in zip(plans, values, strict=False))
    if not np.isfinite(first).all():
        raise DataError(
            f"the model answers some of the rows that explain row {index} with what is no number",
            "take another kind, or another fill",
        )
    errors = plans[0].errors(values[0], point)[0].tolist() if plans[0].errors else None
    ranges = None if plans[0].lent is None else intervals(*plans[0].lent(values[0])).tolist()
    return {
        "answer": decision_words(face.output, own), "rows": plans[0].asks * asked.votes, "values": first[0].tolist(),
        "errors": errors, "ranges": ranges, "explained": float(values[0][0, 0, 0]),
        "agreement": float(mass_overlap(first, second)[0]) if drawn(*plans[:2]) else None,
        "digest": plans[0].digest[:16], "of": printable(explained(face.output, own), 80),
        "unit": unit(face.output),
    }  # fmt: skip


def exchanged(asked: Asked, rows: int, explainer: Spec) -> dict[str, Any]:
    """In a worker: what each record's answer loses with each cell of another record, [C, S]."""
    face = asked.spec.interface
    ground = ground_of(explainer, face, reference_points(face, asked.data, asked.points), asked.spec.seed)
    each = 1 + ground.cells.size
    some = np.unique(np.linspace(0, len(asked.points) - 1, max(2, rows // each)).astype(int))
    own = asked.ask(asked.points[some])
    finite = np.isfinite(own).all(axis=1)
    some, own = some[finite], own[finite]
    if len(some) < 2:
        return {"records": 0}
    plan = permutation(ground, len(some), max(1, rows // (each * len(some))))
    points = asked.points[some]
    answers = explain(plan, points, asked.ask).astype(np.float32)
    flat, of = answers.reshape(-1, answers.shape[2]), np.repeat(own, plan.asks, axis=0)
    values = evidence(face.output, flat, of).reshape(len(some), plan.asks, 1)
    if face.output.task in VALUES:  # a value has no side: as many rise as fall, and what counts is how far
        values = -np.abs(values - values[:, :1])
    stays = same(face.output, of, flat).reshape(len(some), plan.asks)[:, 1:].reshape(len(some), -1, ground.cells.size)
    return {
        "records": len(some), "which": some, "rows": (plan.asks + 1) * len(some) * asked.votes,
        "lost": plan.reduce(values, points), "turned": (1 - stays.mean(axis=(0, 1))).tolist(),
        "digest": plan.digest[:16],
    }  # fmt: skip
