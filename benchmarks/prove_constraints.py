"""Proof: findings on records keep every constraint, and searches of tables find what an exhaustive search finds.

Tables: a scan from the command line with at most one and at most two changed entries, against every pair of
entries at every legal value of a fixed sample (`benchmarks.exhaustive`). Elsewhere the attack must be above the
upper bound of the random control in its own report. Every reported finding is read from the run folder and held
against the policy's text (`benchmarks.lawful`) and asked again. Exit code 1 when a line is missed.
Usage: python -m benchmarks.prove_constraints [--real FOLDER] [--only NAME] [--explain] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnx
import onnxruntime as ort
import yaml

from benchmarks import exhaustive, lawful
from benchmarks.ehr import Records, elsewhere, tables
from medaudit.audit.starter import starter_policy

HOME = Path(__file__).resolve().parent.parent
BUDGETS = (1_000, 2_000, 5_000)
MOST = {"few-features": 2_000, "evolved-entries": 2_000, "standard": 5_000}  # rows of each rule in tables
ROWS = 1_000  # elsewhere
FEW = 6  # numbers whose corners are searched whole
LINE = 0.95  # of what the exhaustive search breaks


@dataclass
class Tally:
    """Lines of the proof, and those that were missed."""

    missed: list[str] = field(default_factory=list)
    findings: int = 0

    def line(self, name: str, good: bool) -> str:
        if not good:
            self.missed.append(name)
        return "ok" if good else "MISSED"


# --- policies, scans and answers


def policy_of(records: Records, threats: dict[str, Any], checks: list[dict[str, Any]]) -> str:
    """The starter policy with constraints, threats and checks of this proof."""
    text = yaml.safe_load(starter_policy(records.model, records.data, "", "quick"))
    for section in text["model"]["inputs"].values():
        for channel in section["channels"]:
            said = records.channels.get(channel["name"])
            if said is not None:
                channel.update(said)
                channel.pop("step", None) if said.get("kind") == "category" else None
    text["model"]["constraints"] = {
        "relations": list(records.relations), "one_hot": [list(group) for group in records.one_hot],
    }  # fmt: skip
    text["data"] = {"use": {"at_most": records.patients, "only_correct": True}}
    text["threats"], text["checks"] = threats, checks
    plain = json.loads(json.dumps(text))  # a policy may not say "the same as above"
    return str(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))


def scan(records: Records, policy: str, folder: Path) -> tuple[Path, dict[str, Any]]:
    """A scan from the command line: its run folder and its report."""
    folder.mkdir(parents=True, exist_ok=True)
    path, run = folder / "policy.yaml", folder / "run"
    path.write_text(policy, encoding="utf-8")
    words = ["scan", records.model, "--policy", path, "--data", records.data, "--out", run, "--workers", 2]
    command = [sys.executable, "-m", "medaudit.cli.main", *map(str, words), "--include-samples", "--quiet"]
    done = subprocess.run(command, cwd=HOME, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1, 3):
        raise RuntimeError(f"{records.name}: exit code {done.returncode}: {done.stderr.splitlines()[0]}")
    return run, json.loads((run / "report.json").read_text(encoding="utf-8"))


def attack(name: str, rule: str, threat: str, rows: int) -> dict[str, Any]:
    """One check of a policy; what it requires is of no concern here."""
    wanted = {"metric": "attack_success", "at_most": "20%"}
    return {"id": name, "rule": rule, "threat": threat, "budget": {"queries": rows}, "require": wanted}


class Asker:
    """The model's decisions on points, straight from ONNX Runtime."""

    def __init__(self, records: Records, book: lawful.Book) -> None:
        model = onnx.load(str(records.model))
        maps = [node for node in model.graph.node if node.op_type == "ZipMap"]
        for node in maps:  # a list of dictionaries a row: the same numbers are there as a tensor
            model.graph.node.remove(node)
            old = next(out for out in model.graph.output if out.name == node.output[0])
            model.graph.output.remove(old)
            model.graph.output.append(onnx.helper.make_tensor_value_info(node.input[0], onnx.TensorProto.FLOAT, None))
        self.session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        self.book = book
        self.output = model.graph.output[-1].name

    def __call__(self, points: np.ndarray) -> np.ndarray:
        answers = self.session.run([self.output], self.feeds(points))[0]
        answers = answers.reshape(len(points), -1)
        return np.asarray(answers[:, 0] >= 0.5 if answers.shape[1] == 1 else answers.argmax(axis=1)).astype(np.int64)

    def feeds(self, points: np.ndarray) -> dict[str, np.ndarray]:
        out = {}
        for tensor in self.session.get_inputs():
            own = [i for i, cell in enumerate(self.book.cells) if cell.input == tensor.name]
            values = points[:, own]
            if tensor.type == "tensor(string)":
                words = np.array(self.book.cells[own[0]].categories, dtype=object)
                values = words[values.astype(int)]
            elif len(tensor.shape) == 3:  # channel after channel, and the graph takes hour after hour
                channels = len(dict.fromkeys(self.book.cells[i].channel for i in own))
                values = np.ascontiguousarray(values.reshape(len(values), channels, -1).swapaxes(1, 2))
            out[tensor.name] = values
        return out


