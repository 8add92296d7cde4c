"""Certificates of randomised smoothing: counts in a worker, and what the report says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from medaudit.audit import verdicts
from medaudit.audit.degradation import lost_records
from medaudit.audit.lanes import LaneMaker, answered, decision_words
from medaudit.audit.resolve import Resolved
from medaudit.audit.results import Certificate
from medaudit.audit.spec import CheckSpec, Clean
from medaudit.audit.truth import right_decisions
from medaudit.core.arrays import array_module
from medaudit.core.interface import Interface
from medaudit.core.protocol import Attack, Lanes
from medaudit.data import Dataset
from medaudit.domain import threat as threats
from medaudit.engine.loop import Finished
from medaudit.engine.pool import Case
from medaudit.oracle.decision import decide
from medaudit.probe.smoothing import smoothing
from medaudit.stats import bounds, certificate

if TYPE_CHECKING:
    from medaudit.audit.asked import Asked

POINTS = 41  # radii of the curve


def class_count(interface: Interface) -> int:
    """Answers that a decision can be: two, where there is one score and its threshold."""
    return 2 if interface.output.task == "binary" else max(1, len(interface.output.classes))


class Smoothing:
    """The questions of one certificate check in a worker: what asks them, and what makes cases of the counts."""

    def __init__(self, asked: Asked, check: CheckSpec, clean: Clean) -> None:
        if check.threat is None:
            raise ValueError(f"check {check.id} has no threat")
        self.asked, self.check, self.clean = asked, check, clean
        self.output = asked.spec.interface.output
        self.area = threats.region(asked.spec.interface, check.threat)
        self.maker = LaneMaker(asked, check, self.area, clean, bool(np.isnan(asked.points).any()))
        self.right = right_decisions(self.output, asked.data.y, clean.answers)

    def attack(self) -> Attack:
        xp, s = array_module(self.asked.spec.device), self.check.settings
        area = self.area._replace(scale=xp.asarray(self.area.scale))
        classes = class_count(self.asked.spec.interface)
        return smoothing(
            area, lambda answers: decide(self.output, answers), classes, s.sigma, s.guess, s.draws, self.asked.votes
        )

    def lanes(self, samples: list[int]) -> Lanes:
        made: Lanes = self.maker.on(array_module(self.asked.spec.device))(samples)
        return made

    def case(self, finished: Finished) -> Case:
        """What is certified of a record, and how far."""
        got, s, sample = finished.arrays, self.check.settings, finished.sample
        first, counts = got["kept"].reshape(2, -1).astype(np.int64)
        guess, right = int(first.argmax()), int(self.right[sample])
        reach = certificate.radius(int(counts[guess]), s.draws, s.alpha, s.sigma) if first.any() else 0.0
        answer = certificate.predicted(counts, s.alpha)
        record: dict[str, Any] = answered(finished) | {
            "radius": reach, "agrees": guess == right, "smoothed": answer == right,
            "abstains": answer < 0, "before": decision_words(self.output, self.clean.single[[sample]]),
            "note": f"{int(counts[guess])} of {s.draws} draws" + ("" if reach else "; abstains"),
        }  # fmt: skip
        if reach:
            record["distance"] = reach
        return Case(finished.check, sample, record, {})


def judged(
    check: Resolved, data: Dataset, records: verdicts.Records, confidence: float
) -> tuple[verdicts.Judged, Certificate | None]:
    """Shares of patients that are certified at eps and at other radii, and the verdict.

    A certificate that is wrong comes with a probability of at most alpha a record, over the draws of noise; the
    share of patients that look certified is thus at most alpha times a patient's records too high on the average,
    which is what its lower bound is lowered by.
    """
    s, threat = check.spec.settings, check.spec.threat
    alive, verdict_of_lost, flags = lost_records(records)
    if not alive or threat is None:
        return verdicts.Judged("error", verdict_of_lost, {}, [], None, flags), None
    groups = verdicts.per_group(data, {i: records[i] for i in alive})
    n, most = len(groups), max(len(g) for g in groups.values())

    def share(holds: Any) -> bounds.Estimate:
        found = bounds.share(sum(all(holds(r) for r in rs) for rs in groups.values()), n, confidence)
        return found._replace(low=max(0.0, found.low - s.alpha * most), method="Clopper-Pearson less alpha")

    def at(radius: float) -> bounds.Estimate:
        return share(lambda r: r["agrees"] and r["radius"] > 0 and r["radius"] >= radius)

    estimates = {"certified_accuracy": at(threat.eps.value), "smoothed_accuracy": share(lambda r: r["smoothed"])}
    verdict, reason, required = verdicts.judge(estimates, check.section.require, confidence, None, "")
    if verdict_of_lost and verdict != "fail":
        verdict, reason = "error", verdict_of_lost
    far = certificate.largest(s.draws, s.alpha, s.sigma)
    radii = [float(v) for v in np.linspace(0, far, POINTS)]
    curve = [at(v) for v in radii]
    drawn = Certificate(
        sigma=s.sigma, unit=check.unit, draws=s.draws, guess=s.guess, alpha=s.alpha, largest=far,
        abstained=sum(records[i]["abstains"] for i in alive), records=len(alive), radius=radii,
        share=[e.value for e in curve], low=[e.low for e in curve], high=[e.high for e in curve],
    )  # fmt: skip
    metrics = {k: verdicts.value_of(v, confidence) for k, v in estimates.items()}
    return verdicts.Judged(verdict, reason, metrics, required, None, flags), drawn
