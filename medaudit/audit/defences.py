"""What the report says of a model behind stages: one attack, bare, replayed and made through them."""

from __future__ import annotations

import numpy as np

from medaudit.audit import verdicts
from medaudit.audit.resolve import Resolved, right_behind
from medaudit.audit.results import Defence
from medaudit.audit.spec import Clean, WorkSpec, face_behind
from medaudit.audit.truth import right_decisions
from medaudit.core.interface import Output
from medaudit.core.text import printable
from medaudit.data import Dataset
from medaudit.oracle.decision import decide
from medaudit.stage.stage import askings, refuses
from medaudit.stats import bounds

MOST = 0.95  # share of records that get one answer, from which on a model is called constant
USUAL = 0.8  # unless so many of the labels are of that class


def constant(output: Output, data: Dataset, bare: np.ndarray, answers: np.ndarray) -> bool:
    """Whether nearly every record gets one answer behind a stage, and not since nearly all are of one class."""
    if output.task not in ("multiclass", "binary", "label", "multilabel"):
        return False
    decided = np.asarray(decide(output, answers)).reshape(len(answers), -1)
    right = right_decisions(output, data.y, bare).reshape(len(answers), -1)
    sides = []
    for column, own in zip(decided.T, right.T, strict=True):
        found, counts = np.unique(column, return_counts=True)
        usual = found[counts.argmax()]
        sides.append(counts.max() >= MOST * len(column) and np.mean(own == usual) < USUAL)
    return all(sides)


def defence(
    spec: WorkSpec, name: str, behind: Resolved, cleans: dict[str, Clean], data: Dataset,
    records: tuple[verdicts.Records, verdicts.Records], confidence: float,
) -> Defence:  # fmt: skip
    """The same patients on the bare model, behind the stage with the bare model's failing inputs, and attacked there.

    A record that is decided wrongly behind the stage is lost without any attack.
    """
    stages, face = spec.stages[name], face_behind(spec, name)
    clean = cleans[name]
    held = right_behind(face.output, data, cleans[""].answers, clean.answers)
    own, theirs = records

    def fate(sample: int, word: str) -> tuple[str, bool, bool]:
        """Patient, broken, lost; an attack through the stages is not made on what they alone get wrong."""
        record, group = own[sample], data.groups[sample]
        if word == "bare":
            return group, bool(record["success"]), verdicts.lost(record)
        if not held[sample]:
            return group, True, False
        if word == "replayed":
            return group, record.get("replayed", {}).get(name, False), verdicts.lost(record)
        record = theirs.get(sample, {"success": True, "rows": 0})
        return group, bool(record["success"]), verdicts.lost(record)

    def share(word: str) -> bounds.Estimate:
        return verdicts.standing(verdicts.broken_patients((fate(s, word) for s in own), confidence))

    before = verdicts.baseline(spec.interface.output, data, cleans[""].answers, confidence)
    after = verdicts.baseline(face.output, data, clean.answers, confidence)
    metric = next((m for m in ("accuracy", "mean_dice", "mean_absolute_error") if m in before), "")
    shown = {word: verdicts.value_of(share(word), confidence) for word in ("bare", "replayed", "adaptive")}
    return Defence(
        name=name, text="; ".join(printable(stage.text) for stage in stages), check=behind.spec.id, metric=metric,
        clean_bare=verdicts.value_of(before[metric], confidence) if metric else None,
        clean=verdicts.value_of(after[metric], confidence) if metric else None,
        constant=constant(face.output, data, cleans[""].answers, clean.answers),
        refused=float(np.mean(~np.isfinite(clean.answers).all(axis=1))) if refuses(stages) else None,
        askings=askings(stages), **shown,
    )  # fmt: skip
