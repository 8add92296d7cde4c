"""`medaudit transfer`: failing inputs of each run, put before the models of the others.

A matrix over runs of one data file: of the patients of whom a run broke a record that both models answer
alike when clean, the share whose changed record the other model answers otherwise too. Papernot,
McDaniel, Goodfellow 2016, "Transferability in machine learning", section 3: cross-model transfer.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from medaudit import __version__
from medaudit.audit.replay import Failing, data_of, failing, reopen, report_of
from medaudit.audit.results import Report
from medaudit.audit.work import start_worker
from medaudit.core.errors import RunError
from medaudit.data import Dataset
from medaudit.engine.journal import read_header
from medaudit.stats import bounds

CONFIDENCE = 0.95
TASKS = ("multiclass", "binary", "label", "multilabel")


class Side(NamedTuple):
    """One run and what its attacks broke."""

    folder: Path
    model: str
    report: Report
    broken: list[Failing]


class Cell(NamedTuple):
    """Failing inputs made on one run's model, put before another's."""

    made_on: str
    asked_of: str
    share: bounds.Estimate  # of patients, among those that both answer alike
    inputs: int  # failing inputs that were asked


def transfer(runs: list[Path], check: str = "", data_path: Path | None = None) -> list[Cell]:
    """Every pair of runs, each with itself too; check: only failing inputs of this one.

    Raises RunError and DataError where runs cannot be compared.
    """
    sides = [_side(run, check) for run in runs]
    if len({side.report.data.sha256 for side in sides}) > 1:
        raise RunError("the runs are of different data files", "scan every model on one data file")
    where, data = data_of(runs[0], sides[0].report, data_path)
    every = [case for side in sides for case in side.broken]
    cells = []
    for target in sides:
        answers = iter(_asked(target, every, where))
        for side in sides:
            own = [next(answers) for _ in side.broken]
            cells.append(_cell(side, target, own, data))
    return cells


def _side(run: Path, check: str) -> Side:
    report = report_of(run)
    if report.model.task not in TASKS:
        raise RunError(f"{run} is of a {report.model.task} model", "compare models that name classes or findings")
    attacks = [c for c in report.checks if c.family == "EV" and "@" not in c.id]  # of the models as they are
    broken = failing(run, attacks, check)
    return Side(run, read_header(run / "journal")["where"]["model"], report, broken)


def _asked(side: Side, cases: list[Failing], data: Path) -> list[tuple[str, str]]:
    """What a run's model answers to each clean record and to the changed one, in words."""
    worker = start_worker()
    try:
        found = reopen(worker, side.folder, side.report, Path(side.model), data)
        if any(case.change.size != found.interface.size for case in cases):
            raise RunError(f"the model of {side.folder} takes other inputs", "compare models of the same inputs")
        asked = [worker.ask("replay", (case.sample, case.change, ""), timeout=3600) for case in cases]
        return [(got["before"], got["after"]) for got in asked]
    finally:
        worker.close()


def _cell(side: Side, target: Side, answers: list[tuple[str, str]], data: Dataset) -> Cell:
    turned: dict[str, bool] = {}
    for case, (before, after) in zip(side.broken, answers, strict=True):
        if before == case.before:
            group = data.groups[case.sample]
            turned[group] = turned.get(group, False) or before != after
    share = bounds.share(sum(turned.values()), len(turned), CONFIDENCE)
    return Cell(side.folder.name, target.folder.name, share, len(side.broken))


def as_json(cells: list[Cell]) -> str:
    """The matrix for machines."""
    rows = [
        {"made_on": c.made_on, "asked_of": c.asked_of, "inputs": c.inputs, "patients": c.share.n,
         "turned": {"value": c.share.value, "low": c.share.low, "high": c.share.high, "confidence": CONFIDENCE}
         if c.share.n else None}
        for c in cells
    ]  # fmt: skip
    return json.dumps({"medaudit": __version__, "transfer": rows}, indent=1, allow_nan=False) + "\n"
