"""From cases to metrics, verdicts and flags. Pure functions of the journal's records."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from medaudit.audit.resolve import Resolved, threshold_of
from medaudit.audit.results import FLAGS, METRICS, Curve, Required, Security, Value, Verdict
from medaudit.audit.truth import truth_of
from medaudit.core.compose import CHECKPOINTS
from medaudit.core.interface import Output
from medaudit.data import Dataset
from medaudit.oracle.decision import decide, positive_score
from medaudit.oracle.goal import dice
from medaudit.policy.schema import RequireSection
from medaudit.stats import bounds
from medaudit.stats.bounds import Estimate

Records = dict[int, dict[str, Any]]

# Methods whose values print as percentages.
SHARES = ("Clopper-Pearson", "Clopper-Pearson less alpha", "mean of recalls", "betting", "BCa", bounds.BCA_T)
# Flags under which a pass proves too little.
WEAKENING = {
    "still-rising",
    "no-start",
    "recheck-failed",
    "saturated-scores",
    "weaker-beats-stronger",
    "planted-missed",
    "nothing-planted",
    "constant-behind",
    "noisy-model",
    "noisy-scores",
    "mixed-rows",
    "gate",
    "invalid-answers",
    "noisy-explainer",
    "unfinished",
    "empty-explanations",
}


@dataclass(frozen=True)
class Judged:
    """Outcome of one check before it is put into words."""

    verdict: Verdict
    reason: str
    metrics: dict[str, Value]
    required: list[Required]
    curve: Curve | None
    flags: list[str]
    outcome: str = ""  # finer than the verdict, of rules that have such


def value_of(estimate: Estimate, confidence: float | None, unit: str = "") -> Value:
    """An estimate as the report holds it; what is not finite becomes null, in words."""

    def number(v: float) -> float | None:
        return float(v) if math.isfinite(v) else None

    method = estimate.method
    if math.isinf(estimate.value):
        method = f"{method}; not reached"
    return Value(
        value=number(estimate.value),
        low=number(estimate.low),
        high=number(estimate.high),
        confidence=None if estimate.method == "count" else confidence,
        n=estimate.n,
        method=method,
        unit=unit,
    )


def judge(
    estimates: dict[str, Estimate],
    require: RequireSection | None,
    confidence: float,
    counts: tuple[int, int] | None,
    unit: str,
) -> tuple[Verdict, str, list[Required]]:
    """Verdict of the required metric; without a requirement there is nothing to fail."""
    if require is None:
        return "inconclusive", "measured, but the policy requires nothing of it", []
    op, threshold, own = threshold_of(require)
    estimate = estimates.get(require.metric)
    if estimate is None or estimate.n == 0:
        row = Required(metric=require.metric, op=op, threshold=threshold, unit=own, verdict="not-run")
        return "not-run", f"{require.metric} could not be measured on this data", [row]
    verdict = cast(Verdict, bounds.judge(estimate, op, threshold))
    more = None
    if verdict == "inconclusive" and counts is not None and estimate.method == "Clopper-Pearson":
        k, n = counts
        good = k if require.metric != "attack_success" else n - k
        more = bounds.more_needed(good, n, op, threshold, confidence)
    row = Required(
        metric=require.metric,
        op=op,
        threshold=threshold,
        unit=_unit(estimate, own or unit),
        verdict=verdict,
        more_groups=more,
    )
    words = "at least" if op == "at_least" else "at most"
    shown = _show(estimate, op, unit)
    name = METRICS.get(require.metric, require.metric.replace("_", " "))
    limit = f"{threshold:.1%}" if estimate.method in SHARES else f"{threshold:.4g} {own or unit}".strip()
    reason = {
        "pass": f"{name}: {shown}; {words} {limit} was required",
        "fail": f"{name}: {shown}, but {words} {limit} was required",
        "inconclusive": f"{name}: {shown}; {words} {limit} is undecided"
        + (f"; about {more} further patients would settle it at this rate" if more else ""),
    }[verdict]
    return verdict, reason, [row]


def _unit(estimate: Estimate, unit: str) -> str:
    return "" if estimate.method in (*SHARES, "count") else unit


def _show(estimate: Estimate, op: str, unit: str) -> str:
    if estimate.method == "count":
        return f"{estimate.value:,.0f} of {estimate.n:,} rows"
    if estimate.method in SHARES:
        return f"{estimate.value:.1%} (bounds {estimate.low:.1%} to {estimate.high:.1%})"
    numbers = ["not reached" if math.isinf(v) else f"{v:.4g}" for v in (estimate.value, estimate.low, estimate.high)]
    return f"{numbers[0]} (bounds {numbers[1]} to {numbers[2]}) {unit}".strip()


def baseline(output: Output, data: Dataset, answers: np.ndarray, confidence: float) -> dict[str, Estimate]:
    """Clean performance; empty without labels."""
    if data.y is None:
        return {}
    truth = truth_of(output, data.y)
    decided, groups = np.asarray(decide(output, answers)), np.asarray(data.groups)
    out: dict[str, Estimate] = {}
    if output.task in ("multiclass", "binary", "label"):
        right = decided == truth
        share = by_groups(data.groups, confidence)
        out["accuracy"] = share(right, np.ones_like(right))
        classes = [k for k in np.unique(truth) if k >= 0]
        recalls = [share(right, truth == k) for k in classes]
        out["balanced_accuracy"] = _balanced(recalls, len(set(data.groups)))
        if len(output.classes) == 2:
            sick = 1 if not output.disease else output.classes.index(output.disease[0])
            ill, well = truth == sick, truth == 1 - sick
            out["sensitivity"], out["specificity"] = share(right, ill), share(right, well)
            if output.task != "label":
                score = positive_score(output, answers)
                positive = truth == 1
                if np.isfinite(score).all():
                    out["auroc"] = bounds.auroc(score, positive, confidence, groups)
    elif output.task == "multilabel":
        right = decided == truth
        share = by_groups(data.groups, confidence)
        every = np.ones(len(right), dtype=bool)
        out["accuracy"] = share(right.all(axis=1), every)
        # Sensitivity and specificity of all findings together; balanced over findings and sides.
        sides = [(right[:, k], truth[:, k] == side) for k in range(truth.shape[1]) for side in (1, 0)]
        recalls = [share(own, at) for own, at in sides if at.any()]
        out["balanced_accuracy"] = _balanced(recalls, len(set(data.groups)))
        for name, side in (("sensitivity", 1), ("specificity", 0)):
            at = truth == side
            rows = at.any(axis=1)
            hits = (right & at).sum(axis=1) / np.maximum(at.sum(axis=1), 1)
            out[name] = share(hits, rows)
    elif output.task == "segmentation":
        overlap = np.asarray(dice(decided > 0, truth > 0))
        out["mean_dice"] = bounds.mean(overlap, confidence, groups, 1.0)
        out["accuracy"] = bounds.mean((decided == truth).mean(axis=1), confidence, groups, 1.0)
    elif output.task == "regression":
        gap = np.abs(decided - truth).mean(axis=1)
        # No error is larger than the span of all truths and answers together.
        span = float(np.ptp(np.concatenate([decided, truth])))
        found = bounds.mean(gap, confidence, groups, span if math.isfinite(span) else None)
        out["mean_absolute_error"] = found._replace(method=f"{found.method} within the span of truths and answers")
    else:
        error = decided.reshape(len(decided), -1).mean(axis=1)
        out["mean_absolute_error"] = bounds.mean(error, confidence, groups)
    return out


def by_groups(patients: tuple[str, ...], confidence: float) -> Callable[[np.ndarray, np.ndarray], Estimate]:
    """share(right, among): a share of rows, with bounds as of so many patients as weigh alike.

    Patients with more rows weigh more: Kish's effective number (sum of rows)^2 / sum of rows^2.
    """
    groups = np.asarray(patients)

    def share(right: np.ndarray, among: np.ndarray) -> Estimate:
        at = np.asarray(among, dtype=bool)
        if not at.any():
            return bounds.share(0, 0, confidence)
        counts = np.unique(groups[at], return_counts=True)[1].astype(np.float64)
        alike = float(counts.sum() ** 2 / (counts**2).sum())
        value = float(np.asarray(right, dtype=np.float64)[at].mean())
        return bounds.share(value * alike, alike, confidence)._replace(n=len(counts))

    return share


def _balanced(recalls: list[Estimate], n: int) -> Estimate:
    """Mean recall; its bounds are the means of the classes' own, which hold however classes hang together."""
    if not recalls:
        return Estimate(math.nan, 0.0, 1.0, 0, "mean of recalls")
    value, low, high = (float(np.mean([getattr(r, side) for r in recalls])) for side in ("value", "low", "high"))
    return Estimate(value, low, high, n, "mean of recalls")


