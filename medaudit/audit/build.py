"""From a finished plan and its journal to the `Report` value, and the evidence beside it."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import medaudit
from medaudit.audit import results, verdicts
from medaudit.audit.document import resolved_policy
from medaudit.audit.inputs import outside
from medaudit.audit.resolve import Resolved, threshold_of
from medaudit.core.files import write_atomic
from medaudit.core.interface import Interface
from medaudit.core.text import printable
from medaudit.domain import threat as threats
from medaudit.engine.journal import Journal
from medaudit.model.codec import stored_to_points
from medaudit.policy.crosswalk import load_crosswalk
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


def build_report(
    plan: Plan, journal: Journal, cost: dict[str, Any], folder: Path, started: str, finished: str
) -> results.Report:
    """Judge every check, write the evidence, and put everything into one value."""
    confidence = plan.policy.defaults.confidence
    output = plan.found.interface.output
    measured = verdicts.baseline(output, plan.data, plan.clean.answers, confidence)
    records = {c.spec.id: {s: r for s, (r, _) in journal.cases(c.spec.id).items()} for c in plan.checks}
    flags = run_flags(plan, measured)
    beaten = verdicts.compare_attacks([(c, records[c.spec.id]) for c in plan.checks if records[c.spec.id]])
    checks = []
    for check in plan.checks:
        judged = _judge(plan, check, measured, records, confidence)
        judged.flags.extend(beaten.get(check.spec.id, []))
        if check.rule.kind == "attack":
            if "saturated-scores" in flags and check.rule.access == "scores":
                judged.flags.append("saturated-scores")
            judged = verdicts.weaken(judged, [f for f in flags if f in ("noisy-model", "gate")])
        checks.append(_check(plan, check, judged, records[check.spec.id], journal, folder))
    counted = [c.verdict for c in checks if not c.waiver and not (c.verdict == "not-run" and c.outcome == "deselected")]
    verdict, code = verdicts.overall(counted)
    report = results.Report(
        tool={"name": "medaudit", "version": medaudit.__version__},
        run=results.Run(
            id=folder.name, started=started, finished=finished, status="complete",
            samples_included=plan.options.include_samples,
        ),
        verdict=verdict,
        exit_code=code,
        model=_model(plan),
        policy=results.PolicyFacts(
            id=plan.policy.policy.id,
            version=plan.policy.policy.version,
            title=printable(plan.policy.policy.title),
            sha256=hashlib.sha256(resolved_policy(plan).encode()).hexdigest(),
            basis=printable(plan.policy.policy.basis, 1000),
        ),
        data=_data(plan),
        baseline={k: verdicts.value_of(v, confidence) for k, v in measured.items()},
        seed=plan.seed,
        block=plan.spec.block,
        checks=checks,
        flags=flags,
        compliance=_compliance(checks),
        environment=plan.environment,
        cost=_cost(plan, cost, checks),
        limits=LIMITS,
    )  # fmt: skip
    report.run.result_sha256 = result_digest(report)
    return report


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
    if any(any(s["changed"]) for c, s in plan.stages.items() if _kind(plan, c) == "repeatability"):
        flags.append("noisy-model")
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
    if kind == "attack":
        return verdicts.attack(check, plan.data, records[check.spec.id], confidence)
    estimates: dict[str, bounds.Estimate]
    if kind == "baseline":
        if not measured:
            return verdicts.Judged("not-run", "the data have no labels", {}, [], None, [])
        estimates = measured
    elif kind == "finite-answers":
        clean = int((~np.isfinite(plan.clean.answers).all(axis=1)).sum())
        found = sum(r["invalid"] for rs in records.values() for r in rs.values())
        asked = plan.rows_clean + sum(r["rows"] for rs in records.values() for r in rs.values())
        estimates = {"invalid_answers": bounds.count(clean + found, asked)}
    else:
        stage = plan.stages[check.spec.id]
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
        why = verdicts.gate(plan.found.interface.output, measured, plan.data)
        if why:
            verdict, reason = "fail", why
    metrics = {k: verdicts.value_of(v, confidence) for k, v in estimates.items()}
    return verdicts.Judged(verdict, reason, metrics, required, None, [])


def _check(
    plan: Plan,
    check: Resolved,
    judged: verdicts.Judged,
    records: verdicts.Records,
    journal: Journal,
    folder: Path,
) -> results.Check:
    cases = _cases(plan, check, journal, folder)
    found = sorted(r["found"] for r in records.values() if r["success"])
    rows = sum(r["rows"] for r in records.values())
    if check.spec.id in plan.stages:
        rows = plan.stages[check.spec.id]["rows"]
        cases = _protocol_cases(plan, check)
    if check.rule.kind == "baseline":
        rows = plan.rows_clean
    waiver = next((w for w in plan.policy.waivers if w.check == check.spec.id), None)
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
        outcome="deselected" if check.deselected else "",
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
        cases=cases,
        curve=judged.curve,
        flags=list(dict.fromkeys(judged.flags)),
        maps_to=list(check.section.maps_to),
        waiver=waiver.model_dump() if waiver else None,
        proves=proves(plan.policy.defaults.confidence, check, plan),
        page=check.rule.page,
    )


def _title(check: Resolved) -> str:
    """The rule's title; for attacks with the size, so that two checks of one rule can be told apart."""
    threat = check.spec.threat
    if threat is None:
        return check.rule.title
    goal = check.spec.goal
    wants = {"missed-disease": "missed disease", "false-alarm": "false alarm"}.get(goal.what, "")
    wants = wants or printable(f"{goal.what} {goal.name}".strip() if goal.name else "", 80)
    how = {"linf": "per value", "l2": "in all", "l0": "features"}[threat.norm]
    size = f"{threat.eps.value:g} {how}" if threat.norm == "l0" else f"{threat.eps} {how}"
    return f"{check.rule.title} (up to {size}{', ' + wants if wants else ''})"


