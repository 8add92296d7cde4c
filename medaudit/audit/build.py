"""From a finished plan and its journal to the `Report` value, and the evidence beside it."""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import medaudit
from medaudit.audit import (
    certificates,
    degradation,
    doses,
    extremes,
    graph_logic,
    led,
    results,
    scaffolds,
    suspects,
    triggers,
    verdicts,
)
from medaudit.audit.cases import attack_cases, changed_cases, portrait_of, shown_check
from medaudit.audit.companions import Companions, every, judge_planted
from medaudit.audit.defences import constant, defence
from medaudit.audit.document import resolved_policy
from medaudit.audit.facts import data_facts, model_facts
from medaudit.audit.resolve import Resolved, right_behind, threshold_of, written_id
from medaudit.core.region import INJECTED
from medaudit.core.text import printable
from medaudit.domain import threat as threats
from medaudit.engine.journal import Journal
from medaudit.oracle.noise import swallowed
from medaudit.policy.crosswalk import load_crosswalk
from medaudit.rule.base import PROBED, SWEPT, as_dict
from medaudit.stats import bounds

if TYPE_CHECKING:
    from medaudit.audit.scan import Plan

LIMITS = [
    "An attack that finds nothing is absence of evidence within its budget, not proof: white-box attackers, larger "
    "budgets, other kinds of change and other data can still succeed.",
    "Bounds are for patients like those in the data file, drawn independently; they say nothing of other populations.",
    "Every check is judged at its own confidence. 'All checks pass' keeps that level; a list of failures does not: "
    "among many checks some failures by chance are expected.",
    "The model was asked through ONNX Runtime on the machine named below; a device may compute differently.",
    "This report gives evidence. Whether a device meets a law or standard is for its maker and assessors to decide.",
]

EXPLAINED = {
    "explanation-drift": "other reasons for the same answer",
    "explanation-target": "another patient's reasons for the same answer",
    "explanation-feature": "a named reason to leave the explanation, or to enter it",
    "hidden-error": "another answer for the same reasons",
}
WIDEST = 12  # answers; a wider matrix is not read: the list of turns is shown

# Flags under which no attack's pass holds.
PROVED = {"robust_accuracy": "unbroken", "attack_success": "broken", "explanations_led": "led"}
OF_THE_RUN = ("noisy-model", "noisy-scores", "mixed-rows", "gate", "invalid-answers")


