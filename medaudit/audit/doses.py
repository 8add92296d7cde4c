"""A known trigger's dose and its effect, beside shams and reference models, and the verdict."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medaudit.audit import verdicts
from medaudit.audit.degradation import lost_records
from medaudit.audit.inputs import points_of
from medaudit.audit.resolve import Resolved
from medaudit.audit.results import Dose
from medaudit.audit.sweeps import STRENGTHS, field_of
from medaudit.audit.triggers import Margins, margins_of, on_the_median
from medaudit.core.errors import DataError, MedauditError, PolicyError, PolicyErrors
from medaudit.core.interface import Interface
from medaudit.core.text import printable
from medaudit.engine.journal import Journal
from medaudit.oracle.trigger import directions
from medaudit.policy.schema import Policy
from medaudit.policy.strict import Document
from medaudit.rule import RULES, settings_of
from medaudit.stats import bounds
from medaudit.stats.bounds import Estimate
from medaudit.trigger.known import read

if TYPE_CHECKING:
    from medaudit.audit.scan import Plan

WORKS = 0.5  # success from which a trigger that passes is named a natural sensitivity
DRAWN = 3


def known_files(policy: Policy, document: Document, folder: Path, interface: Interface) -> dict[str, str]:
    """Texts of the trigger files that a policy names, by name. Raises PolicyErrors with places."""
    problems: list[PolicyError] = []
    out: dict[str, str] = {}
    for i, section in enumerate(policy.checks):
        if RULES[section.rule].kind != "known-trigger":
            continue
        settings = settings_of(RULES[section.rule], section.with_)
        name, target = settings.file, settings.target
        try:
            out[name] = _text(folder / name, name)
            read(out[name], name)
            every = directions(interface.output)
            if target and target not in every:
                raise DataError(f"{target!r} is nothing that this model answers", f"it answers: {', '.join(every)}")
        except MedauditError as error:
            problems.append(document.error(("checks", i, "with"), str(error)))
    if problems:
        raise PolicyErrors(problems)
    return out


def _text(path: Path, name: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{name}: there is no such trigger file", "paths are seen from the policy's folder") from error


def judged(
    plan: Plan, check: Resolved, journal: Journal, records: verdicts.Records, confidence: float
) -> tuple[verdicts.Judged, list[Dose]]:  # fmt: skip
    """Success less what references show (without any: shams), the verdict, a curve for each answer, strongest first."""
    done, lost, flags = lost_records(records)
    if len(done) < len(records) or not done:
        return verdicts.Judged("error", lost or "no record was asked", {}, [], None, flags), []
    own, others = _margins(plan, check, journal)
    names = [printable(name) for name in directions(plan.found.interface.output)]
    groups = np.asarray(plan.data.groups)[list(check.samples)]
    wanted = check.spec.settings.target
    found = [
        (dose(name, own, others, t), estimate(own, others, t, groups, confidence, len(names)))
        for t, name in enumerate(names)
        if (own.clean[:, t] <= 0).any() and wanted in ("", name)
    ]
    if not found:
        return verdicts.Judged("not-run", "every record has the target's answer already", {}, [], None, flags), []
    found.sort(key=lambda pair: (-pair[1].value, -pair[0].success[-1]))
    most = found[0][1]
    success = most._replace(low=max(one.low for _, one in found), high=max(one.high for _, one in found))
    metrics = {"trigger_success": success}
    verdict, reason, required = verdicts.judge(metrics, check.section.require, confidence, None, "")
    curve = found[0][0]
    reason = f"{curve.words}; {reason}"
    outcome = "trigger-confirmed" if verdict == "fail" else "not-found"
    if verdict == "inconclusive" and success.low > 0:
        outcome = "suspicious"
    if verdict == "pass" and max(one.success[-1] for one, _ in found) >= WORKS:
        outcome, flags = "natural-shortcut", [*flags, "natural-shortcut"]
    values = {name: verdicts.value_of(value, confidence) for name, value in metrics.items()}
    return verdicts.Judged(verdict, reason, values, required, None, flags, outcome), [one for one, _ in found]


def _margins(plan: Plan, check: Resolved, journal: Journal) -> tuple[Margins, list[Margins]]:
    others = [margins_of(plan, one, journal, one.spec.behind) for one in plan.siblings.get(check.spec.id, [])]
    return margins_of(plan, check, journal, ""), others


def dose(towards: str, own: Margins, others: list[Margins], t: int) -> Dose:
    """Shares of records of other answers that turn to one answer, at every strength."""
    rows = own.clean[:, t] <= 0
    turned = (own.under[rows, :, :, t] > 0).mean(axis=0)
    theirs = [(m.under[rows, 0, :, t] > 0).mean(axis=0) for m in others]
    shams = turned[1:].mean(axis=0) if len(turned) > 1 else None
    words = f"turns {turned[0, -1]:.0%} of {int(rows.sum())} records to {towards}"
    words += f", its shams {shams[-1]:.0%}" if shams is not None else ""
    words += f", reference models answer so in {np.mean(theirs, axis=0)[-1]:.0%}" if theirs else ""
    return Dose(
        towards=towards, words=words, records=int(rows.sum()), strengths=list(STRENGTHS),
        success=turned[0].tolist(), shams=None if shams is None else shams.tolist(),
        references=[one.tolist() for one in theirs],
    )  # fmt: skip


def estimate(
    own: Margins, others: list[Margins], t: int, groups: np.ndarray, confidence: float, many: int
) -> Estimate:  # fmt: skip
    """Share of records turned to one answer at full strength, less the references' share; without any, the shams'.

    The low bound holds for `many` answers at once: the largest of them is what is judged.
    """
    rows = own.clean[:, t] <= 0
    turned = own.under[rows, :, -1, t] > 0
    beside = turned[:, 1:].mean(axis=1) if turned.shape[1] > 1 else np.zeros(len(turned))
    if others:  # they say what is natural; a model that learned all triggers of a kind follows the shams as well
        beside = np.mean([m.under[rows, 0, -1, t] > 0 for m in others], axis=0)
    gap = (1 + turned[:, 0] - beside) / 2  # from 0 to 1
    strict, plain = (bounds.mean(gap, level, groups[rows], 1.0) for level in (1 - (1 - confidence) / many, confidence))
    value, low, high = (max(0.0, 2 * v - 1) for v in (plain.value, strict.low, plain.high))
    return Estimate(value, low, high, plain.n, plain.method)


def shown(plan: Plan, check: Resolved, journal: Journal) -> Iterator[tuple[int, np.ndarray, str]]:
    """The trigger on records that it turns, where it does: row, change [D], words."""
    if any(record.get("fault") for record, _ in journal.cases(check.spec.id).values()):
        return
    face, points = plan.found.interface, points_of(plan.found.interface, plan.data)
    field, (own, _) = field_of(face, plan.data, points, check.spec), _margins(plan, check, journal)
    turned = (own.clean <= 0) & (own.under[:, 0, -1] > 0)
    towards = int(turned.sum(axis=0).argmax())
    for sample in [s for s, hit in zip(check.samples, turned[:, towards], strict=True) if hit][:DRAWN]:
        yield sample, field.on(0, 1.0, points[[sample]])[0] - points[sample], printable(field.words(0), 200)


def portrait(plan: Plan, check: Resolved) -> tuple[np.ndarray, np.ndarray]:
    """The trigger on the median of all records, which is nobody's, without and with it: [D] each."""
    face, points = plan.found.interface, points_of(plan.found.interface, plan.data)
    return on_the_median(field_of(face, plan.data, points, check.spec), 0, 1.0, points)
