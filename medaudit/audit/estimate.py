"""`medaudit plan`: jobs, rows and minutes, and what each check can prove, before anything is attacked."""

from __future__ import annotations

from dataclasses import dataclass

from medaudit.audit.build import proves
from medaudit.audit.companions import every
from medaudit.audit.explainers import rechecked
from medaudit.audit.scan import Options, Plan, open_run, prepare, read_inputs, silent, worker_count
from medaudit.audit.spec import face_behind
from medaudit.audit.work import start_worker

CALIBRATION = 1.0  # seconds of asking
OWN_WORK = 4e-6  # seconds a row of search and bookkeeping on small inputs
PER_NUMBER = 4e-9  # and per number of a point
START_UP = 4.0  # seconds for processes, discovery and the clean pass
PARALLEL = 0.9  # gain of each further worker


@dataclass(frozen=True)
class Line:
    check: str
    rule: str
    lanes: int
    budget: int
    rows: int
    minutes: float
    proves: str


@dataclass(frozen=True)
class Estimate:
    lines: list[Line]
    rows: int
    minutes: float
    workers: int
    row_ms: float
    block: int
    notes: list[str]


def row_seconds(model: float, size: int) -> float:
    """Wall seconds of one row in one worker: the model, packing, and the search's own work."""
    return 1.08 * model + OWN_WORK + PER_NUMBER * size


def speedup(workers: int) -> float:
    return 1 + PARALLEL * (workers - 1)


def estimate(options: Options) -> Estimate:
    """Open the model, do the clean pass, time some rows; attacks nothing and writes nothing."""
    policy, document, data = read_inputs(options)
    worker = start_worker()
    try:
        found, spec, environment = open_run(options, policy, document, data, worker)
        plan = prepare(options, policy, document, data, found, spec, environment, worker, None, silent)
        model = float(worker.ask("calibrate", CALIBRATION))
    finally:
        worker.close()
    return of_plan(plan, model, options)


def of_plan(plan: Plan, model: float, options: Options) -> Estimate:
    workers = worker_count(options)
    seconds = row_seconds(model, plan.found.interface.size) / speedup(workers)
    lines = []
    for check in plan.checks:
        if check.deselected:
            continue
        attack = check.rule.kind == "attack"
        rows = int(plan.protocol.get(check.spec.id, {}).get("rows", 0))
        if attack:
            own = {name: beside for name, beside in plan.beside.items() if name == check.spec.id}
            rows = sum(len(c.samples) * c.spec.budget for c in (check, *every(own)))
        elif check.samples:  # a list of questions
            lists = [check, *plan.siblings.get(check.spec.id, []), *plan.screens.get(check.spec.id, [])]
            rows = sum(len(one.samples) * one.spec.budget for one in lists)
        again = 0
        if check.rule.kind == "explanation" and check.samples:
            face = face_behind(plan.spec, check.spec.behind)
            own_rows = rechecked(check.spec, plan.spec.explainers, face, plan.data, plan.seed)
            again = len(check.samples) * own_rows
        says = f"not run: {check.blocked}" if check.blocked else proves(plan.policy.defaults.confidence, check, plan)
        budget = check.spec.budget if check.samples else 0
        lines.append(
            Line(
                check.spec.id,
                check.rule.name,
                len(check.samples),
                budget,
                rows,
                (rows + again) * seconds / 60,
                says,
            )
        )
    total = sum(line.rows for line in lines)
    notes = ["lanes that succeed early end early, so most scans take less; see `goal.stop`"]
    if plan.found.batching.kind == "fixed":
        notes.append(f"the model takes {plan.found.batching.size} rows a call: {plan.found.batching.reason}")
    return Estimate(
        lines,
        total,
        sum(line.minutes for line in lines) + START_UP / 60,
        workers,
        1e3 * model,
        plan.spec.block,
        notes,
    )