def gate(output: Output, measured: dict[str, Estimate], data: Dataset) -> str:
    """Why attacks on this model would mean nothing; "" when the clean pass confirms the reading."""
    if "balanced_accuracy" in measured and data.y is not None:
        truth = truth_of(output, data.y)
        kinds = 2 if output.task == "multilabel" else len([k for k in np.unique(truth) if k >= 0])
        if kinds < 2:
            return ""  # one class only: there is no chance level to compare with
        chance = 1 / kinds
        if measured["balanced_accuracy"].high <= chance * 1.05:
            return (
                f"balanced accuracy is {measured['balanced_accuracy'].value:.1%}, no better than chance "
                f"({chance:.1%}): inputs, scale, classes or threshold are probably read wrongly"
            )
    return ""


def per_group(data: Dataset, records: Records) -> dict[str, list[dict[str, Any]]]:
    """Records by patient: a group stands only if all of its samples do."""
    out: dict[str, list[dict[str, Any]]] = {}
    for sample, record in records.items():
        out.setdefault(data.groups[sample], []).append(record)
    return out


def attack(check: Resolved, data: Dataset, records: Records, confidence: float) -> Judged:
    """Metrics, curve, flags and verdict of one attack check."""
    groups = per_group(data, records)
    n = len(groups)
    faults = sum(1 for r in records.values() if r.get("fault"))
    won = broken(data, records, confidence)
    nearest = [min(_reached(r) for r in rs) for rs in groups.values()]
    estimates = {
        "robust_accuracy": standing(won),
        "attack_success": won,
    }
    if "median_distance" in check.rule.metrics:
        estimates["median_distance"] = bounds.median(np.array(nearest), confidence)
    if "share_of_moments" in check.rule.metrics:
        shares = np.array([r.get("share", np.nan) for r in records.values()])
        owners = np.array([data.groups[s] for s in records])
        estimates["share_of_moments"] = bounds.mean(shares, confidence, owners, 1.0)
    area = _area(check, data, records, confidence)
    if area is not None:
        estimates["auroc_under_attack"] = area
    stood = n - _broken(groups)
    verdict, reason, required = judge(estimates, check.section.require, confidence, (stood, n), check.unit)
    flags = attack_flags(check, records)
    asked = sum(r["rows"] > 0 for r in records.values())
    if asked < len(records) and not faults and verdict != "fail":
        verdict = "inconclusive" if asked else "not-run"
        reason = (
            f"{len(records) - asked} of {len(records)} cases were never asked: the budget of {check.spec.budget} rows "
            f"is smaller than one step of {check.rule.name}, or nothing of their records may change"
        )
        required = [r.model_copy(update={"verdict": verdict}) for r in required]
    if faults:
        flags.append("faults")
        if verdict != "fail":
            verdict = "error"
            reason = f"the model failed on {faults} of {len(records)} cases: {_first_fault(records)}"
    units = {"median_distance": check.unit}
    metrics = {k: value_of(v, confidence, units.get(k, "")) for k, v in estimates.items()}
    return Judged(verdict, reason, metrics, required, _curve(check, groups, confidence), flags)


