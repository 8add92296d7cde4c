"""Signs of scaffolds: asked of one worker, and judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from medaudit.audit import verdicts
from medaudit.audit.explainers import plans_for
from medaudit.audit.sweeps import reference_points
from medaudit.core import streams
from medaudit.core.interface import Output
from medaudit.domain.threat import per_number
from medaudit.oracle.decision import decide
from medaudit.probe import scaffold
from medaudit.probe.kinds import Spec
from medaudit.stats import bounds
from medaudit.stats.chance import holm

if TYPE_CHECKING:
    from medaudit.audit.asked import Asked
    from medaudit.audit.resolve import Resolved

FEWEST = 100  # reference rows without anything missing
EXPLAINED = 100  # records whose explanations' rows are asked
WORDS = {
    "explained": "the explainer's own rows", "swapped": "rows with columns of usual records",
    "shaken": "rows shaken a little",
}  # fmt: skip


def looked(asked: Asked, explainer: Spec, reference: int, key: int) -> dict[str, Any]:
    """The signs of the model and of its honest twins, as plain data; in a worker."""
    face = asked.spec.interface
    rows = reference_points(face, asked.data, asked.points)
    rows = rows[np.isfinite(rows).all(axis=1)].astype(np.float32)
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(reference, len(rows))).astype(int))]
    explained = _explained(asked, explainer, key)
    if len(rows) < FEWEST or not len(explained):
        return {"rows": 0, "samples": [], "real": len(rows)}
    whole = per_number(face, lambda c, item: c.kind in ("category", "binary"), bool)
    real = scaffold.Real(rows, rows.std(axis=0).astype(np.float64), whole, key)

    def ask(given: np.ndarray) -> np.ndarray:
        return scores(face.output, asked.ask(np.asarray(given, dtype=np.float32)))

    questions = scaffold.questions(real, explained)
    own, theirs = scaffold.compared(real, questions, ask)
    _, p = scaffold.beyond(own, theirs)
    count = asked.votes * sum(len(part) for part in questions)
    return {
        "rows": int(count), "samples": [], "real": len(rows), "own": own.tolist(), "p": p.tolist(),
        "twins": theirs.mean(axis=0).tolist(), "finite": bool(np.isfinite(own).all()),
    }  # fmt: skip


def scores(output: Output, answers: np.ndarray) -> np.ndarray:
    """What a rule of the model says, [R, W] float64: probabilities, values, or which class it is."""
    values = np.asarray(answers, dtype=np.float64)
    if output.task == "label":
        own = np.asarray(decide(output, answers))
        return np.asarray(own[:, None] == np.arange(max(1, len(output.classes))), dtype=np.float64)
    if output.meaning == "logits" and output.task == "multiclass":
        values = np.exp(values - values.max(axis=1, keepdims=True))
        values /= values.sum(axis=1, keepdims=True)
    elif output.meaning == "logits":
        values = 1 / (1 + np.exp(-np.clip(values, -500, 500)))
    return values[:, 1:] if output.task == "multiclass" and values.shape[1] == 2 else values


def _explained(asked: Asked, explainer: Spec, key: int) -> np.ndarray:
    """Rows that the explainer asks of records, drawn among all."""
    _, plans = plans_for(explainer, asked.spec.interface, asked.data, asked.spec.seed, 1)
    points = asked.points[np.isfinite(asked.points).all(axis=1)]
    points = points[np.unique(np.linspace(0, len(points) - 1, min(EXPLAINED, len(points))).astype(int))]
    count = len(points) * (plans[0].asks - 1)
    keys = np.full(count, streams.key(key, "explained"), dtype=np.uint64)
    order = np.argsort(streams.uniform(keys, np.arange(count), 0, 1)[:, 0], kind="stable")[: scaffold.ASKED]
    which, t = np.divmod(order, plans[0].asks - 1)
    return np.asarray(plans[0].rows(points, which, t + 1))


def judged(check: Resolved, stage: dict[str, Any], confidence: float) -> verdicts.Judged:
    """How many of the signs stand out from the twins'."""
    if "own" not in stage:
        why = f"only {stage['real']} reference rows are without missing values: {FEWEST} are needed, and some records"
        return verdicts.Judged("not-run", why, {}, [], None, [])
    if not stage["finite"]:
        return verdicts.Judged("error", "the model answers some of the rows with no number", {}, [], None, [])
    p = holm(np.array(stage["p"]))
    count = bounds.count(int((p <= 1 - confidence).sum()), len(p))
    verdict, _, required = verdicts.judge({"scaffold_signs": count}, check.section.require, confidence, None, "")
    best = int(np.argmin(stage["p"]))
    told = (
        f"{WORDS[scaffold.SIGNS[best]]}: a second rule on records gains {stage['own'][best]:.1%} of the answers' "
        f"spread, of honest twins {stage['twins'][best]:.1%}, p {p[best]:.2g}"
    )
    reason = f"{'another rule than on records on' if count.value else 'one rule everywhere; nearest to two on'} {told}"
    return verdicts.Judged(
        verdict, reason, {"scaffold_signs": verdicts.value_of(count, confidence)}, required, None, []
    )  # fmt: skip