def proves(confidence: float, check: Resolved, plan: Plan) -> str:
    """What this check can show with the groups it has."""
    if check.rule.kind != "attack" or not check.samples:
        return ""
    n = len({plan.data.groups[s] for s in check.samples})
    text = f"{n} patients, {len(check.samples)} records, at most {check.spec.budget} queries each"
    require = check.section.require
    if require is not None and require.metric in ("robust_accuracy", "attack_success"):
        op, threshold, _ = threshold_of(require)
        k = bounds.pass_from(n, op, threshold, confidence)
        edge = "from" if op == "at_least" else "up to"
        what = "unbroken" if require.metric == "robust_accuracy" else "broken"
        text += f"; passes {edge} {k} patients {what}" if k is not None else "; too few patients to pass"
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
        unit=threat.eps.unit or ("features" if threat.norm == "l0" else ""),
        goal=f"{goal.what} {printable(goal.name)}".strip() + amount,
        text=threats.describe(threat),
        rationale=printable(plan.policy.threats[name].rationale, 1000) if name in plan.policy.threats else "",
    )


def sample_name(plan: Plan, sample: int) -> str:
    """A record's id, or a salted hash of it where samples are not to be shown."""
    name = plan.data.ids[sample]
    if plan.options.include_samples:
        return printable(name, 80)
    return hashlib.sha256(f"{plan.data.sha256}\x1f{plan.seed}\x1f{name}".encode()).hexdigest()[:12]


def group_name(plan: Plan, sample: int) -> str:
    name = plan.data.groups[sample]
    if plan.options.include_samples:
        return printable(name, 80)
    return hashlib.sha256(f"{plan.data.sha256}\x1f{plan.seed}\x1fgroup\x1f{name}".encode()).hexdigest()[:12]