def _area(check: Resolved, data: Dataset, records: Records, confidence: float) -> Estimate | None:
    """Area under the ROC curve where every record's score was pushed as far as the attack could."""
    rows = [s for s, r in records.items() if r.get("worst") is not None and "positive" in r]
    positive = np.array([records[s]["positive"] for s in rows], dtype=bool)
    if check.spec.threat is None or check.spec.threat.access != "scores" or positive.all() or not positive.any():
        return None
    scores = np.array([records[s]["worst"] for s in rows])
    return bounds.auroc(scores, positive, confidence, np.asarray(data.groups)[rows])


def broken(data: Dataset, records: Records, confidence: float) -> Estimate:
    """Share of patients of whom any record was broken."""
    return broken_patients(((data.groups[s], bool(r["success"]), lost(r)) for s, r in records.items()), confidence)


def lost(record: dict[str, Any]) -> bool:
    """Whether nobody knows what would have come of a record: the model failed on it, or it was never asked."""
    return bool(record.get("fault")) or not record["rows"]


def broken_patients(rows: Iterable[tuple[str, bool, bool]], confidence: float) -> Estimate:
    """Share of patients of whom any row was broken; one with a lost row, and none broken, could be either.

    rows: patient, whether it was broken, whether it was lost.
    """
    gone: dict[str, bool] = {}
    open_: dict[str, bool] = {}
    for patient, was_broken, was_lost in rows:
        gone[patient] = gone.get(patient, False) or was_broken
        open_[patient] = open_.get(patient, False) or was_lost
    count, n = sum(gone.values()), len(gone)
    more = sum(open_[patient] and not gone[patient] for patient in gone)
    return bounds.share(count, n, confidence)._replace(high=bounds.share(count + more, n, confidence).high)


