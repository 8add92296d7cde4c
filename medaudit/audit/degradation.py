"""From scores under trouble to curves over severities, their bounds, and the two metrics of a corruption check."""

from __future__ import annotations

import numpy as np

from medaudit.audit import verdicts
from medaudit.audit.probes import kinds_of
from medaudit.audit.resolve import Resolved
from medaudit.audit.results import Degradation, Gap
from medaudit.core.interface import Interface
from medaudit.data import Dataset
from medaudit.domain.corruption import SEVERITIES
from medaudit.stats import bounds
from medaudit.stats.bounds import Estimate


def judged(
    check: Resolved, interface: Interface, data: Dataset, records: verdicts.Records, confidence: float
) -> tuple[verdicts.Judged, list[Degradation]]:
    """Metrics and verdict, and one curve for each kind of trouble."""
    kinds = kinds_of(interface, check.spec.settings.kinds)
    rows, lost, flags = lost_records(records)
    if not rows:
        return verdicts.Judged("error", lost, {}, [], None, flags), []
    groups = np.asarray(data.groups)[rows]
    scores = np.array([records[s]["scores"] for s in rows]).reshape(len(rows), len(kinds), SEVERITIES)
    before = np.array([records[s]["clean_score"] for s in rows])

    def mean(values: np.ndarray, level: float = confidence) -> Estimate:
        return bounds.mean(values, level, groups, 1.0)

    each = [mean(scores[:, k].mean(axis=1)) for k in range(len(kinds))]
    # The least of the low bounds holds as it is; that no high bound is too low must hold for all kinds at once.
    strict = 1 - (1 - confidence) / len(kinds)
    high = min(mean(scores[:, k].mean(axis=1), strict).high for k in range(len(kinds)))
    least = min(each, key=lambda e: e.value)._replace(low=min(e.low for e in each), high=high)
    estimates = {"corruption_accuracy": mean(scores.mean(axis=(1, 2))), "worst_corruption": least}
    verdict, reason, required = verdicts.judge(estimates, check.section.require, confidence, None, "")
    worst = kinds[int(np.argmin([e.value for e in each]))]
    reason += f"; most is lost to {worst.name}"
    if lost and verdict != "fail":
        verdict, reason = "error", lost
    metrics = {k: verdicts.value_of(v, confidence) for k, v in estimates.items()}
    clean, curves = mean(before), []
    for k, kind in enumerate(kinds):
        points = [clean, *(mean(scores[:, k, s]) for s in range(SEVERITIES))]
        curves.append(
            Degradation(
                kind=kind.name, title=kind.title, unit=kind.unit, levels=list(kind.levels),
                score=[p.value for p in points], low=[p.low for p in points], high=[p.high for p in points],
            )
        )  # fmt: skip
    return verdicts.Judged(verdict, reason, metrics, required, None, flags), curves


def gaps(
    own: verdicts.Records, attacks: list[tuple[str, verdicts.Records]], data: Dataset, confidence: float
) -> list[Gap]:  # fmt: skip
    """Average case and worst case of the records that each attack was made on, the largest gap first."""
    out = []
    for name, records in attacks:
        rows = [s for s in records if s in own and not own[s].get("fault")]
        if not rows or all(r.get("fault") for r in records.values()):
            continue
        groups = np.asarray(data.groups)[rows]
        average = bounds.mean(np.array([np.mean(own[s]["scores"]) for s in rows]), confidence, groups, 1.0)
        won = verdicts.broken(data, {s: records[s] for s in rows}, confidence)
        stands = verdicts.standing(won)
        one = Gap(
            check=name, average=verdicts.value_of(average, confidence), worst=verdicts.value_of(stands, confidence)
        )
        out.append((average.value - stands.value, one))
    return [one for _, one in sorted(out, key=lambda pair: (-pair[0], pair[1].check))]


def lost_records(records: verdicts.Records) -> tuple[list[int], str, list[str]]:
    """Records that were answered, a sentence about the others ("" where there are none), and flags."""
    lost = [r for r in records.values() if r.get("fault")]
    flags = ["invalid-answers"] if any(r["invalid"] for r in records.values()) else []
    why = f"the model failed on {len(lost)} of {len(records)} records: {lost[0]['fault']}" if lost else ""
    return [s for s, r in records.items() if not r.get("fault")], why, flags + (["faults"] if lost else [])
