"""`medaudit replay`: one finding rebuilt from the clean record and the stored change, asked again."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from medaudit import data as readers
from medaudit.audit.results import Case, Check, Report
from medaudit.audit.spec import Found, WorkSpec
from medaudit.audit.stages import stages_of, with_stages
from medaudit.audit.work import start_worker
from medaudit.core.errors import DataError, ModelError, RunError
from medaudit.core.files import write_atomic
from medaudit.data import Dataset
from medaudit.engine.journal import read_header
from medaudit.engine.pool import Worker
from medaudit.policy import loader


def replay(run: Path, case_id: str, model: Path | None, data_path: Path | None, out: Path | None) -> dict[str, Any]:
    """Ask the model for the clean and the perturbed record, one at a time, on the CPU.

    model, data_path: where the files are now; None: where they were when the run was made.
    """
    report = report_of(run)
    check, case = _find(report, case_id)
    if case.evidence is None:
        raise RunError(f"case {case_id} kept no input: {case.note or 'the attack did not reach its goal'}")
    data_path, _ = data_of(run, report, data_path)
    delta, sample = evidence_of(run / case.evidence)
    worker = start_worker()
    try:
        behind = check.id.rpartition("@")[2] if "@" in check.id else ""
        reopen(worker, run, report, model, data_path, behind)
        got = worker.ask("replay", (sample, delta, behind))
    finally:
        worker.close()
    if out is not None:
        stream = io.BytesIO()
        np.savez_compressed(stream, **got["arrays"])
        write_atomic(out, stream.getvalue())
    same = got["before"] == case.before and got["after"] == case.after
    return {
        "case": case_id,
        "check": f"{check.id} ({check.rule})",
        "clean answer": got["before"],
        "perturbed answer": got["after"],
        "reported": f"{case.before} -> {case.after}",
        "distance": ", ".join(f"{k} {v:.6g}" for k, v in case.distance.items()),
        "reproduced": same,
        **({"written": str(out)} if out else {}),
    }


def data_of(run: Path, report: Report, path: Path | None) -> tuple[Path, Dataset]:
    """A run's data file: where it is now, or where it was. Raises DataError for another one."""
    path = path or Path(read_header(run / "journal")["where"]["data"])
    data = readers.read(path)
    if data.sha256 != report.data.sha256:
        raise DataError(f"{path} is not the data file of this run (sha256 {report.data.sha256})", "give it with --data")
    return path, data


class Failing(NamedTuple):
    """One failing input."""

    check: str
    sample: int
    change: np.ndarray  # [D]
    before: str  # what the model that it was made on answers to the clean record


def failing(run: Path, attacks: list[Check], check: str) -> list[Failing]:
    """Failing inputs of attacks; check: only of this one. Raises RunError where there is none of that name."""
    if check and check not in {c.id for c in attacks}:
        raise RunError(f"{run} has no attack {check!r}; it has: {', '.join(c.id for c in attacks)}")
    out = []
    for own, case in ((c, case) for c in attacks if check in ("", c.id) for case in c.cases):
        if case.success and case.evidence is not None:
            change, sample = evidence_of(run / case.evidence)
            out.append(Failing(own.id, sample, change, case.before))
    return out


def reopen(worker: Worker, run: Path, report: Report, model: Path | None, data: Path, behind: str = "") -> Found:
    """Open a finished run's model for questions, and the stages of that name. Raises ModelError for another model."""
    where = read_header(run / "journal")["where"]
    model = model or Path(where["model"])
    policy, document = loader.load(run / "policy.yaml")
    found: Found = worker.ask("discover", (str(model), str(data), policy.model, policy.policy.domain or ""))
    if found.facts.sha256 != report.model.sha256:
        raise ModelError(
            f"{model} is not the model of {run} (sha256 {report.model.sha256})", "put it back, or give it with --model"
        )
    folder = Path(where.get("policy", run))
    stages = stages_of(policy, document, folder, found.interface)
    found = with_stages(found, stages)
    mine = {name: stages[name] for name in {"", behind} & set(stages) if stages[name]}
    face = found.interface
    spec = WorkSpec(str(model), str(data), face, found.batching, "cpu", report.block, report.seed, stages=mine)
    worker.ask("open", spec)
    return found


def report_of(run: Path) -> Report:
    """The report of a finished run. Raises RunError."""
    path = run / "report.json"
    if not path.is_file():
        raise RunError(f"{run} holds no finished run", "give a run folder with a report.json")
    try:
        return Report.model_validate_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{path} is damaged", "see 'medaudit verify'") from error


def evidence_of(path: Path) -> tuple[np.ndarray, int]:
    """The stored change and the record's number. Raises RunError."""
    try:
        with np.load(path, allow_pickle=False) as saved:
            return saved["delta"], int(saved["sample"])
    except (OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise RunError(f"{path} is missing or damaged", "see 'medaudit verify'") from error


def _find(report: Report, case_id: str) -> tuple[Check, Case]:
    for check in report.checks:
        for case in check.cases:
            if case.id == case_id:
                return check, case
    raise RunError(f"this run has no case {case_id!r}", "the report lists the ids of all cases")
