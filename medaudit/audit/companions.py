"""What runs beside an attack so that its outcome means something: a control by chance, and a planted weakness."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from medaudit.audit.resolve import Resolved, first_groups
from medaudit.data import Dataset
from medaudit.rule import RULES
from medaudit.stats import bounds
from medaudit.stats.bounds import Estimate

CONTROL = RULES["random-noise"]
CONTROL_ROWS = 50  # random changes of full size per sample
PLANTED = 10  # patients whose answers get a planted weakness
LEAST = 0.8  # share of planted weaknesses that an attack must find before its silence counts

Records = dict[int, dict[str, Any]]


@dataclass(frozen=True)
class Companions:
    """The checks beside one attack; their ids are in the journal, not in the report."""

    control: Resolved
    planted: Resolved


def companions(checks: list[Resolved], data: Dataset) -> dict[str, Companions]:
    """By the check's id. Checks of one threat, goal and samples share their control."""
    shared: dict[Any, Resolved] = {}
    out = {}
    for check in checks:
        if check.rule.kind != "attack" or check.rule is CONTROL or check.blocked or check.deselected:
            continue
        spec = check.spec
        goal = replace(spec.goal, stop="flip")
        rows = min(spec.budget, CONTROL_ROWS)
        key = (spec.threat, goal, rows, check.samples)
        own = replace(spec, id=f"{spec.id}~control", rule=CONTROL.name, goal=goal, budget=rows, settings=None)
        control = shared.setdefault(key, replace(check, rule=CONTROL, spec=own))
        planted = replace(
            check,
            spec=replace(spec, id=f"{spec.id}~planted", goal=goal, planted=True),
            samples=tuple(first_groups(data, list(check.samples), PLANTED)),
        )
        out[spec.id] = Companions(control, planted)
    return out


def every(beside: dict[str, Companions]) -> list[Resolved]:
    """All checks to run, each control once."""
    controls = {c.control.spec.id: c.control for c in beside.values()}
    return [*controls.values(), *(c.planted for c in beside.values())]


def judge_planted(records: Records, confidence: float, data: Dataset | None = None) -> tuple[Estimate, list[str]]:
    """Share of planted weaknesses found, and the flag when too few were, or none could be planted.

    A lane in which the model failed found nothing. data: whose rows they are, for bounds over patients.
    """
    planted = [r for r in records.values() if r.get("possible", True)]
    found = sum(r["found"] > 0 for r in planted)
    flags = [] if planted else ["nothing-planted"]
    if planted and found < LEAST * len(planted):
        flags = ["planted-missed"]
    patients = len({data.groups[s] for s, r in records.items() if r.get("possible", True)}) if data else len(planted)
    share = found / len(planted) if planted else 0.0
    return bounds.share(share * patients, patients, confidence), flags
