"""Proof: the result is bitwise the same for 1 and many lanes, shuffled jobs, 1 and 2 workers, and
for runs killed with `kill -9` and resumed. Usage: python -m benchmarks.prove_resume [--kills 20]

Every comparison is of `run.result_sha256`, which covers all of report.json but `run`, `cost`,
`environment` and `seconds`. For each resumed run it is also shown that finished lanes are not asked
again: rows asked by the resumed process equal the rows of the cases that the journal lacked.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

from medaudit.audit.scan import Options, scan
from medaudit.policy.write import dump

HERE = Path(__file__).resolve().parent.parent
MODEL, DATA = HERE / "examples/cxr/model.onnx", HERE / "examples/cxr/data.npz"
POLICY = str(Path(tempfile.gettempdir()) / f"prove-resume-{os.getpid()}.yaml")
LIMIT = 40


def write_policy() -> None:
    """The shipped policy, and one change for all images, which is fitted before it is measured."""
    policy = yaml.safe_load((HERE / "policies" / "cxr.yaml").read_text())
    policy["threats"]["shared"] = {"access": "scores", "norm": "linf", "eps": "0.02 range"}
    require = {"metric": "robust_accuracy", "at_least": "50%"}
    policy["checks"].append(
        {
            "id": "one-for-all",
            "rule": "universal-noise",
            "threat": "shared",
            "budget": {"queries": 200},
            "require": require,
        }
    )
    Path(POLICY).write_text(dump(policy))


def inside(folder: Path, **changes: object) -> str:
    options = Options(MODEL, POLICY, DATA, out=folder, limit=LIMIT, **changes)  # type: ignore[arg-type]
    report, _ = scan(options)
    return report.run.result_sha256


def command(folder: Path) -> list[str]:
    words = ["scan", str(MODEL), "--policy", POLICY, "--data", str(DATA), "--limit", str(LIMIT)]
    return [sys.executable, "-m", "medaudit.cli.main", *words, "--out", str(folder), "--quiet"]


def journalled(folder: Path) -> dict[tuple[str, int], int]:
    """Rows of every case the journal holds."""
    path = folder / "journal"
    if not path.exists():
        return {}
    with sqlite3.connect(path) as db:
        try:
            rows = db.execute("SELECT check_id, sample, record FROM cases").fetchall()
        except sqlite3.OperationalError:
            return {}
    return {(c, s): json.loads(r)["rows"] for c, s, r in rows}


def asked_rows(folder: Path) -> int:
    """Rows that the workers of all sessions counted, up to the last case of each."""
    path = folder / "journal"
    if not path.exists():
        return 0
    with sqlite3.connect(path) as db:
        try:
            found = db.execute("SELECT value FROM header WHERE name = 'cost'").fetchone()
        except sqlite3.OperationalError:
            return 0
    return int(json.loads(found[0])["rows"]) if found else 0


def killed_run(folder: Path, after: float) -> int:
    """Start a scan, kill its whole process group after some seconds; cases journalled by then."""
    process = subprocess.Popen(
        command(folder),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return len(journalled(folder))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--between", type=int, default=15)
    options = parser.parse_args()
    write_policy()
    draw = random.Random(7)
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        began = time.monotonic()
        want = inside(base / "reference", workers=2)
        length = time.monotonic() - began
        print(f"reference: 2 workers, {length:.1f} s, {want[:16]}")
        for text, changes in (
            ("1 worker", {"workers": 1}),
            ("1 worker, 1 lane", {"workers": 1, "room": 1}),
            ("2 workers, many lanes", {"workers": 2, "room": 4096}),
            ("2 workers, shuffled jobs", {"workers": 2, "shuffle": 5}),
            ("1 worker, shuffled jobs", {"workers": 1, "shuffle": 9}),
        ):
            got = inside(base / text.replace(" ", "-"), **changes)
            print(f"{text}: {'equal' if got == want else 'DIFFERENT ' + got[:16]}", flush=True)
            assert got == want, text
        total = len(journalled(base / "reference"))
        kills = between = 0
        while kills < options.kills or between < options.between:
            folder = base / f"kill-{kills}"
            done = killed_run(folder, draw.uniform(0.1, 1.0) * length)
            if (folder / "report.json").exists():
                shutil.rmtree(folder)  # it had finished before the kill
                continue
            before, rows_before = journalled(folder), asked_rows(folder)
            kills += 1
            between += 0 < done < total
            status = subprocess.run(command(folder), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
            report = json.loads((folder / "report.json").read_text())
            after = journalled(folder)
            fresh = sum(rows for lane, rows in after.items() if lane not in before)
            kept = all(after[lane] == rows for lane, rows in before.items())
            same = report["run"]["result_sha256"] == want
            asked = asked_rows(folder) - rows_before
            print(
                f"kill {kills}: {done}/{total} cases at the kill, exit {status.returncode}, "
                f"{'equal' if same else 'DIFFERENT'}, asked {asked} rows for {fresh} rows of missing cases",
                flush=True,
            )
            assert same, folder
            assert kept, folder
            assert asked == fresh, folder
        print(f"{kills} kills, {between} of them between the first and the last journalled case: all equal")


if __name__ == "__main__":
    main()
