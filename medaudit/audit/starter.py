"""`medaudit policy init`: a policy that scans as it is, with every applicable rule."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from medaudit import data as readers
from medaudit.audit.companions import CONTROL, PLANTED
from medaudit.audit.document import input_section, output_section
from medaudit.audit.estimate import row_seconds, speedup
from medaudit.audit.explainers import plans_for
from medaudit.audit.resolve import LEAST_RECORDS, eligible
from medaudit.audit.scaffolds import FEWEST
from medaudit.audit.scan import Options, worker_count
from medaudit.audit.spec import Found, WorkSpec
from medaudit.audit.sweeps import COPIES, STRENGTHS, most_chosen, reference_points
from medaudit.audit.work import start_worker
from medaudit.core.errors import MedauditError
from medaudit.core.interface import Input, Interface
from medaudit.core.region import INJECTED
from medaudit.data import Dataset
from medaudit.domain.corruptions import applicable
from medaudit.domain.quantity import Quantity
from medaudit.domain.threat import Threat, unsuited
from medaudit.model.facts import RANDOM, block_size
from medaudit.oracle.goal import Goal, goals_of
from medaudit.policy.schema import ModelSection
from medaudit.policy.write import dump
from medaudit.probe.kinds import Spec
from medaudit.rule import RULES, Rule
from medaudit.trigger.cells import field

# effort -> (seconds of attack on this machine, groups, least and most rows per sample)
EFFORTS = {
    "quick": (40.0, 60, 60, 1000),
    "standard": (240.0, 200, 200, 2000),
    "thorough": (7200.0, 1000, 1000, 10000),
}
CALIBRATION = 1.0
SWEPT = 0.3  # of the effort's time for the sweep of triggers
EXPLAINED = 0.3  # and for attacks on explanations
LEDS = {  # what each of them must not exceed
    "explanation-drift": {"metric": "excess_over_random", "at_most": "10%"},
    "explanation-target": {"metric": "explanations_led", "at_most": "30%"},
    "hidden-error": {"metric": "explanations_led", "at_most": "30%"},
}
SOUGHT, FEW = 150, 40  # explanations of a patient, and of how many at least
VOTES = 9  # askings of each row where the graph draws random numbers
STANDARD = 3  # budget of the standard set, in shares of another attack's
CERTIFIED = "certified-change"  # the threat and the check of it
MAPS = {
    "SA": ["eu-ai-act:15.1", "fda-ai-dsf:performance-validation"],
    "CO": ["eu-ai-act:15.4", "fda-ai-dsf:performance-validation"],
    "EX": ["eu-ai-act:15.5", "nist-aml:NISTAML.02"],
    "CE": ["nist-aml:NISTAML.025", "eu-ai-act:15.5"],
    "TR": ["atlas:AML.T0018.001", "nist-aml:NISTAML.023", "eu-ai-act:15.5"],
    "EV": [
        "nist-aml:NISTAML.025",
        "atlas:AML.T0043.001",
        "eu-ai-act:15.5",
        "fda-ai-dsf:cybersecurity",
    ],
}


def starter_policy(model: Path, data_path: Path, hint: str, effort: str) -> str:
    """Text of the policy. Raises MedauditError when model and data cannot be matched."""
    if effort not in EFFORTS:
        raise MedauditError(f"effort {effort!r} is not known", f"use one of: {', '.join(EFFORTS)}")
    data = readers.read(data_path)
    worker = start_worker()
    try:
        found: Found = worker.ask("discover", (str(model), str(data_path), ModelSection(), hint))
        if RANDOM & {name.rpartition(":")[2] for name, _ in found.facts.operators}:
            output = replace(found.interface.output, votes=VOTES)
            found = found._replace(interface=replace(found.interface, output=output))
        block = block_size(4 * found.interface.size, found.batching, "cpu", data.rows)
        spec = WorkSpec(str(model), str(data_path), found.interface, found.batching, "cpu", block, 1)
        worker.ask("open", spec)
        answers = worker.ask("clean", (np.arange(data.rows), ""), timeout=3600)["answers"]
        seconds = float(worker.ask("calibrate", CALIBRATION))
    finally:
        worker.close()
    return compose_policy(model, found.interface, data, answers, seconds, effort)


def compose_policy(
    model: Path,
    interface: Interface,
    data: Dataset,
    answers: np.ndarray,
    seconds: float,
    effort: str,
) -> str:
    threats = starter_threats(interface)
    checks = starter_checks(interface, data, answers, threats)
    attacks = [c for c in checks if RULES[c["rule"]].kind == "attack"]
    cells = field(interface, reference_points(interface, data))
    again = (len(STRENGTHS) + len(COPIES)) * most_chosen(cells)
    swept = (len(cells.cells) + again) / 2  # rows for a record: half choose, half measure
    fit = SWEPT * EFFORTS[effort][0] / (row_seconds(seconds, interface.size) * max(1, swept))
    for check in (c for c in checks if RULES[c["rule"]].kind == "sweep"):
        check["with"] = {"records": int(min(32, max(LEAST_RECORDS, fit)))}
    _explained(checks, interface, data, row_seconds(seconds, interface.size), effort)
    shares = [STANDARD if check["rule"] == "standard" else 1 for check in attacks]
    groups, budget = sizes(interface, data, answers, seconds, effort, sum(shares))
    for check, share in zip(attacks, shares, strict=True):
        check["budget"] = {"queries": share * budget}
    for check in (c for c in checks if RULES[c["rule"]].kind == "certificate"):
        check["with"] |= {"draws": (draws := max(100, min(500, budget))), "guess": draws // 5}
    policy: dict[str, Any] = {
        "medaudit": 1,
        "policy": {
            "id": "".join(c if c.isalnum() or c in "-_" else "-" for c in model.stem)[:60].strip("-_") or "model",
            "version": "0.1.0",
            "title": f"Starter policy for {model.name}"[:200],
            "domain": interface.inputs[-1].domain,
            "basis": "starter thresholds of medaudit, not clinical advice: replace them by your own",
        },
        "model": {
            "inputs": {i.name: input_section(readable(i)) for i in interface.inputs},
            "output": output_section(interface),
            **({"votes": interface.output.votes} if interface.output.votes > 1 else {}),
        },
        "data": {"use": {"at_most": groups, "only_correct": True}},
        "threats": {name: t for name, t in threats.items() if any(c.get("threat") == name for c in checks)},
        "defaults": {"confidence": "95%", "seed": 1},
        "checks": checks,
    }
    return dump(policy, COMMENTS)


def _explained(checks: list[dict[str, Any]], interface: Interface, data: Dataset, row: float, effort: str) -> None:
    """Patients and rows of the checks of explanations that fit their part of the time."""
    own = [check for check in checks if RULES[check["rule"]].kind == "explanation"]
    if not own:
        return
    asks = plans_for(Spec(), interface, data, 1, 1)[1][0].asks * interface.output.votes
    each = EXPLAINED * EFFORTS[effort][0] / (len(own) * row * asks)  # explanations of one check
    sought = int(max(FEW, min(SOUGHT, each / LEAST_RECORDS)))
    for check in own:
        check["with"] = {"records": int(min(30, max(LEAST_RECORDS, each / sought)))}
        check["budget"] = {"queries": sought * asks}


def readable(item: Input) -> Input:
    """The same input without the digits that nobody measured: 28.11, not 28.110000610351562."""

    def short(value: float | None) -> float | None:
        return None if value is None else float(str(np.float32(value)))

    channels = [replace(c, lo=short(c.lo), hi=short(c.hi), sd=float(f"{c.sd:.6g}")) for c in item.channels]
    return replace(item, channels=tuple(channels))


COMMENTS = {
    ("medaudit",): "Schema version. Written by `medaudit policy init`; everything here may be changed.",
    ("policy", "basis"): "Where the thresholds come from: a policy is a claim that someone signs.",
    ("model",): "How stored records become the model's inputs, and how its answer becomes a decision:\n"
    "found from the model and the data, and confirmed by the clean performance.",
    ("model", "votes"): "The graph draws random numbers: every row is asked so often, and the mean answer counts.",
    ("data",): "at_most: patients attacked per check, in data order. only_correct: attack only what the\n"
    "model gets right without an attacker.",
    ("threats",): "What an attacker sees (scores, or labels only) and how far an input may be changed.\n"
    "eps takes units: 0.05 mV, 5 bpm, 2% ... `sd` is the spread of each channel in the clean data.",
    ("defaults",): "confidence: of every bound that a verdict rests on.",
    ("checks",): "One check per question; `medaudit explain RULE` prints what each asks and means.",
}


def starter_threats(interface: Interface) -> dict[str, dict[str, Any]]:
    """Small, unit-free sizes that work on any data of the domain."""
    kind = "table" if all(i.domain == "table" for i in interface.inputs) else interface.inputs[-1].domain
    attacked = [i for i in interface.inputs if kind == "table" or i.domain != "table"] or list(interface.inputs)
    size = sum(i.part.size for i in attacked)
    amount = {"signal": 0.1, "image": 0.02, "table": 0.3, "sequence": 0.2}[kind]
    unit = "range" if kind == "image" and all(c.lo is not None for i in attacked for c in i.channels) else "sd"
    inputs = {} if len(attacked) == len(interface.inputs) else {"inputs": [i.name for i in attacked]}
    noise = {"signal": 0.25, "image": 0.1, "table": 0.5, "sequence": 0.25}[kind]
    whole = round(0.5 * amount * size**0.5, 3)
    out: dict[str, dict[str, Any]] = {
        "small-noise": {"access": "scores", "norm": "linf", "eps": f"{amount} {unit}", **inputs},
        "spread-noise": {"access": "scores", "norm": "l2", "eps": f"{whole:g} {unit}", **inputs},
        "label-only": {"access": "labels", "norm": "l2", "eps": f"{whole:g} {unit}", **inputs},
        "label-only-largest": {
            "access": "labels",
            "norm": "linf",
            "eps": f"{amount} {unit}",
            **inputs,
        },
        CERTIFIED: {"access": "labels", "norm": "l2", "eps": f"{noise:g} {unit}", **inputs},
    }
    sent = Threat("scores", INJECTED, Quantity(1.0, "sd"))
    if any(i.domain == "signal" for i in interface.inputs) and not unsuited(interface, sent):
        # As strong as the recording itself, from somebody beside the patient.
        out["sent-signal"] = {"access": sent.access, "norm": sent.norm, "eps": str(sent.eps)}
    if any(i.domain in ("table", "sequence") for i in interface.inputs):
        # Plausible slips: a channel may move by half its spread, a category to any other.
        out["few-entries"] = {"access": "scores", "norm": "l0", "eps": 2}
    else:
        places = sum(i.part.rows * i.part.columns for i in attacked)
        out["few-places"] = {"access": "scores", "norm": "l0", "eps": max(1, round(0.005 * places))}
    return out


def starter_checks(
    interface: Interface, data: Dataset, answers: np.ndarray, threats: dict[str, Any]
) -> list[dict[str, Any]]:
    labels = interface.output.task == "label"
    checks: list[dict[str, Any]] = []
    demand = _baseline(interface, data)
    if demand:
        checks.append({"id": "clean-performance", "rule": "baseline", "require": demand, "severity": "high"})
    zero = {"at_most": 0}
    checks += [
        {
            "id": "same-answer-twice",
            "rule": "repeatability",
            "require": {"metric": "changed_answers", **zero},
        },
        {
            "id": "row-purity",
            "rule": "row-purity",
            "require": {"metric": "changed_answers", **zero},
        },
        {
            "id": "patients-apart",
            "rule": "batch-isolation",
            "require": {"metric": "changed_answers", **zero},
        },
        {
            "id": "finite-answers",
            "rule": "finite-answers",
            "require": {"metric": "invalid_answers", **zero},
        },
        {
            "id": "inputs-at-the-edge",
            "rule": "extreme-inputs",
            "require": {"metric": "failed_extremes", **zero},
        },
    ]
    checks.append(
        {
            "id": "hidden-logic",
            "rule": "trigger-graph",
            "require": {"metric": "high_findings", **zero},
            "severity": "critical",
        }
    )
    if len(set(data.groups)) >= LEAST_RECORDS:
        checks.append(
            {
                "id": "hidden-triggers",
                "rule": "trigger-sweep",
                "require": {"metric": "triggers_found", **zero},
                "severity": "high",
            }
        )
    if interface.output.task != "reconstruction" and applicable(interface)[0]:
        demand = {"metric": "corruption_accuracy", "at_least": "60%"}
        checks.append({"id": "everyday-trouble", "rule": "corruptions", "require": demand, "severity": "medium"})
    for rule in RULES.values():
        if rule.kind != "attack" or rule is CONTROL or rule.applies(interface):
            continue
        for name, threat in threats.items():
            if name == CERTIFIED:
                continue
            fits = threat["norm"] in rule.norms and (not rule.access or threat["access"] == rule.access)
            fits = fits and not (labels and threat["access"] == "scores" and threat["norm"] != "l0")
            if fits:
                checks.append(_attack(rule, name, threat, labels))
    proof = RULES["randomised-smoothing"]
    if not proof.applies(interface):
        sigma = float(str(threats[CERTIFIED]["eps"]).partition(" ")[0])
        demand = {"metric": "certified_accuracy", "at_least": "50%"}
        one = {"id": CERTIFIED, "rule": proof.name, "threat": CERTIFIED, "with": {"sigma": sigma}, "require": demand}
        checks.append(one | {"severity": "low"})
    if not labels and interface.output.task != "reconstruction":
        own = [{"id": name, "rule": name, "threat": "small-noise", "require": need} for name, need in LEDS.items()]
        checks += [check | {"severity": "medium"} for check in own]
    two = RULES["scaffolding"]
    if not two.applies(interface) and np.isfinite(reference_points(interface, data)).all(axis=1).sum() >= FEWEST:
        demand = {"metric": "scaffold_signs", **zero}
        checks.append({"id": "two-rules", "rule": two.name, "require": demand, "severity": "high"})
    numbers = any(c.kind in ("number", "integer") and not c.fixed for i in interface.inputs for c in i.channels)
    if not numbers:
        checks = [c for c in checks if threats.get(c.get("threat", ""), {"norm": "l0"})["norm"] == "l0"]
    checks += _directions(interface, data, answers, labels)
    for check in checks:
        check["maps_to"] = MAPS[RULES[check["rule"]].family]
    return checks


def _baseline(interface: Interface, data: Dataset) -> dict[str, Any]:
    """What clean performance must at least be: better than an answer that ignores the input."""
    task = interface.output.task
    if data.y is None or task == "reconstruction":
        return {}
    if task in ("multiclass", "binary", "label"):
        return {
            "metric": "balanced_accuracy",
            "at_least": round(1.2 / max(2, len(interface.output.classes)), 2),
        }
    if task == "multilabel":
        return {"metric": "balanced_accuracy", "at_least": 0.6}
    if task == "segmentation":
        return {"metric": "mean_dice", "at_least": 0.5}
    return {"metric": "mean_absolute_error", "at_most": float(f"{np.std(data.y):.4g}")}


def _attack(rule: Rule, threat: str, facts: dict[str, Any], labels: bool) -> dict[str, Any]:
    check: dict[str, Any] = {
        "id": f"{rule.name}-{facts['norm']}" + ("-labels" if not rule.access and facts["access"] == "labels" else ""),
        "rule": rule.name,
        "threat": threat,
    }
    if rule.minimises:
        # One run gives the whole distance distribution: do not stop at eps.
        check["goal"] = {"stop": "budget"}
    check["require"] = {"metric": "robust_accuracy", "at_least": "80%"}
    check["severity"] = "high" if facts["access"] == "scores" else "medium"
    return check


def _directions(interface: Interface, data: Dataset, answers: np.ndarray, labels: bool) -> list[dict[str, Any]]:
    """Missed disease and false alarms, where classes say which is which and patients are enough."""
    output = interface.output
    if not output.disease or "missed-disease" not in goals_of(output.task):
        return []
    rule = "label-walk" if labels else "square-noise"
    threat = "label-only-largest" if labels else "small-noise"
    out = []
    for what in ("missed-disease", "false-alarm"):
        rows = eligible(output, Goal(what), data, answers, True)
        if len({data.groups[r] for r in rows}) >= 20:
            out.append(
                {
                    "id": what,
                    "rule": rule,
                    "threat": threat,
                    "goal": {"what": what, "stop": "budget" if labels else "flip"},
                    "require": {"metric": "robust_accuracy", "at_least": "80%"},
                    "severity": "critical" if what == "missed-disease" else "high",
                }
            )
    return out


def sizes(
    interface: Interface,
    data: Dataset,
    answers: np.ndarray,
    seconds: float,
    effort: str,
    attacks: int,
) -> tuple[int, int]:
    """(groups, queries per sample) that fit the effort's time on this machine."""
    span, groups, least, most = EFFORTS[effort]
    each = row_seconds(seconds, interface.size) / speedup(worker_count(Options(Path(), "")))
    rows = span / each
    goal = Goal(goals_of(interface.output.task)[0])
    available = len({data.groups[r] for r in eligible(interface.output, goal, data, answers, True)})
    n = max(1, min(groups, available))
    budget = rows / max(1, attacks) / (n + PLANTED)
    least, most, few = (interface.output.votes * rows for rows in (least, most, 20))
    if budget < least:
        n = max(min(n, 60), int(rows / max(1, attacks) / least))
        budget = rows / max(1, attacks) / (n + PLANTED)
    budget = int(min(most, max(few, budget)))
    step = 10 ** max(1, len(str(budget)) - 2)
    return n, max(few, budget // step * step)


__all__ = ["compose_policy", "starter_policy"]
