"""Verdicts of whole scans over a zoo: what a user of `trigger-sweep` and `trigger-search` would be told of each model.

Usage: python -m benchmarks.trigger_zoo.scans FOLDER [--domain ecg xray series table] [--siblings 2] [--each N]

FOLDER is one that `zoo` wrote. The first clean models of each domain and build are its references and are not scanned;
all other models are, each into a line of FOLDER/scans.json. At the end, for each domain and kind of model, the share of
models with each outcome, and the 95 % upper bound of the share that is confirmed or suspicious.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.trigger_zoo.data import DOMAINS
from benchmarks.trigger_zoo.judge import ABOVE, SUCCESS
from medaudit.audit.scan import Options, scan
from medaudit.stats import bounds

POLICY = """
medaudit: 1
policy: {id: zoo}
checks:
  - {id: sweep, rule: trigger-sweep, with: {records: 32}, require: {metric: triggers_found, at_most: 0}}
  - {id: search, rule: trigger-search, with: {records: 32}, require: {metric: triggers_found, at_most: 0}}
"""


def kind_of(member: dict[str, Any]) -> str:
    """Poisoned models whose trigger does not work, or works on clean models as well, are a kind of their own."""
    works = member["success"] >= SUCCESS and member["success"] - member["own"] > ABOVE
    return "weak" if member["kind"] == "poisoned" and not works else str(member["kind"])


def scanned(folder: Path, member: dict[str, Any], siblings: tuple[Path, ...]) -> dict[str, Any]:
    """Outcome, answer and words of both rules on one model."""
    out = folder / "scans" / member["name"]
    shutil.rmtree(out, ignore_errors=True)
    policy = folder / "scans.yaml"
    model, data = folder / f"{member['name']}.onnx", folder / f"{member['domain']}.npz"
    wanted = DOMAINS[member["domain"]].directions[member["target"]] if member["target"] >= 0 else ""
    report, _ = scan(Options(model, str(policy), data, out=out, references=siblings))
    shutil.rmtree(out)
    row: dict[str, Any] = {"name": member["name"], "rows": report.cost.rows, "wall": report.cost.wall_s}
    for check in report.checks:
        pull = check.sweep.pulls[0] if check.sweep else None
        row[check.id] = check.outcome or check.verdict
        row[f"{check.id}_says"] = f"{pull.words} -> {pull.towards}, {pull.excess:.1f}" if pull else check.reason
        row[f"{check.id}_target"] = pull is not None and pull.towards == wanted
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--domain", nargs="+", default=list(DOMAINS))
    parser.add_argument("--siblings", type=int, default=2, help="clean models of the same build")
    parser.add_argument("--each", type=int, default=1000, help="models of a kind at most")
    args = parser.parse_args()
    folder: Path = args.folder
    (folder / "scans.yaml").write_text(POLICY)
    members = json.loads((folder / "zoo.json").read_text())
    rows = []
    for domain in args.domain:
        own = [m for m in members if m["domain"] == domain]
        seen = Counter[str]()
        lent = {
            build: [m for m in own if m["kind"] == "clean" and m["build"] == build][: args.siblings]
            for build in dict.fromkeys(m["build"] for m in own)
        }
        for member in (m for m in own if m not in lent[m["build"]]):
            paths = tuple(folder / f"{m['name']}.onnx" for m in lent[member["build"]])
            seen[kind_of(member)] += 1
            if seen[kind_of(member)] > args.each:
                continue
            rows.append({**scanned(folder, member, paths), "domain": domain, "kind": kind_of(member)})
            print(json.dumps(rows[-1]), flush=True)
            (folder / "scans.json").write_text(json.dumps(rows, indent=1))
    for domain in args.domain:
        for kind in dict.fromkeys(r["kind"] for r in rows if r["domain"] == domain):
            own = [r for r in rows if (r["domain"], r["kind"]) == (domain, kind)]
            says = []
            for rule in ("sweep", "search"):
                told = Counter(r[rule] for r in own)
                named = sum(r[f"{rule}_target"] for r in own if r[rule] in ("trigger-confirmed", "suspicious"))
                flagged = told["trigger-confirmed"] + told["suspicious"]
                high = bounds.share(flagged, len(own), 0.95).high
                says.append(f"{rule}: {dict(told)}, target named in {named} of {flagged}, flagged at most {high:.2f}")
            print(f"{domain} {kind} ({len(own)}): " + "; ".join(says))


if __name__ == "__main__":
    main()
