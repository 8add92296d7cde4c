"""The cases of a check as the report lists them, and the evidence files beside it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medaudit.audit import results
from medaudit.audit.export import save
from medaudit.audit.inputs import points_of
from medaudit.audit.resolve import Resolved
from medaudit.core.interface import Interface
from medaudit.core.text import printable
from medaudit.engine.journal import Journal

if TYPE_CHECKING:
    from medaudit.audit.scan import Plan


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


def shown_check(check: Resolved) -> Resolved:
    """Under this name the journal holds the inputs that a check which attacks no record shows."""
    return replace(check, spec=replace(check.spec, id=f"{check.spec.id}~shown"))


def case_id(plan: Plan, check: Resolved, sample: int) -> str:
    """What a case is called in the report, in its files, and by `medaudit replay`."""
    return f"{check.spec.id}-{f'{sample:05d}' if plan.options.include_samples else sample_name(plan, sample)}"


def attack_cases(plan: Plan, check: Resolved, journal: Journal, folder: Path) -> list[results.Case]:
    out = []
    points = None
    layout = json.dumps(layout_of(plan.found.interface))
    for sample, (record, arrays) in sorted(journal.cases(check.spec.id).items()):
        name = case_id(plan, check, sample)
        evidence = None
        if record["size"] is not None and (record["success"] or record.get("reached") or record["note"]):
            held: dict[str, Any] = {"delta": arrays["delta"], "sample": np.int64(sample)}
            if plan.options.include_samples:
                if points is None:
                    points = points_of(plan.found.interface, plan.data)
                clean = points[sample].astype(np.float64)
                held |= {
                    "clean": clean,
                    "perturbed": clean + arrays["delta"],
                    "layout": np.array(layout),
                }
            evidence = f"evidence/{check.spec.id}/{name}.npz"
            save(folder / evidence, held)
        norm = check.spec.threat.norm if check.spec.threat else ""
        out.append(
            results.Case(
                id=name,
                sample=sample_name(plan, sample),
                group=group_name(plan, sample),
                success=record["success"],
                queries=record["found"] if record["success"] and record["found"] else None,
                rows=record["rows"],
                distance={norm: record["distance"]} if record.get("distance") is not None else {},
                before=printable(record.get("before", "")),
                after=printable(record.get("after", "")),
                by=record.get("by", ""),
                note=record.get("fault") or record["note"],
                evidence=evidence,
            )
        )
    return out


def portrait_of(plan: Plan, check: Resolved, clean: np.ndarray, changed: np.ndarray, folder: Path) -> str:
    """Write a point that is nobody's, without and with a trigger, for the report to draw; the file."""
    layout = json.dumps(layout_of(plan.found.interface))
    evidence = f"evidence/{check.spec.id}/trigger.npz"
    held = {"delta": changed - clean, "sample": np.int64(-1), "clean": clean, "perturbed": changed}
    save(folder / evidence, held | {"layout": np.array(layout)})
    return evidence


def changed_cases(plan: Plan, check: Resolved) -> list[results.Case]:
    """The rows whose answers changed."""
    stage = plan.protocol[check.spec.id]
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
