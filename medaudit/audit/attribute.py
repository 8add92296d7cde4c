"""`medaudit attribute`: one explanation of one record, with what is known of its own noise."""

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
from medaudit.audit.work import start_worker
from medaudit.core.errors import DataError, MedauditError
from medaudit.core.text import printable
from medaudit.model.facts import stream_size
from medaudit.policy import loader
from medaudit.policy.schema import ExplainerSection, ModelSection
from medaudit.probe.explainer import explain
from medaudit.probe.kinds import Spec, cells_for, named, unsuited
from medaudit.stats.background import intervals
from medaudit.stats.maps import mass_overlap

if TYPE_CHECKING:
    from medaudit.audit.asked import Asked


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
    agreement: float  # overlap with the explanation of another plan
    ranges: list[list[float]] | None  # of Shapley values: what another choice of the reference rows could make of them
    digest: str


def attribute(
    model: Path, data_path: Path, index: int, section: ExplainerSection, policy: str, out: Path | None
) -> Attribution:  # fmt: skip
    """Explain row `index` of the data file. out: the maps file that a report could draw. Raises MedauditError."""
    data = readers.read(data_path)
    if not 0 <= index < data.rows:
        raise DataError(f"{data_path} has no row {index}", f"rows are numbered from 0 to {data.rows - 1}")
    about = ModelSection() if not policy else loader.load(loader.find(policy))[0].model
    worker, explainer = start_worker(), Spec(**section.model_dump())
    try:
        found: Found = worker.ask("discover", (str(model), str(data_path), about, ""))
        face = found.interface
        if why := unsuited(explainer, face):
            raise MedauditError(f"kind {explainer.kind} does not explain this model", why)
        block = stream_size(4 * face.size, found.batching)
        spec = WorkSpec(
            str(model), data.path, face, found.batching, "cpu", block, 1, explainers={"given": explainer}
        )  # fmt: skip
        worker.ask("open", spec)
        got = worker.ask("attribute", index, timeout=3600)
    finally:
        worker.close()
    cells = cells_for(explainer, face)
    if out is not None:
        save_maps(out, face, cells, {"clean": np.asarray(got["values"])}, points_of(face, data)[index])
    return Attribution(names=[printable(name, 80) for name in cells.names], explainer=named(explainer), **got)


def attributed(asked: Asked, index: int, explainer: Spec) -> dict[str, Any]:
    """In a worker: the record under two plans."""
    face, m = asked.spec.interface, asked.spec.interface.output.width
    _, plans = plans_for(explainer, face, asked.data, asked.spec.seed, 1)
    point = asked.points[[index]]
    own = np.ascontiguousarray(asked.ask(point)[:, :m])
    ask = asking(reading(face.output, plans[0].width), asked.ask, own)
    values = [explain(plan, point, ask) for plan in plans[:2]]
    first, second = (plan.reduce(v, point) for plan, v in zip(plans, values, strict=False))
    errors = plans[0].errors(values[0], point)[0].tolist() if plans[0].errors else None
    ranges = None if plans[0].lent is None else intervals(*plans[0].lent(values[0])).tolist()
    return {
        "answer": decision_words(face.output, own), "rows": plans[0].asks * asked.votes, "values": first[0].tolist(),
        "errors": errors, "ranges": ranges, "explained": float(values[0][0, 0, 0]),
        "agreement": float(mass_overlap(first, second)[0]), "digest": plans[0].digest[:16],
    }  # fmt: skip
