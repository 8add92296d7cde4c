"""A scan from start to finish: find out, confirm, plan, run, judge, write.

The parent process reads policy and data, owns the run folder and the journal, and hands lanes to
workers; it never parses a model file nor imports onnxruntime.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

import medaudit
from medaudit import data as readers
from medaudit.audit import doses, extremes, suspects, triggers
from medaudit.audit import resolve as resolving
from medaudit.audit.build import build_report
from medaudit.audit.cases import shown_check
from medaudit.audit.companions import Companions, companions, every, on_references, screens
from medaudit.audit.document import resolved_policy
from medaudit.audit.inputs import points_of
from medaudit.audit.resolve import Resolved
from medaudit.audit.results import Report
from medaudit.audit.spec import CheckSpec, Clean, Found, WorkSpec, face_behind
from medaudit.audit.stages import stages_of, with_stages
from medaudit.audit.work import start_worker
from medaudit.core import streams
from medaudit.core.errors import EngineError, MedauditError, ModelFault, RunError
from medaudit.core.files import write_atomic
from medaudit.core.interface import Output
from medaudit.data import Dataset
from medaudit.engine.journal import Journal
from medaudit.engine.pool import Pool, Worker
from medaudit.model.facts import block_size
from medaudit.policy import loader
from medaudit.policy.schema import Policy
from medaudit.policy.strict import Document
from medaudit.probe.kinds import Spec
from medaudit.rule.base import ONCE

Listener = Callable[[str, dict[str, Any]], None]
SILENCE = 300.0  # seconds without a sign of life after which a worker counts as hung
LANES_HELD = 512  # lanes handed to a worker ahead of time, at most


@dataclass(frozen=True)
class Options:
    """What the command line says; none of it changes the claim except seed, limit and selection."""

    model: Path
    policy: str
    data: Path | None = None
    out: Path | None = None
    resume: bool = False
    device: str = "cpu"
    workers: int = 0  # 0: as many as there are cores, at most 4
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    limit: int | None = None
    seed: int | None = None
    block: int | None = None
    include_samples: bool = False
    references: tuple[Path, ...] = ()  # models that are known to be good, to compare with
    suspicious: Path | None = None  # inputs to be compared with clean records
    # For tests of law 3 (lanes never meet); no option of the command line sets them.
    room: int = 0  # rows a worker wants per tick; 0: see `room_for`
    shuffle: int = 0  # seed of another order of the lanes; 0: data order


@dataclass
class Plan:
    """Everything known before the first attack row."""

    options: Options
    policy: Policy
    document: Document
    data: Dataset
    found: Found
    spec: WorkSpec
    environment: dict[str, str]
    checks: list[Resolved]
    beside: dict[str, Companions]  # check id -> its control and its planted weakness
    siblings: dict[str, list[Resolved]]  # check id -> the same on each reference model
    screens: dict[str, list[Resolved]]  # check id -> the first look of a sweep, on the model and on references
    seed: int
    cleans: dict[str, Clean]  # by the name of stages; "": of the bare model
    rows_clean: int = 0
    clean_fault: str = ""  # what the model said when it failed on a clean row
    protocol: dict[str, Any] = field(default_factory=dict)  # check id -> what a check of the protocol found

    @property
    def swept(self) -> list[Resolved]:
        """What runs beside sweeps: their first looks, and the same on reference models."""
        return [check for own in (*self.screens.values(), *self.siblings.values()) for check in own]

    @property
    def clean(self) -> Clean:
        """Answers of the bare model to the clean records."""
        return self.cleans[""]


def silent(event: str, facts: dict[str, Any]) -> None:
    """A listener that hears nothing."""


def scan(options: Options, listen: Listener = silent) -> tuple[Report, Path]:
    """Run (or continue) a scan; its report and folder. Raises MedauditError for exit 2."""
    began = time.monotonic()
    started = _now()
    policy, document, data = read_inputs(options)
    worker = start_worker()
    try:
        found, spec, environment = open_run(options, policy, document, data, worker)
        folder, journal = _run_folder(options, policy, data, found, spec, environment)
        listen("folder", {"folder": folder})
        fresh = not journal.done() and journal.stage("clean") is None
        try:
            plan = prepare(options, policy, document, data, found, spec, environment, worker, journal, listen)
            _write_resolved(folder, plan)
            cost = _attack(plan, journal, worker, listen)
            _show(plan, journal)
            cost["wall_s"] = cost.pop("earlier_s") + time.monotonic() - began
            report = build_report(plan, journal, cost, folder, started, _now())
            journal.set_header(status="complete")
            return report, folder
        except MedauditError:
            if fresh and not journal.done():
                journal.close()
                shutil.rmtree(folder)  # nothing was found out: leave nothing half-written
            raise
        finally:
            journal.close()
    finally:
        worker.close()


def read_inputs(options: Options) -> tuple[Policy, Document, Dataset]:
    """Policy and data, before any process is started."""
    path = loader.find(options.policy)
    policy, document = loader.load(path)
    policy = suspects.with_check(policy, options.suspicious is not None)
    file = options.data or (path.parent / policy.data.path if policy.data.path else None)
    if file is None:
        raise MedauditError(
            "no data: neither --data nor data.path in the policy names a file",
            "give --data FILE.npz",
        )
    if not options.model.exists():
        raise MedauditError(f"{options.model}: there is no such model file", "check the path")
    for path in options.references:
        if not path.exists():
            raise MedauditError(f"{path}: there is no such reference model", "check the path")
    if options.suspicious is not None and not options.suspicious.exists():
        raise MedauditError(f"{options.suspicious}: there is no such file of inputs", "check the path")
    for name in (*options.only, *options.skip):
        if name not in {c.id for c in policy.checks}:
            raise MedauditError(f"the policy has no check {name!r}; it has: {', '.join(c.id for c in policy.checks)}")
    resolving.check_names(policy, document)
    return policy, document, readers.read(file)


def open_run(
    options: Options, policy: Policy, document: Document, data: Dataset, worker: Worker
) -> tuple[Found, WorkSpec, dict[str, str]]:
    """Find the interface and open the model for work."""
    hint = policy.policy.domain or ""
    found: Found = worker.ask("discover", (str(options.model), data.path, policy.model, hint))
    seed = policy.defaults.seed if options.seed is None else options.seed
    row_bytes = 4 * found.interface.size
    block = options.block or block_size(row_bytes, found.batching, options.device, data.rows)
    resolving.check_threats(policy, document, found.interface)
    folder = loader.find(options.policy).resolve().parent
    stages = stages_of(policy, document, folder, found.interface)
    found = with_stages(found, stages)
    used = {name for check in policy.checks for name in check.behind}
    spec = WorkSpec(
        model=str(options.model),
        data=data.path,
        interface=found.interface,
        batching=found.batching,
        device=options.device,
        block=found.batching.size if found.batching.kind == "fixed" else block,
        seed=seed,
        room=options.room,
        stages={name: stages[name] for name in stages if stages[name] and (not name or name in used)},
        suspicious=str(options.suspicious or ""),
        triggers=doses.known_files(policy, document, folder, found.interface),
        explainers={name: Spec(**section.model_dump()) for name, section in policy.explainers.items()},
        references={f"reference {i + 1}": str(path) for i, path in enumerate(options.references)},
    )
    return found, spec, worker.ask("open", spec)


def prepare(
    options: Options, policy: Policy, document: Document, data: Dataset, found: Found, spec: WorkSpec,
    environment: dict[str, str], worker: Worker, journal: Journal | None, listen: Listener,
) -> Plan:  # fmt: skip
    """The clean pass, the checks resolved against it, and the protocol checks."""
    listen("stage", {"name": "clean pass", "rows": data.rows})
    names = ("", *(name for name in spec.stages if name), *spec.references)
    passes = {name: _clean_pass(name, face_behind(spec, name).output, data, worker, journal) for name in names}
    cleans = {name: clean for name, (clean, _) in passes.items()}
    record = passes[""][1]
    checks = resolving.resolve(policy, document, spec, data, {n: c.answers for n, c in cleans.items()}, options.limit)
    checks = [_selected(c, options) for c in checks]
    plan = Plan(
        options,
        policy,
        document,
        data,
        found,
        spec,
        environment,
        checks,
        companions(checks, data, spec),
        on_references(checks, spec),
        screens(checks, spec),
        spec.seed,
        cleans,
        sum(record["rows"] for _, record in passes.values()),
        record["fault"],
    )
    for check in checks:
        if check.rule.kind in ONCE and not check.deselected and not check.blocked:
            plan.protocol[check.spec.id] = _protocol(plan, check, worker, journal, listen)
    return plan


def _clean_pass(
    behind: str, output: Output, data: Dataset, worker: Worker, journal: Journal | None
) -> tuple[Clean, dict[str, Any]]:  # fmt: skip
    """Answers to the clean records, behind stages or not; from the journal, or by asking."""
    name = f"clean@{behind}" if behind else "clean"
    saved = journal.stage(name) if journal else None
    if saved is None:
        got = worker.ask("clean", (np.arange(data.rows), behind), timeout=3600)
        record = {"floor": got["floor"], "rows": got["rows"], "fault": got["fault"], "kin": got["kin"]}
        arrays = {"answers": got["answers"], "single": got["single"]}
        if journal:
            journal.set_stage(name, record, arrays)
    else:
        record, arrays = saved
    places, kinds = resolving.donors(output, data, arrays["answers"])
    return Clean(arrays["answers"], arrays["single"], record["floor"], places, kinds, record["kin"]), record


def _selected(check: Resolved, options: Options) -> Resolved:
    name = resolving.written_id(check.spec.id)
    off = (bool(options.only) and name not in options.only) or name in options.skip
    return replace(check, deselected=off)


def _protocol(plan: Plan, check: Resolved, worker: Worker, journal: Journal | None, listen: Listener) -> dict[str, Any]:
    """One protocol check, from the journal or by asking."""
    saved = journal.stage(check.spec.id) if journal else None
    if saved is not None:
        return saved[0]
    listen("stage", {"name": check.spec.id, "rows": 0})
    limit = getattr(check.spec.settings, "rows", plan.data.rows)
    index = np.arange(plan.data.rows)
    if plan.data.rows > limit:
        index = np.unique(np.linspace(0, plan.data.rows - 1, limit).astype(int))
    key = streams.key(plan.seed, check.rule.name, check.spec.id)
    if check.rule.kind == "extremes":
        count = len(extremes.questions(plan.found.interface, points_of(plan.found.interface, plan.data)))
        got = extremes.all_tried(plan.spec, count, index, start_worker)
    elif check.rule.kind == "suspicious":
        got = worker.ask("suspicious", check.spec.settings, timeout=3600)
    elif check.rule.kind == "scaffold":
        settings = check.spec.settings
        got = worker.ask("scaffold", (settings.explainer, settings.reference, key), timeout=3600)
    else:
        got = worker.ask("protocol", (check.rule.kind, index, key), timeout=3600)
    record = {"samples": [int(i) for i in index], **got}
    if journal:
        journal.set_stage(check.spec.id, record, {})
    return record


def _attack(plan: Plan, journal: Journal, first: Worker, listen: Listener) -> dict[str, Any]:
    """Run every lane that the journal does not hold yet."""
    mine = [c for c in plan.checks if c.samples and not c.blocked and not c.deselected]
    runnable = [*mine, *every(plan.beside), *plan.swept]
    done = journal.done()
    lanes = [(c.spec.id, s) for c in runnable for s in c.samples if (c.spec.id, s) not in done]
    if plan.options.shuffle:
        random.Random(plan.options.shuffle).shuffle(lanes)
    total = sum(len(c.samples) for c in runnable)
    began, workers = time.monotonic(), worker_count(plan.options)
    before = journal.header().get("cost", {})  # of sessions that were cut off
    names = ("rows", "padding", "calls", "model_s", "attack_s")
    cost: dict[str, Any] = {name: before.get(name, 0) for name in names}
    cost["worker_s"] = before.get("worker_s", 0)
    budgets = {c.spec.id: c.spec.budget for c in runnable}  # a change for all is one lane of many rows
    most = sum(budgets[name] for name, _ in lanes)
    listen("attack", {"lanes": total, "done": total - len(lanes), "most": most})
    if not lanes:
        return {**cost, "earlier_s": cost["attack_s"]}
    latest: dict[int, dict[str, float]] = {}

    def spent() -> dict[str, Any]:
        """Cost of all sessions so far."""
        own = {n: sum(v[n] for v in latest.values()) for n in ("rows", "padding", "calls", "seconds")}
        wall = time.monotonic() - began
        add = {**own, "model_s": own.pop("seconds"), "attack_s": wall, "worker_s": workers * wall}
        return {name: cost[name] + add[name] for name in cost}

    for kind, value in _events(plan, runnable, lanes, journal, first):
        if kind == "cases":
            journal.append([(c.check, c.sample, c.record, c.arrays) for c in value])
            journal.set_header(cost=spent())
            for case in value:
                listen(
                    "case",
                    {
                        "check": case.check,
                        "success": case.record["success"],
                        "most": budgets[case.check],
                    },
                )
        elif kind == "snapshots":
            journal.set_snapshots(value)
        elif kind == "stats":
            latest[int(value["worker"])] = value
            listen(
                "stats",
                {k: sum(v[k] for v in latest.values()) for k in ("rows", "padding", "calls", "seconds")},
            )
        elif kind == "fault":
            lost, why = value
            journal.append([(c, s, _fault(why), {}) for c, s in lost])
            listen("fault", {"lanes": len(lost), "why": why})
    return {**spent(), "earlier_s": cost["attack_s"]}


def _show(plan: Plan, journal: Journal) -> None:
    """Triggers that stand out, and what is answered though it is nobody, asked again alone for the report to show."""
    for check in plan.checks:
        if check.blocked or check.deselected:
            continue
        name = shown_check(check).spec.id
        shown = [] if journal.cases(name) else list(_to_show(plan, check, journal))
        if not shown:
            continue
        worker = start_worker()
        try:
            worker.ask("open", plan.spec)
            for sample, change, words in shown:
                got = worker.ask("replay", (sample, change, ""))
                record = {
                    **_fault(""), "before": got["before"], "after": got["after"], "size": 1.0, "note": words,
                    "success": check.rule.kind == "extremes" or got["before"] != got["after"],
                    "verification": 2 * plan.found.interface.output.votes,
                }  # fmt: skip
                journal.append([(name, sample, record, {"delta": change})])
        finally:
            worker.close()


def _to_show(plan: Plan, check: Resolved, journal: Journal) -> Iterator[tuple[int, np.ndarray, str]]:
    """Row, change [D] and words of what a check shows."""
    if check.rule.kind in ("sweep", "search") and check.samples:
        yield from triggers.drawn(plan, check, journal)
    elif check.rule.kind == "known-trigger" and check.samples:
        yield from doses.shown(plan, check, journal)
    elif check.rule.kind == "extremes":
        yield from extremes.shown(plan, check)


def _events(
    plan: Plan, runnable: list[Resolved], lanes: list[tuple[str, int]], journal: Journal, first: Worker
) -> Iterator[tuple[str, Any]]:
    """What workers report: first of changes that are fitted for many records and of first looks, then of all else."""
    spare = [first]
    for fits in (True, False):
        changes, lost = ({}, {}) if fits else _fitted(plan, journal)
        specs = tuple(c.spec for c in runnable if (bool(c.spec.fit) or c.spec.screen) == fits and c.spec.id not in lost)
        names = {spec.id for spec in specs}

        def ready(specs: tuple[CheckSpec, ...] = specs, changes: dict[str, np.ndarray] = changes) -> Worker:
            worker = spare.pop() if spare else start_worker()
            if worker is not first:
                worker.ask("open", plan.spec)
            worker.ask("prepare", (specs, plan.cleans, changes))
            return worker

        for name, why in lost.items():
            yield "fault", ([lane for lane in lanes if lane[0] == name], why)
        own = [lane for lane in lanes if lane[0] in names]
        if own:
            yield from Pool(ready, worker_count(plan.options), LANES_HELD, SILENCE).run(own, journal.snapshots())


def _fitted(plan: Plan, journal: Journal) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """By check id: the change that was fitted for its records, the cells that a sweep chose, or why there are none."""
    changes, lost = {}, {}
    for fit in (fit for beside in plan.beside.values() for fit in beside.fits):
        name = fit.spec.id.removesuffix("~fit")
        record, arrays = journal.cases(fit.spec.id)[fit.samples[0]]
        if "change" in arrays:
            changes[name] = arrays["change"]
        else:
            lost[name] = f"no change could be fitted: {record.get('fault', '')}"
    for check in (check for check in plan.checks if check.spec.id in plan.screens):
        names = [check.spec.id, *(one.spec.id for one in plan.siblings.get(check.spec.id, []))]
        why = triggers.first_look_lost(plan, check, journal)
        lost |= dict.fromkeys(names, why) if why else {}
        changes |= {} if why else dict.fromkeys(names, triggers.chosen(plan, check, journal))
    return changes, lost


def _fault(why: str) -> dict[str, Any]:
    return {
        "rows": 0, "counted": 0, "found": 0, "exhausted": False, "size": None, "invalid": 0, "curve": [], "starts": 0,
        "verification": 0, "success": False, "note": "", "fault": why,
    }  # fmt: skip


def worker_count(options: Options) -> int:
    if options.workers:
        return options.workers
    if options.device.startswith("cuda"):
        return 1
    return max(
        1,
        min(
            4,
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        ),
    )


# --- the run folder


def fingerprint(
    policy: Policy,
    data: Dataset,
    found: Found,
    spec: WorkSpec,
    environment: dict[str, str],
    options: Options,
) -> dict[str, str]:
    """What a continued run must share with its beginning, part by part."""
    return {
        "model": found.facts.sha256,
        "data": data.sha256,
        "policy": hashlib.sha256(policy.model_dump_json(by_alias=True).encode()).hexdigest(),
        "stages": " ".join(stage.sha256 for own in spec.stages.values() for stage in own if stage.sha256),
        "suspicious": hashlib.sha256(options.suspicious.read_bytes()).hexdigest() if options.suspicious else "",
        "triggers": hashlib.sha256(json.dumps(spec.triggers, sort_keys=True).encode()).hexdigest(),
        "references": " ".join(hashlib.sha256(path.read_bytes()).hexdigest() for path in options.references),
        "seed": str(spec.seed),
        "block": str(spec.block),
        "limit": str(options.limit),
        "selection": json.dumps([sorted(options.only), sorted(options.skip)]),
        "samples": str(options.include_samples),
        "medaudit": medaudit.__version__,
        "onnxruntime": environment["onnxruntime"],
        "provider": environment["provider"],
        "numpy": environment["numpy"],
        "processor": environment["processor"],
    }


def _run_folder(
    options: Options,
    policy: Policy,
    data: Dataset,
    found: Found,
    spec: WorkSpec,
    environment: dict[str, str],
) -> tuple[Path, Journal]:
    """A new folder, or an unfinished run with an equal fingerprint. Raises RunError otherwise."""
    mark = fingerprint(policy, data, found, spec, environment, options)
    folder = options.out or _new_folder(policy, found)
    journal = folder / "journal"
    if (folder / "manifest.json").exists():  # written last
        raise RunError(
            f"{folder} holds a finished run",
            "choose another --out, or render it with 'medaudit report'",
        )
    if options.resume and not journal.exists():
        raise RunError(f"{folder} holds no run to resume", "check the path, or start one with --out")
    if folder.exists() and not journal.exists() and any(folder.iterdir()):
        raise RunError(f"{folder} is not empty and holds no run of medaudit", "choose another --out")
    folder.mkdir(parents=True, exist_ok=True)
    opened = Journal(journal)
    header = opened.header()
    if not header:
        where = {"model": str(options.model.resolve()), "data": str(Path(data.path).resolve())}
        where["policy"] = str(loader.find(options.policy).resolve().parent)  # what paths of stages are seen from
        opened.set_header(fingerprint=mark, started=_now(), schema=1, where=where)
        return folder, opened
    old = header["fingerprint"]
    differing = [part for part in mark if mark[part] != old.get(part)]
    if differing:
        opened.close()
        raise RunError(
            f"{folder} holds an unfinished run that differs in: {', '.join(differing)}",
            "continue it with the same inputs, or choose another --out",
        )
    return folder, opened


def _new_folder(policy: Policy, found: Found) -> Path:
    stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%d-%H%M%S")
    base = Path("reports") / f"{stamp}-{policy.policy.id}-{found.facts.sha256[:8]}"
    folder, n = base, 1
    while folder.exists():
        n += 1
        folder = base.with_name(f"{base.name}-{n}")
    return folder


def _write_resolved(folder: Path, plan: Plan) -> None:
    write_atomic(folder / "policy.yaml", resolved_policy(plan).encode())


def _now() -> str:
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


__all__ = ["EngineError", "ModelFault", "Options", "Plan", "scan"]