def build_report(
    plan: Plan, journal: Journal, cost: dict[str, Any], folder: Path, started: str, finished: str
) -> results.Report:
    """Judge every check, write the evidence, and put everything into one value."""
    confidence = plan.policy.defaults.confidence
    output = plan.found.interface.output
    measured = verdicts.baseline(output, plan.data, plan.clean.answers, confidence)
    every_check = [*plan.checks, *every(plan.beside), *plan.swept]
    records = {c.spec.id: {s: r for s, (r, _) in journal.cases(c.spec.id).items()} for c in every_check}
    flags = run_flags(plan, measured)
    beaten = verdicts.compare_attacks([(c, records[c.spec.id]) for c in plan.checks if records[c.spec.id]])
    checks = []
    for check in plan.checks:
        judged = _judge(plan, check, measured, records, confidence)
        curves: list[results.Degradation] = []
        certified: results.Certificate | None = None
        found: list[results.Logic] = []
        sweep: results.Sweep | None = None
        edge: list[results.Extreme] = []
        curves_of: list[results.Dose] = []
        strange: list[results.Suspect] = []
        explained: results.Explanation | None = None
        if check.rule.kind == "corruption" and records[check.spec.id]:
            face = plan.found.interface
            judged, curves = degradation.judged(check, face, plan.data, records[check.spec.id], confidence)
        elif check.rule.kind in ("sweep", "search") and records[check.spec.id]:
            judged, sweep = triggers.judged(plan, check, journal, records[check.spec.id], confidence)
        elif check.rule.kind == "explanation" and records[check.spec.id]:
            judged, explained = led.judged(plan, check, records[check.spec.id], confidence)
        elif check.rule.kind == "known-trigger" and records[check.spec.id]:
            judged, curves_of = doses.judged(plan, check, journal, records[check.spec.id], confidence)
        elif check.rule.kind == "graph" and check.spec.id in plan.protocol:
            nodes = sum(count for _, count in plan.found.facts.operators)
            judged, found = graph_logic.judged(check, plan.protocol[check.spec.id], nodes, confidence)
        elif check.rule.kind == "suspicious" and check.spec.id in plan.protocol:
            judged, strange = suspects.judged(plan, check, plan.protocol[check.spec.id], confidence)
        elif check.rule.kind == "scaffold" and check.spec.id in plan.protocol:
            judged = scaffolds.judged(check, plan.protocol[check.spec.id], confidence)
        elif check.rule.kind == "extremes" and check.spec.id in plan.protocol:
            judged, edge = extremes.judged(plan, check, plan.protocol[check.spec.id], confidence)
        elif check.rule.kind == "certificate" and records[check.spec.id]:
            judged, certified = certificates.judged(check, plan.data, records[check.spec.id], confidence)
        judged.flags.extend(beaten.get(check.spec.id, []))
        if check.rule.kind == "attack":
            judged = _beside(plan, check, judged, records, confidence)
            if "saturated-scores" in flags and _needs_scores(check):
                judged.flags.append("saturated-scores")
            behind = check.spec.behind
            if behind and constant(output, plan.data, plan.clean.answers, plan.cleans[behind].answers):
                judged.flags.append("constant-behind")
        if check.rule.kind == "explanation" and "saturated-scores" in flags:
            judged.flags.append("saturated-scores")
        if check.rule.kind in ("attack", "explanation", *PROBED):
            judged = verdicts.weaken(judged, [f for f in flags if f in OF_THE_RUN])
        done = _check(plan, check, judged, records[check.spec.id], journal, folder)
        done.degradation, done.certificate, done.logic = curves, certified, found
        done.explanation = explained
        if explained is not None:
            explained.drawn, explained.drawn_case = led.drawn(plan, check, journal, folder)
        done.sweep, done.extremes, done.doses, done.suspects = sweep, edge, curves_of, strange
        if curves_of:
            done.drawn = portrait_of(plan, check, *doses.portrait(plan, check), folder)
        if sweep is not None and sweep.outcome != "not-found":
            done.doses = [triggers.dose_of(sweep)]
        if sweep is not None and (shown := triggers.portrait(plan, check, journal)) is not None:
            done.drawn = portrait_of(plan, check, *shown, folder)
        first = plan.screens.get(check.spec.id, [])
        done.queries.fit += sum(_rows(records[c.spec.id]) for c in first[:1])
        others = [*first[1:], *plan.siblings.get(check.spec.id, [])]
        done.queries.references = sum(_rows(records[c.spec.id]) for c in others)
        if check.rule.kind == "search":  # the model and its references were asked together
            done.queries.fit //= 1 + len(plan.spec.references)
            done.queries.references += len(plan.spec.references) * done.queries.fit
        if check.rule.kind == "corruption":
            alone = [c for c in plan.checks if c.rule.kind == "attack" and not c.spec.behind and records[c.spec.id]]
            attacks = [(c.spec.id, records[c.spec.id]) for c in alone if c.rule.fit is None]
            done.gaps = degradation.gaps(records[check.spec.id], attacks, plan.data, confidence)
        if check.rule.kind == "attack":
            done.defences = _defences(plan, check, records, confidence)
        beside = plan.beside.get(check.spec.id)
        if beside is not None:
            done.queries.planted = _rows(records[beside.planted.spec.id])
            if beside.fits:
                own_fit, planted_fit = (_rows(records[fit.spec.id]) for fit in beside.fits)
                done.queries.fit, done.queries.planted = own_fit, done.queries.planted + planted_fit
            if beside.first:  # the control may be shared: count it once
                own = records[beside.control.spec.id]
                done.queries.control = _rows(own)
                done.queries.verification += sum(int(r["verification"]) for r in own.values())
            done.queries.sizes = sum(_rows(records[size.spec.id]) for size in beside.sizes)
            done.security = _security(plan, check, beside, records, confidence)
        checks.append(done)
    _matrix(plan, checks, records, confidence)
    counted = [c.verdict for c in checks if not c.waiver and not (c.verdict == "not-run" and c.outcome == "deselected")]
    verdict, code = verdicts.overall(counted)
    report = results.Report(
        tool={"name": "medaudit", "version": medaudit.__version__},
        run=results.Run(
            id=folder.name, started=started, finished=finished, status="complete",
            samples_included=plan.options.include_samples,
            recordings_included=any(check.spec.lent for check in plan.checks if check.samples and not check.deselected),
        ),
        verdict=verdict,
        exit_code=code,
        model=model_facts(plan),
        policy=results.PolicyFacts(
            id=plan.policy.policy.id,
            version=plan.policy.policy.version,
            title=printable(plan.policy.policy.title),
            sha256=hashlib.sha256(resolved_policy(plan).encode()).hexdigest(),
            basis=printable(plan.policy.policy.basis, 1000),
        ),
        data=data_facts(plan),
        baseline={k: verdicts.value_of(v, confidence) for k, v in measured.items()},
        seed=plan.seed,
        block=plan.spec.block,
        checks=checks,
        flags=flags,
        compliance=_compliance(checks),
        environment=plan.environment,
        cost=_cost(plan, cost, checks),
        limits=[*LIMITS, *_about_votes(output.votes)],
    )  # fmt: skip
    report.run.result_sha256 = result_digest(report)
    return report


