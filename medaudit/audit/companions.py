"""What runs beside an attack so that its outcome means something: a control by chance, and a planted weakness."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from medaudit.audit.resolve import Resolved, first_groups
from medaudit.audit.spec import WorkSpec, face_behind
from medaudit.audit.verdicts import Records, by_groups
from medaudit.data import Dataset
from medaudit.domain.quantity import Quantity
from medaudit.rule import RULES
from medaudit.rule.base import SWEPT
from medaudit.stats.bounds import Estimate

CONTROL = RULES["random-noise"]
CONTROL_ROWS = 50  # random changes of full size per sample
PLANTED = 10  # patients whose answers get a planted weakness
LEAST = 0.8  # share of planted weaknesses that an attack must find before its silence counts


@dataclass(frozen=True)
class Companions:
    """The checks beside one attack; their ids are in the journal, not in the report."""

    control: Resolved
    planted: Resolved
    first: bool  # of those that share the control
    sizes: tuple[Resolved, ...] = ()  # the attack at other sizes of its threat
    fits: tuple[Resolved, ...] = ()  # of the one change for the check and for its planted weakness, if it fits one


def companions(checks: list[Resolved], data: Dataset, work: WorkSpec) -> dict[str, Companions]:
    """By the check's id. Checks of one threat, goal and samples share their control."""
    shared: dict[Any, Resolved] = {}
    out = {}
    for check in checks:
        if check.rule.kind != "attack" or check.rule is CONTROL or check.blocked or check.deselected:
            continue
        spec = replace(check.spec, replay=())
        votes = face_behind(work, spec.behind).output.votes
        goal = replace(spec.goal, stop="flip")
        rows = min(spec.budget, votes * (1 if check.fit else CONTROL_ROWS))  # one answer where one change is for all
        key = (spec.threat, goal, rows, check.samples, spec.behind)
        own = replace(spec, id=f"{spec.id}~control", rule=CONTROL.name, goal=goal, budget=rows, settings=None)
        control = shared.setdefault(key, replace(check, rule=CONTROL, spec=own))
        planted = replace(
            check,
            spec=replace(spec, id=f"{spec.id}~planted", goal=goal, planted=True),
            samples=tuple(first_groups(data, list(check.samples), PLANTED)),
        )
        fits = (fit_of(check), fit_of(planted)) if check.fit else ()
        out[spec.id] = Companions(control, planted, control.spec is own, sizes(check), fits)
    return out


def on_references(checks: list[Resolved], work: WorkSpec) -> dict[str, list[Resolved]]:
    """By the check's id: each sweep, and each known trigger, again, on every reference model."""
    return {
        check.spec.id: [
            replace(check, spec=replace(check.spec, id=f"{check.spec.id}~{name}", behind=name))
            for name in work.references
        ]
        for check in checks
        if check.rule.kind in SWEPT and not check.blocked and not check.deselected
    }


def screens(checks: list[Resolved], work: WorkSpec) -> dict[str, list[Resolved]]:
    """By the check's id: the first look of each sweep, on the model and on every reference model, or the search."""
    out: dict[str, list[Resolved]] = {}
    for check in checks:
        if check.blocked or check.deselected:
            continue
        spec = replace(check.spec, screen=True, budget=check.fit_budget)
        if check.rule.kind == "search":
            every = 1 + len(work.references)
            spec = replace(spec, id=f"{spec.id}~search", budget=every * check.fit_budget, fit=check.fit)
            out[check.spec.id] = [replace(check, spec=spec, samples=tuple(range(check.lanes)))]
        elif check.rule.kind == "sweep":
            own = [
                replace(spec, id=f"{spec.id}~screen{f' {n}' if n else ''}", behind=n) for n in ("", *work.references)
            ]
            out[check.spec.id] = [replace(check, spec=one, samples=check.fit) for one in own]
    return out


def sizes(check: Resolved) -> tuple[Resolved, ...]:
    """The attack at every other size of its curve, the smallest first; only on the bare model."""
    spec = check.spec
    if spec.threat is None or spec.behind:
        return ()
    out = []
    for value in sorted({float(v) for v in check.section.curve} - {float(spec.threat.eps.value)}):
        threat = replace(spec.threat, eps=Quantity(value, spec.threat.eps.unit))
        goal = replace(spec.goal, stop="flip")
        own = replace(spec, id=f"{spec.id}~{value!r}", threat=threat, goal=goal, replay=())
        out.append(replace(check, spec=own))
    return tuple(out)


def fit_of(check: Resolved) -> Resolved:
    """The check that fits one change for `check`: a single lane, named after the first of the rows it is fitted on."""
    spec = replace(check.spec, id=f"{check.spec.id}~fit", replay=(), fit=check.fit, budget=check.fit_budget)
    return replace(check, spec=spec, samples=check.fit[:1])


def every(beside: dict[str, Companions]) -> list[Resolved]:
    """All checks to run, each control once."""
    ours = beside.values()
    fits = [fit for c in ours for fit in c.fits]
    more = [size for c in ours for size in c.sizes]
    return [*fits, *(c.control for c in ours if c.first), *(c.planted for c in ours), *more]


def judge_planted(records: Records, groups: tuple[str, ...], confidence: float) -> tuple[Estimate, list[str]]:
    """Share of planted weaknesses found, and the flag when too few were, or none could be planted.

    A lane in which the model failed found nothing. groups: patient of every row of the data file.
    """
    planted, found = np.zeros(len(groups), dtype=bool), np.zeros(len(groups), dtype=bool)
    for sample, record in records.items():
        planted[sample] = record.get("possible", True)
        found[sample] = record["found"] > 0
    share = by_groups(groups, confidence)(found, planted)
    if not planted.any():
        return share, ["nothing-planted"]
    return share, ["planted-missed"] if found[planted].sum() < LEAST * planted.sum() else []
