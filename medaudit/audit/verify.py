"""`medaudit verify`: a run folder's digests, and figures of the report that must agree."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from medaudit.audit.build import result_digest
from medaudit.audit.results import Report
from medaudit.audit.verdicts import overall
from medaudit.core.errors import RunError


def verify(run: Path) -> list[str]:
    """What does not agree, one sentence each. Raises RunError where there is no finished run."""
    manifest = run / "manifest.json"
    if not manifest.is_file() or not (run / "report.json").is_file():
        raise RunError(f"{run} holds no finished run", "give a run folder with report.json and manifest.json")
    try:
        wanted = dict(json.loads(manifest.read_text(encoding="utf-8"))["files"])
        report = Report.model_validate_json((run / "report.json").read_text(encoding="utf-8"))
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise RunError(
            f"{run}: manifest.json or report.json is damaged", "scan again, or restore the folder"
        ) from error
    faults = []
    for check in report.checks:
        for case in check.cases:
            if case.evidence and case.evidence not in wanted:
                faults.append(f"{case.evidence}: the report names it, the manifest does not")
    for name, digest in wanted.items():
        path = run / name
        if not path.is_file():
            faults.append(f"{name}: the file is missing")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            faults.append(f"{name}: the content has changed")
    for path in sorted(run.rglob("*")):
        name = str(path.relative_to(run))
        if path.is_file() and name not in wanted and name != "manifest.json":
            faults.append(f"{name}: the file is not in the manifest")
    return faults + invariants(report)


def invariants(report: Report) -> list[str]:
    """Figures of a report that follow from others."""
    faults = []
    if result_digest(report) != report.run.result_sha256:
        faults.append("report.json: result_sha256 is not the digest of its result")
    counted = [
        c.verdict for c in report.checks if not c.waiver and not (c.verdict == "not-run" and c.outcome == "deselected")
    ]
    if overall(counted) != (report.verdict, report.exit_code):
        faults.append("report.json: the verdict does not follow from the checks")
    for check in report.checks:
        budget = check.queries.budget_per_sample
        if budget is None or check.verdict == "not-run":
            continue
        if sum(case.rows for case in check.cases) != check.queries.rows:
            faults.append(f"check {check.id}: rows of the cases do not add up")
        if any(case.rows > budget for case in check.cases):
            faults.append(f"check {check.id}: a case spent more than its budget")
        groups = {case.group for case in check.cases}
        broken = {case.group for case in check.cases if case.success}
        share = check.metrics.get("attack_success")
        if (
            share is not None
            and share.value is not None
            and abs(share.value - len(broken) / max(1, len(groups))) > 1e-9
        ):
            faults.append(f"check {check.id}: attack_success is not the share of broken patients")
    return faults