def _defences(
    plan: Plan, check: Resolved, records: dict[str, verdicts.Records], confidence: float
) -> list[results.Defence]:  # fmt: skip
    """The bare check beside the same behind each of its stages."""
    out = []
    for other in plan.checks:
        behind = other.spec.behind
        if check.spec.behind or other.spec.id != f"{check.spec.id}@{behind}" or not records[check.spec.id]:
            continue
        both = records[check.spec.id], records[other.spec.id]
        out.append(defence(plan.spec, behind, other, plan.cleans, plan.data, both, confidence))
    return out


def _security(
    plan: Plan, check: Resolved, beside: Companions, records: dict[str, verdicts.Records], confidence: float
) -> results.Security | None:  # fmt: skip
    """The check and the same at other sizes, in order."""
    every_size = [(c.spec.threat.eps.value, records[c.spec.id]) for c in (check, *beside.sizes) if c.spec.threat]
    right = right_behind(plan.found.interface.output, plan.data, plan.clean.answers, plan.clean.answers)
    return verdicts.security(check, plan.data, sorted(every_size, key=lambda s: s[0]), right, confidence)


def _matrix(
    plan: Plan, checks: list[results.Check], records: dict[str, verdicts.Records], confidence: float
) -> None:  # fmt: skip
    """Set the success matrix of every attack; of one that was resolved into one a target, on the first of them."""
    first: dict[tuple[str, str], results.Check] = {}
    output = plan.found.interface.output
    for check, of in zip(checks, plan.checks, strict=True):
        rows = list(records[check.id].values())
        if of.rule.kind != "attack" or not all(row.get("clean") for row in rows):
            continue
        if of.section.goal.what == "target":
            own = first.setdefault((written_id(check.id), of.spec.behind), check)
            target = of.spec.goal.name
            own.matrix += _cells([{**row, "after": target} for row in rows], [target], confidence)
        elif output.task in ("binary", "multiclass", "label") and len(output.classes) <= WIDEST:
            others = {str(row["after"]) for row in rows if row["success"]} - set(output.classes)  # no class at all
            check.matrix += _cells(rows, [*output.classes, *sorted(others)], confidence)


def _cells(rows: list[dict[str, Any]], targets: list[str], confidence: float) -> list[results.Cell]:
    """Records of each clean answer led to each of `targets`."""
    out = []
    for before, target in itertools.product(sorted({str(row["clean"]) for row in rows}), targets):
        attacked = [row for row in rows if str(row["clean"]) == before]
        won = [row for row in attacked if row["success"] and str(row["after"]) == target]
        if before == target and not won:  # won only of a model that answers otherwise when asked again
            continue
        share = bounds.share(len(won), len(attacked), confidence)
        far = [row["distance"] for row in won if row.get("distance") is not None]
        out.append(
            results.Cell(
                before=printable(before), target=printable(target), attacked=len(attacked), broken=len(won),
                low=share.low, high=share.high, distance=float(np.median(far)) if far else None,
            )
        )  # fmt: skip
    return out


def _about_votes(votes: int) -> list[str]:
    if votes == 1:
        return []
    return [
        f"The policy takes the model to answer differently when asked again: every row was asked {votes} times, in "
        "re-checks too, and the mean answer was judged (of labels the most frequent). Asked once the model can answer "
        "otherwise, and another scan need not find the same."
    ]