def standing(won: Estimate) -> Estimate:
    """The share that stands, of the share that was broken."""
    return Estimate(1 - won.value, 1 - won.high, 1 - won.low, won.n, won.method)


def _broken(groups: dict[str, list[dict[str, Any]]]) -> int:
    return sum(any(r["success"] for r in rs) for rs in groups.values())


def _first_fault(records: Records) -> str:
    return next(str(r["fault"]) for r in records.values() if r.get("fault"))


def _reached(record: dict[str, Any]) -> float:
    return float(record["distance"]) if record.get("reached") else math.inf


def attack_flags(check: Resolved, records: Records) -> list[str]:
    """What makes this attack's failures weak evidence."""
    flags = []
    alive = [r for r in records.values() if not r.get("fault")]
    budget = check.spec.budget
    found = [r["found"] for r in alive if r["success"]]
    late = sum(f > 0.8 * budget for f in found) if check.rule.fit is None else 0
    share = check.section.require is None or check.section.require.metric != "median_distance"
    if share and len(found) < len(alive) and late >= max(2, 0.02 * len(alive)):
        flags.append("still-rising")
    if check.rule.minimises:
        stuck = sum(r["size"] is None for r in alive)
        if stuck > 0.05 * max(1, len(alive)):
            flags.append("no-start")
    if any(r["note"] for r in alive):
        flags.append("recheck-failed")
    if any(r["invalid"] for r in alive) and not check.refuses:
        flags.append("invalid-answers")
    return flags


def _curve(check: Resolved, groups: dict[str, list[dict[str, Any]]], confidence: float) -> Curve | None:
    """Share of groups broken within q rows per sample, at fixed row counts up to the budget."""
    budget, n = check.spec.budget, len(groups)
    if not n or check.rule.fit is not None:
        return None
    first = [min((r["found"] for r in rs if r["success"]), default=0) for rs in groups.values()]
    points = [*(q for q in CHECKPOINTS if q < budget), budget]  # fixed beforehand, so that each point's bounds hold
    shares = [bounds.share(sum(0 < f <= q for f in first), n, confidence) for q in points]
    return Curve(
        queries=points,
        success=[s.value for s in shares],
        low=[s.low for s in shares],
        high=[s.high for s in shares],
    )