def check_findings(records: Records, run: Path, asker: Asker, tally: Tally) -> str:
    """Every reported finding: the policy's constraints, and the answer, once more."""
    count, wrong = lawful.faults(run, records.data)
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    for check in report["checks"]:
        for case in (c for c in check["cases"] if c["success"] and c["evidence"]):
            with np.load(run / case["evidence"], allow_pickle=False) as kept:
                clean = asker.book.points[int(kept["sample"])]
                point = (clean + kept["delta"]).astype(np.float32)
            before, after = asker(np.stack([clean, clean]))[0], asker(np.stack([point, point]))[0]
            if before == after:
                wrong.append(f"{case['id']}: the answer is the same")
    tally.findings += count
    for words in wrong[:10]:
        print(f"   FAULT {words}")
    return f"{count} findings, {len(wrong)} faults: {tally.line(f'{records.name}: findings', not wrong and count > 0)}"


# --- tables


def broken_at(check: dict[str, Any], budget: int) -> set[int]:
    """Rows of the data file that a check broke within a budget; a smaller budget is a prefix of a larger one."""
    return {int(c["id"][-5:]) for c in check["cases"] if c["success"] and c["queries"] <= budget}


def near(policy: str, far: float) -> dict[str, str]:
    """A reach for every channel: so many standard deviations, or any other category."""
    channels = [c for section in yaml.safe_load(policy)["model"]["inputs"].values() for c in section["channels"]]
    whole = ("category", "binary")
    return {c["name"]: "1" if c.get("kind") in whole else f"{far:g} sd" for c in channels if not c.get("fixed")}


def table(records: Records, folder: Path, tally: Tally, explain: bool) -> None:
    """One table: scans of every rule, the exhaustive search, and both side by side."""
    began = time.monotonic()
    reach = near(starter_policy(records.model, records.data, "", "quick"), records.near)
    reach |= {name: "1" for name, said in records.channels.items() if said.get("kind") == "category"}
    threats: dict[str, dict[str, Any]] = {"far-2": {"access": "scores", "norm": "l0", "eps": 2}}
    threats |= {f"near-{k}": {"access": "scores", "norm": "l0", "eps": k, "within": reach} for k in (1, 2)}
    checks = [attack(f"{rule}-{name}", rule, name, rows) for name in threats for rule, rows in MOST.items()]
    run, report = scan(records, policy_of(records, threats, checks), folder)
    scanned = time.monotonic() - began
    book = lawful.read(run / "policy.yaml", records.data)
    asker = Asker(records, book)
    by_id = {check["id"]: check for check in report["checks"]}
    samples = sorted(int(c["id"][-5:]) for c in by_id[checks[0]["id"]]["cases"])
    assert len(samples) >= records.patients, (records.name, len(samples))
    assert (asker(book.points[samples]) == book.labels[samples]).all(), "a record that is decided wrongly"
    print(f"{records.name}: {len(samples)} records, {len(records.relations)} relations, {len(records.one_hot)} groups; "
          f"scan {scanned:.0f} s", flush=True)  # fmt: skip
    print(f"   {check_findings(records, run, asker, tally)}", flush=True)
    for name, threat in threats.items():
        began = time.monotonic()
        found = {s: exhaustive.search(book, threat, asker, book.points[s], threat["eps"]) for s in samples}
        whole = {sample for sample, one in found.items() if one.changes}
        print(f"   {name}: exhaustive breaks {len(whole)} of {len(samples)} with {sum(f.rows for f in found.values())} "
              f"rows in {time.monotonic() - began:.0f} s", flush=True)  # fmt: skip
        shares(records, by_id, name, whole, tally)
        if explain:
            for sample in sorted(whole - broken_at(by_id[f"standard-{name}"], BUDGETS[-1])):
                words = lost(book, threat, asker, book.points[sample], found[sample])
                print(f"      lost {sample}: {words}", flush=True)


def shares(records: Records, by_id: dict[str, Any], threat: str, whole: set[int], tally: Tally) -> None:
    """Print one row a rule; the standard set must reach the line at the largest budget."""
    for rule, rows in MOST.items():
        words = []
        for budget in (b for b in BUDGETS if b <= rows):
            broken = broken_at(by_id[f"{rule}-{threat}"], budget)
            words.append(f"{len(broken) / max(1, len(whole)):.3f} ({len(broken)}, {len(broken - whole)} besides)")
        good = len(broken) >= LINE * len(whole)
        verdict = tally.line(f"{records.name}: {rule}, {threat}", good) if rule == "standard" else ""
        print(f"      {rule:16} {' '.join(f'{b}: {w}' for b, w in zip(BUDGETS, words, strict=False))} {verdict}")