def result_digest(report: results.Report) -> str:
    """SHA-256 over everything that equal inputs must give equally."""
    data = report.model_dump(mode="json")
    for name in ("run", "cost", "environment"):
        del data[name]
    for check in data["checks"]:
        del check["seconds"]
    text = json.dumps(data, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def run_flags(plan: Plan, measured: dict[str, bounds.Estimate]) -> list[str]:
    """Flags of the whole run."""
    flags = []
    output = plan.found.interface.output
    if plan.data.y is None:
        flags.append("no-labels")
    failed_gate = verdicts.gate(output, measured, plan.data)
    for check in plan.checks:
        if check.rule.kind == "baseline" and not check.deselected:
            verdict, _, _ = verdicts.judge(measured, check.section.require, plan.policy.defaults.confidence, None, "")
            failed_gate = failed_gate or ("below the policy's requirement" if verdict == "fail" else "")
    if failed_gate:
        flags.append("gate")
    # Means of draws differ in their last digits; what a vote decides must not.
    differs = "changed" if output.votes == 1 else "decision"
    if any(any(s[differs]) for c, s in plan.protocol.items() if _kind(plan, c) == "repeatability"):
        flags.append("noisy-model")
    if any(any(s[differs]) for c, s in plan.protocol.items() if _kind(plan, c) in ("row-purity", "batch-isolation")):
        flags.append("mixed-rows")
    goals = [c.spec.goal for c in plan.checks if c.rule.kind == "attack" and c.samples]
    if swallowed(output, plan.clean.floor, plan.clean.answers, goals):
        flags.append("noisy-scores")
    if verdicts.saturated(output, plan.clean.answers):
        flags.append("saturated-scores")
    if not np.isfinite(plan.clean.answers).all():
        flags.append("invalid-answers")
    return flags


def _kind(plan: Plan, name: str) -> str:
    return next(c.rule.kind for c in plan.checks if c.spec.id == name)


def _judge(
    plan: Plan,
    check: Resolved,
    measured: dict[str, bounds.Estimate],
    records: dict[str, verdicts.Records],
    confidence: float,
) -> verdicts.Judged:
    """Metrics and verdict of any kind of check."""
    if check.deselected:
        return verdicts.Judged("not-run", "deselected by --only or --skip", {}, [], None, [])
    if check.blocked:
        return verdicts.Judged("not-run", check.blocked, {}, [], None, [])
    kind = check.rule.kind
    if kind in (*PROBED, "explanation", "graph", "extremes", "suspicious", "scaffold"):
        return verdicts.Judged("not-run", "no record was asked", {}, [], None, [])
    if kind == "attack":
        judged = verdicts.attack(check, plan.data, records[check.spec.id], confidence)
        if plan.options.limit is not None:
            judged = replace(judged, reason=f"{judged.reason}; first {plan.options.limit} patients only (--limit)")
        return judged
    estimates: dict[str, bounds.Estimate]
    if kind == "baseline":
        if not measured:
            return verdicts.Judged("not-run", "the data have no labels", {}, [], None, [])
        estimates = measured
    elif kind == "finite-answers":
        passes = (plan.clean.answers, plan.clean.single)
        clean = sum(int((~np.isfinite(answers).all(axis=1)).sum()) for answers in passes)
        refusing = {c.spec.id for c in plan.checks if c.refuses}
        own = [r for name, rs in records.items() if name.partition("~planted")[0] not in refusing for r in rs.values()]
        found = sum(r["invalid"] for r in own)
        asked = plan.rows_clean + sum(r["rows"] for r in own)
        estimates = {"invalid_answers": bounds.count(clean + found, asked)}
    else:
        stage = plan.protocol[check.spec.id]
        n = len(stage["samples"])
        estimates = {
            "changed_answers": bounds.count(sum(stage["changed"]), n),
            "changed_decisions": bounds.count(sum(stage["decision"]), n),
        }
    verdict, reason, required = verdicts.judge(estimates, check.section.require, confidence, None, "")
    faults = [str(r["fault"]) for rs in records.values() for r in rs.values() if r.get("fault")]
    if kind == "finite-answers" and faults:
        verdict, reason = "fail", f"the model gave no answer in {len(faults)} cases: {faults[0]}"
    elif kind == "finite-answers" and plan.clean_fault:
        reason += f"; on some clean rows the model failed: {printable(plan.clean_fault)}"
    if kind == "baseline":
        silent = int((~np.isfinite(plan.clean.answers).all(axis=1)).sum())
        reason += f"; {silent} rows were answered with nonsense" if silent else ""
        why = verdicts.gate(plan.found.interface.output, measured, plan.data)
        if why:
            verdict, reason = "fail", why
    metrics = {k: verdicts.value_of(v, confidence) for k, v in estimates.items()}
    return verdicts.Judged(verdict, reason, metrics, required, None, [])


def _needs_scores(check: Resolved) -> bool:
    """Whether nothing in the attack looks at answers alone."""
    threat = check.spec.threat
    if threat is None or (check.rule.access or threat.access) != "scores":
        return False
    return threat.norm not in check.rule.by_labels


def _beside(
    plan: Plan, check: Resolved, judged: verdicts.Judged, records: dict[str, verdicts.Records], confidence: float
) -> verdicts.Judged:
    """The judged attack with what its control and its planted weaknesses say."""
    beside = plan.beside.get(check.spec.id)
    if beside is None or not records[check.spec.id]:
        return judged
    found, flags = judge_planted(records[beside.planted.spec.id], plan.data.groups, confidence)
    if any(r.get("fault") for c in (beside.planted, beside.control) for r in records[c.spec.id].values()):
        flags.append("faults")
    control = verdicts.broken(plan.data, records[beside.control.spec.id], confidence)
    own = judged.metrics["attack_success"].value or 0.0
    if 0 < own <= control.value:
        flags.append("chance-does-as-well")
    shown = {"control_success": control, "planted_found": found}
    metrics = judged.metrics | {k: verdicts.value_of(v, confidence) for k, v in shown.items() if v.n}
    return replace(judged, metrics=metrics, flags=[*judged.flags, *flags])


def _check(
    plan: Plan,
    check: Resolved,
    judged: verdicts.Judged,
    records: verdicts.Records,
    journal: Journal,
    folder: Path,
) -> results.Check:
    listed = attack_cases(plan, check, journal, folder)
    found = sorted(r["found"] for r in records.values() if r["success"])
    rows = _rows(records)
    if check.spec.id in plan.protocol:
        rows = plan.protocol[check.spec.id]["rows"]
        listed = changed_cases(plan, check) if "changed" in plan.protocol[check.spec.id] else []
    if check.rule.kind in (*SWEPT, "extremes"):
        listed = attack_cases(plan, shown_check(check), journal, folder)
    if check.rule.kind == "baseline":
        rows = plan.rows_clean
    waiver = next((w for w in plan.policy.waivers if w.check == written_id(check.spec.id)), None)
    reason = judged.reason
    if waiver is not None and not waiver.live(dt.date.today()):
        reason += f"; a waiver of {printable(waiver.owner, 80)} expired on {waiver.expires} and no longer counts"
        waiver = None
    return results.Check(
        id=check.spec.id,
        rule=check.rule.name,
        rule_id=check.rule.id,
        family=check.rule.family,
        title=_title(check),
        severity=check.section.severity,
        verdict=judged.verdict,
        outcome="deselected" if check.deselected else judged.outcome,
        reason=reason,
        threat=_threat(plan, check),
        metrics=judged.metrics,
        required=judged.required,
        queries=results.Queries(
            rows=rows,
            budget_per_sample=check.spec.budget if check.rule.kind == "attack" else None,
            median_to_success=float(np.median(found)) if found else None,
            starts=sum(r["starts"] for r in records.values()),
            verification=sum(r["verification"] for r in records.values()),
        ),
        cases=listed,
        turns=_turns(records),
        curve=judged.curve,
        flags=list(dict.fromkeys(judged.flags)),
        maps_to=list(check.section.maps_to),
        waiver=waiver.model_dump() if waiver else None,
        proves=proves(plan.policy.defaults.confidence, check, plan),
        settings=as_dict(check.spec.settings),
        page=check.rule.page,
    )


def _turns(records: verdicts.Records) -> list[results.Turn]:
    """From which clean answer to which other one, where answers are single words."""
    attacked: dict[str, int] = {}
    broken: dict[tuple[str, str], int] = {}
    for record in records.values():
        before = str(record.get("clean", ""))
        if not before:
            return []
        attacked[before] = attacked.get(before, 0) + 1
        if record["success"]:
            key = (before, str(record["after"]))
            broken[key] = broken.get(key, 0) + 1
    return [
        results.Turn(before=printable(before), after=printable(after), broken=count, attacked=attacked[before])
        for (before, after), count in sorted(broken.items())
    ] + [
        results.Turn(before=printable(before), after="", broken=0, attacked=count)
        for before, count in sorted(attacked.items())
        if not any(before == key[0] for key in broken)
    ]


def _rows(records: verdicts.Records) -> int:
    return sum(int(r["rows"]) for r in records.values())


def _title(check: Resolved) -> str:
    """The rule's title; for attacks with the size, so that two checks of one rule can be told apart."""
    threat = check.spec.threat
    if threat is None:
        return check.rule.title
    goal = check.spec.goal
    wants = {"missed-disease": "missed disease", "false-alarm": "false alarm"}.get(goal.what, "")
    wants = wants or printable(f"{goal.what} {goal.name}".strip() if goal.name else "", 80)
    how = {
        "linf": "per value",
        "l2": "in all",
        "l1": "summed",
        "l0": "features",
        "patch": "a side",
        "roughness": "of roughness",
        "roughness-l2": "of roughness and length",
        "injected": "on average",
    }[threat.norm]
    size = f"{threat.eps.value:g} {how}" if threat.norm == "l0" else f"{threat.eps} {how}"
    behind = f", behind {printable(check.spec.behind)}" if check.spec.behind else ""
    return f"{check.rule.title} (up to {size}{', ' + wants if wants else ''}{behind})"


def proves(confidence: float, check: Resolved, plan: Plan) -> str:
    """What this check can show with the groups it has."""
    if check.rule.kind not in ("attack", "explanation") or not check.samples:
        return ""
    n = len({plan.data.groups[s] for s in check.samples})
    text = f"{n} patients, {len(check.samples)} records, at most {check.spec.budget} queries each"
    if check.fit:
        fitted = len({plan.data.groups[s] for s in check.fit})
        text = f"{n} patients, {len(check.samples)} records; fitted on {fitted} others, {check.fit_budget} rows"
    require = check.section.require
    if require is not None and require.metric in PROVED:
        op, threshold, _ = threshold_of(require)
        k = bounds.pass_from(n, op, threshold, confidence)
        edge = "from" if op == "at_least" else "up to"
        text += (
            f"; passes {edge} {k} patients {PROVED[require.metric]}" if k is not None else "; too few patients to pass"
        )
    return text


def _threat(plan: Plan, check: Resolved) -> results.Threat | None:
    threat, goal = check.spec.threat, check.spec.goal
    if threat is None:
        return None
    name = check.section.threat or ""
    amount = f" by {goal.amount:.4g}" if goal.amount else ""
    return results.Threat(
        access=threat.access,
        norm=threat.norm,
        eps=threat.eps.value,
        unit=threat.eps.unit or {"l0": "features", "patch": "cells"}.get(threat.norm, ""),
        goal=EXPLAINED.get(check.rule.name) or f"{goal.what} {printable(goal.name)}".strip() + amount,
        text=threats.describe(threat),
        window=str(threat.window or "whole record") if threat.norm == INJECTED else "",
        rationale=printable(plan.policy.threats[name].rationale, 1000) if name in plan.policy.threats else "",
    )


def _asked(own: results.Queries) -> int:
    return own.rows + own.fit + own.control + own.planted + own.sizes + own.references


def _compliance(checks: list[results.Check]) -> list[results.Compliance]:
    """Each reference once, with the strongest state of its checks."""
    crosswalk = load_crosswalk()
    out = []
    for reference in dict.fromkeys(r for c in checks for r in c.maps_to):
        own = [c for c in checks if reference in c.maps_to]
        ran = {c.verdict for c in own}
        state = "evidence" if ran & {"pass", "fail"} else "partial" if "inconclusive" in ran else "not-assessed"
        entry = crosswalk[reference]
        out.append(
            results.Compliance(
                reference=reference, framework=entry.title, edition=entry.edition, status=entry.status,
                about=entry.about, state=state, checks=[c.id for c in own],
            )
        )  # fmt: skip
    return out


def _cost(plan: Plan, cost: dict[str, Any], checks: list[results.Check]) -> results.Cost:
    """What the run cost; sets each attack's seconds, its part of the model's time by rows."""
    attacks = [c for c in checks if c.threat is not None or c.degradation or c.sweep is not None or c.doses]
    per_row = cost["model_s"] / cost["rows"] if cost["rows"] else 0.0
    for check in attacks:
        check.seconds = round(per_row * (check.queries.rows + check.queries.fit), 3)
    model_s = cost["model_s"]
    return results.Cost(
        wall_s=round(cost["wall_s"], 3),
        model_s=round(model_s, 3),
        rows=sum(_asked(check.queries) for check in checks),
        padding=cost["padding"],
        calls=cost["calls"],
        block=plan.spec.block,
        overhead=round(cost["worker_s"] / model_s, 3) if model_s else None,
        verification_rows=sum(c.queries.verification for c in checks),
    )