def security(
    check: Resolved, data: Dataset, sizes: list[tuple[float, Records]], right: np.ndarray, confidence: float
) -> Security | None:
    """Patients that stand at each size: those who are broken at a smaller one are broken, as its inputs are allowed.

    sizes: eps and the attack's records, the smallest first. right [n]: rows that are decided rightly when clean.
    """
    if len(sizes) < 2 or check.spec.threat is None:
        return None
    rows = sorted(set.intersection(*(set(records) for _, records in sizes)))
    if not rows:
        return None
    gone = {r: not right[r] for r in rows}
    found = [standing(broken_patients(((data.groups[r], gone[r], False) for r in rows), confidence))]
    for _, records in sizes:
        gone = {r: gone[r] or bool(records[r]["success"]) for r in rows}
        fates = ((data.groups[r], gone[r], lost(records[r])) for r in rows)
        found.append(standing(broken_patients(fates, confidence)))
    return Security(
        eps=[0.0, *(eps for eps, _ in sizes)], unit=check.unit, stands=[e.value for e in found],
        low=[e.low for e in found], high=[e.high for e in found], n=found[0].n,
    )  # fmt: skip


def weaken(judged: Judged, run_flags: list[str]) -> Judged:
    """A pass under a flag that makes it prove too little is inconclusive."""
    weak = [f for f in [*judged.flags, *run_flags] if f in WEAKENING]
    if judged.verdict != "pass" or not judged.required or not weak:
        return judged
    why = "; ".join(FLAGS[f] for f in dict.fromkeys(weak))
    return Judged(
        "inconclusive",
        f"{judged.reason}; but {why}",
        judged.metrics,
        [row.model_copy(update={"verdict": "inconclusive"}) for row in judged.required],
        judged.curve,
        judged.flags,
    )


def compare_attacks(checks: list[tuple[Resolved, Records]]) -> dict[str, list[str]]:
    """weaker-beats-stronger: at equal norm, size, goal and samples, fewer facts broke more."""
    out: dict[str, list[str]] = {}
    for strong, theirs in checks:
        for weak, own in checks:
            same = (
                strong.rule.strength > weak.rule.strength
                and strong.spec.threat is not None
                and weak.spec.threat is not None
                and strong.spec.threat in (weak.spec.threat, replace(weak.spec.threat, access="scores"))
                and replace_stop(strong) == replace_stop(weak)
                and strong.spec.budget >= weak.spec.budget
            )
            if not same:
                continue
            both = set(theirs) & set(own)
            only_weak = sum(own[s]["success"] and not theirs[s]["success"] for s in both)
            only_strong = sum(theirs[s]["success"] and not own[s]["success"] for s in both)
            if only_weak > only_strong and only_weak - only_strong >= max(3, 0.05 * len(both)):
                out.setdefault(strong.spec.id, []).append("weaker-beats-stronger")
    return out


def replace_stop(check: Resolved) -> tuple[str, str, float, str]:
    goal = check.spec.goal
    return goal.what, goal.name, goal.amount, check.spec.behind


def saturated(output: Output, answers: np.ndarray) -> bool:
    """More than a tenth of the clean rows answer with exact zeros and ones."""
    if output.meaning != "probabilities" or output.task not in (
        "multiclass",
        "binary",
        "multilabel",
    ):
        return False
    exact = ((answers == 0) | (answers == 1)).all(axis=1)
    return bool(exact.mean() > 0.1)


def overall(verdicts: list[Verdict]) -> tuple[Verdict, int]:
    """The run's verdict and exit code: 1 beats 4 beats 3 beats 0; nothing tested is never 0."""
    for verdict, code in (("fail", 1), ("error", 4), ("inconclusive", 3), ("not-run", 3)):
        if verdict in verdicts:
            return verdict, code
    return ("pass", 0) if verdicts else ("not-run", 3)