def lost(book: lawful.Book, threat: dict[str, Any], asker: Asker, clean: np.ndarray, found: exhaustive.Found) -> str:
    """How the exhaustive search breaks a record that was lost: all entries or pairs that do."""
    every = exhaustive.ways(book, threat, asker, clean, found.changes)
    points = sum(map(len, every.values()))
    asked = sum(len(names) for _, names in exhaustive.chunks(book, threat, clean, found.changes))
    laws = exhaustive.Laws(book, clean)
    ends = joint = 0
    for own in every.values():
        for point in own:
            moved = np.flatnonzero((point != clean) & ~np.isnan(clean))
            ends += all(_at_end(threat, book.cells[i], float(clean[i]), float(point[i])) for i in moved)
            joint += not all(laws.hold(np.where(np.arange(len(clean)) == i, point, clean)[None])[0] for i in moved)
    best = Counter({names: len(own) for names, own in every.items()}).most_common(3)
    shown = "; ".join(f"{' + '.join(names)} ({n})" for names, n in best)
    return (f"{found.changes} changes; {points} of {asked} points in {len(every)} choices of entries, {ends} with all "
            f"numbers at ends, {joint} lawful only together; most in {shown}")  # fmt: skip


def _at_end(threat: dict[str, Any], cell: lawful.Cell, clean: float, value: float) -> bool:
    lo, hi = lawful.bounds(threat, cell, clean)
    grid = cell.step or 1e-5 * max(abs(lo), abs(hi))
    return cell.kind in ("category", "binary") or min(value - lo, hi - value) < grid


# --- elsewhere


def chance(records: Records, folder: Path, tally: Tally) -> None:
    """Attacks against the random control of their own report; with few numbers also against all their corners."""
    began = time.monotonic()
    threats = {name: threat for name, threat, _ in records.attacks}
    checks = [attack(f"{rule}-{name}", rule, name, ROWS) for name, _, rules in records.attacks for rule in rules]
    run, report = scan(records, policy_of(records, threats, checks), folder)
    book = lawful.read(run / "policy.yaml", records.data)
    asker = Asker(records, book)
    by_id = {check["id"]: check for check in report["checks"]}
    print(f"{records.name}: {len(by_id[checks[0]['id']]['cases'])} records, {len(records.relations)} relations, "
          f"{len(records.one_hot)} groups; scan {time.monotonic() - began:.0f} s", flush=True)  # fmt: skip
    print(f"   {check_findings(records, run, asker, tally)}", flush=True)
    for name, threat, rules in records.attacks:
        for rule in rules:
            own = by_id[f"{rule}-{name}"]["metrics"]
            share, control = own["attack_success"]["value"], own["control_success"]
            good, whole = share > control["high"], ""
            free = [cell for cell in book.cells if not cell.fixed and cell.kind != "category"]
            if len(free) <= FEW:  # so few that chance finds the best corner: all of them are the measure
                samples = [int(case["id"][-5:]) for case in by_id[f"{rule}-{name}"]["cases"]]
                all_of_them = np.mean([exhaustive.corners(book, threat, asker, book.points[s]) for s in samples])
                good, whole = share >= LINE * all_of_them, f"; all corners {all_of_them:.3f}"
            verdict = tally.line(f"{records.name}: {rule}, {name}", bool(good))
            print(f"   {name:12} {threat['norm']:4} {threat['eps']:13} {rule:13} {share:.3f}, control "
                  f"{control['value']:.3f} (at most {control['high']:.3f}){whole} {verdict}", flush=True)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--real", type=Path, help="folder with models/ and data/ of real records")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--explain", action="store_true", help="how each lost record could have been broken")
    parser.add_argument("--keep", type=Path, help="folder for models, policies and runs")
    given = parser.parse_args()
    tally, began = Tally(), time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = given.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        for records in (*tables(folder, given.real), *elsewhere(folder, given.real)):
            own = folder / records.name.replace(", ", "-").replace(" ", "-")
            if given.only not in records.name:
                continue
            try:
                if records.attacks:
                    chance(records, own, tally)
                else:
                    table(records, own, tally, given.explain)
            except RuntimeError as refused:
                print(refused, tally.line(f"{records.name}: scan", False), flush=True)
    print(f"{tally.findings} findings in {time.monotonic() - began:.0f} s; missed: {'; '.join(tally.missed) or 'none'}")
    return 1 if tally.missed else 0


if __name__ == "__main__":
    sys.exit(main())
