"""What the explanation of a record is worth, as every check of explanations measures it; in a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medaudit.audit.explainers import asking, reading
from medaudit.core import streams
from medaudit.core.arrays import namespace, to_numpy
from medaudit.core.errors import ModelError
from medaudit.oracle.graded import alike
from medaudit.probe.explainer import explain
from medaudit.probe.kinds import filled_otherwise, plans_of
from medaudit.probe.quality import complete, removal, sparse, stability
from medaudit.stats.background import room
from medaudit.stats.maps import mass_overlap

if TYPE_CHECKING:
    from medaudit.audit.explaining import Explaining


def quality(
    of: Explaining, sample: int, found: np.ndarray, chance: np.ndarray, answers: np.ndarray, own: np.ndarray,
    fair: np.ndarray,
) -> tuple[dict[str, float], int]:  # fmt: skip
    """Measures of the clean record's map `own` [S] by plan 1, and the rows that the model was asked for them.

    chance [K, S]: maps of the random changes, as long as that to `found` [D]; fair [K]: which of them keep the answer;
    answers: of the record and of what the attack graded, bare.
    """
    asked, point, base, plan = of.asked, of.asked.points[[sample]], answers[:1], of.plans[1]
    read = reading(of.output, of.explainer, 1)
    out = removal(of.ground, own, streams.key(asked.data.ids[sample]))
    values, rows = explain(out, point, asking(read, asked.ask, base)), out.asks
    deleted, inserted, none = out.reduce(values, point)[0]
    whole = float(values[0, 0, 0])
    told = {"faithfulness": float(deleted + inserted) / 2, "deletion": float(deleted), "insertion": float(inserted)}
    told |= sparse(own) | {"incompleteness": complete(own, whole, float(none))}
    after = answers[of.design.before : of.design.before + of.design.random][fair]
    after = read(after, np.broadcast_to(base, after.shape))[:, 0]
    changed = _changed(of, sample, found)[fair]
    hidden = _hidden(of, np.concatenate([point, changed]))
    spread = np.where(of.ground.sd > 0, of.ground.sd, 1)
    told |= stability(own, chance[fair], _far(point[0] / spread, changed / spread), whole, after, hidden)
    rows += len(changed) + 1 if of.hidden is not None else 0
    if plan.lent is not None:
        parts, scores = plan.lent(explain(plan, point, asking(of.read, asked.ask, base)))
        told["background"], rows = room(parts, scores), rows + plan.asks
    others = {name: (plan, other) for name, other in of.randomised.items()}
    name, spec, ground = filled_otherwise(of.explainer, of.ground, point[0])
    if name:
        others[name] = plans_of(spec, ground)(1), asked
    for name, (one, other) in others.items():
        map_ = one.reduce(
            explain(one, point, asking(reading(of.output, of.explainer, one.width), other.ask, base)), point
        )
        told[name], rows = float(mass_overlap(own[None], map_)[0]), rows + one.asks
    return told, rows * asked.votes


def _changed(of: Explaining, sample: int, found: np.ndarray) -> np.ndarray:
    """The random changes of a record as they were asked, [K, D]."""
    made, region = of.drawn
    lanes = of.lanes([sample])
    xp = namespace(lanes.x)
    best = xp.asarray(found[None], dtype=xp.float32, device=lanes.x.device)
    return np.asarray(to_numpy(alike(region, lanes, made(lanes), best))[0])


def _hidden(of: Explaining, points: np.ndarray) -> np.ndarray | None:
    """How far the last hidden layer moves from the first point's to each other's, [K]; None where none can be seen."""
    if of.hidden is None:
        return None
    try:
        layers = of.hidden.ask(points)[:, of.output.width :]
    except ModelError:  # it has no row for each record
        return None
    return _far(layers[0], layers[1:]) if np.isfinite(layers).all() else None


def _far(first: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Relative distance of others [K, N] from the first [N]; what is missing in either does not move."""
    moved = np.linalg.norm(np.nan_to_num(others - first), axis=1)
    return np.asarray(moved / max(float(np.linalg.norm(np.nan_to_num(first))), 1e-12))