def _cases(plan: Plan, check: Resolved, journal: Journal, folder: Path) -> list[results.Case]:
    out = []
    points = None
    layout = json.dumps(layout_of(plan.found.interface))
    for sample, (record, arrays) in sorted(journal.cases(check.spec.id).items()):
        name = (
            f"{check.spec.id}-{sample_name(plan, sample)}"
            if not plan.options.include_samples
            else f"{check.spec.id}-{sample:05d}"
        )
        evidence = None
        if record["size"] is not None and (record["success"] or record.get("reached") or record["note"]):
            held: dict[str, Any] = {"delta": arrays["delta"], "sample": np.int64(sample)}
            if plan.options.include_samples:
                if points is None:
                    stored = {
                        i.name: plan.data.x[i.name if i.name in plan.data.x else ""]
                        for i in plan.found.interface.inputs
                    }
                    points = stored_to_points(plan.found.interface, stored)
                clean = points[sample].astype(np.float64)
                held |= {
                    "clean": clean,
                    "perturbed": clean + arrays["delta"],
                    "layout": np.array(layout),
                }
            evidence = f"evidence/{check.spec.id}/{name}.npz"
            _save(folder / evidence, held)
        norm = check.spec.threat.norm if check.spec.threat else ""
        out.append(
            results.Case(
                id=name,
                sample=sample_name(plan, sample),
                group=group_name(plan, sample),
                success=record["success"],
                queries=record["found"] if record["success"] else None,
                rows=record["rows"],
                distance={norm: record["distance"]} if record.get("distance") is not None else {},
                before=printable(record.get("before", "")),
                after=printable(record.get("after", "")),
                note=record.get("fault") or record["note"],
                evidence=evidence,
            )
        )
    return out


def _protocol_cases(plan: Plan, check: Resolved) -> list[results.Case]:
    """The rows whose answers changed."""
    stage = plan.stages[check.spec.id]
    out = []
    for i, sample in enumerate(stage["samples"]):
        if not stage["changed"][i]:
            continue
        gap = stage["gap"][i]
        out.append(
            results.Case(
                id=f"{check.spec.id}-{sample_name(plan, sample)}",
                sample=sample_name(plan, sample),
                group=group_name(plan, sample),
                success=True,
                rows=stage["rows"] // max(1, len(stage["samples"])),
                distance={} if gap is None else {"largest difference": gap},
                note="the decision changed" if stage["decision"][i] else "the answer changed",
            )
        )
    return out


def layout_of(interface: Interface) -> dict[str, Any]:
    """How a point is laid out, for drawing it."""
    inputs = []
    for item in interface.inputs:
        part = item.part
        inputs.append(
            {
                "name": printable(item.name),
                "domain": item.domain,
                "planes": part.planes,
                "rows": part.rows,
                "columns": part.columns,
                "rate": item.rate,
                "unit_size": item.unit_size,
                "channels": [
                    {
                        "name": printable(c.name), "unit": printable(c.unit), "lo": c.lo, "hi": c.hi, "kind": c.kind,
                        "categories": [printable(v) for v in c.categories],
                    }
                    for c in item.channels
                ],
            }
        )  # fmt: skip
    return {"inputs": inputs}


def _save(path: Path, arrays: dict[str, Any]) -> None:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    write_atomic(path, stream.getvalue())


def _model(plan: Plan) -> results.ModelFacts:
    facts, interface = plan.found.facts, plan.found.interface

    def tensor(t: Any) -> results.TensorFacts:
        shape = None if t.shape is None else [printable(d) if isinstance(d, str) else d for d in t.shape]
        return results.TensorFacts(name=printable(t.name), dtype=t.dtype, shape=shape)

    return results.ModelFacts(
        file=printable(Path(facts.path).name),
        sha256=facts.sha256,
        files=[results.FileFacts(path=printable(p), sha256=s, bytes=b) for p, s, b in facts.files],
        inputs=[tensor(t) for t in facts.inputs],
        outputs=[tensor(t) for t in facts.outputs],
        task=interface.output.task,
        domain=" + ".join(dict.fromkeys(i.domain for i in interface.inputs)),
        decision=decision_words(interface),
        batch={"free": "any", "freed": "freed", "fixed": f"fixed at {plan.found.batching.size}"}[
            plan.found.batching.kind
        ],
        provider=plan.environment["provider"],
        producer=facts.producer,
        opsets=dict(facts.opsets),
        parameters=facts.parameters,
        findings=[{"severity": f.severity, "text": f.text} for f in facts.findings],
        notes=[printable(n, 500) for n in interface.notes],
    )


def decision_words(interface: Interface) -> str:
    """How the answer is read, in one sentence."""
    output = interface.output
    names = ", ".join(printable(c, 60) for c in output.classes[:12])
    tensor = printable(", ".join(output.tensors), 120)
    if output.task == "multiclass":
        return f"{output.meaning} from output {tensor!r}: the largest of {names} is the decision"
    if output.task == "label":
        return f"label in {tensor}: one of {names}"
    if output.task == "binary":
        return f"{output.meaning} in {tensor}: {printable(output.classes[1], 60)} from {output.thresholds[0]:g}"
    if output.task == "multilabel":
        cuts = sorted(set(output.thresholds))
        return f"{output.meaning} in {tensor}: each of {names} from {', '.join(f'{c:g}' for c in cuts)}"
    if output.task == "segmentation":
        return f"mask in {tensor}: {output.positions} positions, classes {names}"
    if output.task == "reconstruction":
        return f"reconstruction in {tensor}: root mean square error against the input"
    return f"value in {tensor}"


def _data(plan: Plan) -> results.DataFacts:
    used = sorted({s for c in plan.checks for s in c.samples})
    limits = []
    if plan.policy.data.use.at_most:
        limits.append(f"each check attacks at most {plan.policy.data.use.at_most} patients (policy)")
    if plan.options.limit:
        limits.append(f"each check attacks only the first {plan.options.limit} patients (--limit)")
    classes: dict[str, int] = {}
    output = plan.found.interface.output
    if plan.data.y is not None and output.task in ("multiclass", "binary", "label"):
        from medaudit.audit.truth import truth_of

        truth = truth_of(output, plan.data.y)
        classes = {printable(c, 80): int((truth == i).sum()) for i, c in enumerate(output.classes)}
    return results.DataFacts(
        file=printable(Path(plan.data.path).name),
        sha256=plan.data.sha256,
        rows=plan.data.rows,
        groups=len(set(plan.data.groups)),
        used=len(used),
        used_groups=len({plan.data.groups[s] for s in used}),
        limited="; ".join(limits),
        classes=classes,
        notes=[printable(n, 300) for n in (*plan.data.notes, *_about_data(plan, classes))],
    )


def _about_data(plan: Plan, classes: dict[str, int]) -> list[str]:
    """What a reader of the figures should know about the records."""
    notes = [note for item in plan.found.interface.inputs for note in outside(item, plan.data)]
    present = [name for name, count in classes.items() if count]
    if len(present) == 1:
        notes.append(f"all labels are {present[0]!r}: clean performance says nothing of the other classes")
    return notes


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
    attacks = [c for c in checks if c.threat is not None]
    per_row = cost["model_s"] / cost["rows"] if cost["rows"] else 0.0
    for check in attacks:
        check.seconds = round(per_row * check.queries.rows, 3)
    model_s = cost["model_s"]
    return results.Cost(
        wall_s=round(cost["wall_s"], 3),
        model_s=round(model_s, 3),
        rows=sum(c.queries.rows for c in attacks),
        padding=cost["padding"],
        calls=cost["calls"],
        block=plan.spec.block,
        overhead=round(cost["workers"] * cost["attack_s"] / model_s, 3) if model_s else None,
        verification_rows=sum(c.queries.verification for c in checks),
    )
