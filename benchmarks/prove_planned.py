"""Proof: the shipped policies' checks of explanations take the time that `medaudit plan` says, within a factor of 2.

Each model is planned and then scanned with these checks alone; the wall time of the whole scan against the minutes
planned, start-up included in both.

Usage: python -m benchmarks.prove_planned [--shared FOLDER]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

from medaudit.audit.estimate import estimate
from medaudit.audit.scan import Options, scan
from medaudit.policy import loader
from medaudit.rule import RULES

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def subjects(shared: Path | None) -> list[tuple[str, Path, Path, str]]:
    """Name, model, data, policy."""
    out = [
        (f"{name} example", EXAMPLES / folder / "model.onnx", EXAMPLES / folder / "data.npz", f"{policy}.yaml")
        for name, folder, policy in (
            ("ECG", "ecg", "ecg"), ("X-ray", "cxr", "cxr"), ("EHR series", "ehr-timeseries", "ehr-timeseries"),
            ("EHR table", "ehr-tabular", "ehr-tabular"),
        )
    ]  # fmt: skip
    for model, data, policy in (
        ("cinc2017_resnet", "cinc2017", "ecg"), ("pneumonia_nchw", "pneumonia", "cxr"),
        ("icu_mortality_gru", "icu_mortality", "ehr-timeseries"),
    ):  # fmt: skip
        if shared is not None:
            out.append((data, shared / f"models/{model}.onnx", shared / f"data/{data}.npz", f"{policy}.yaml"))
    return out


def main() -> None:
    """One line a model; exit 1 where a time is off by more than a factor of 2."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path)
    good = True
    with tempfile.TemporaryDirectory() as folder:
        for name, model, data, policy in subjects(parser.parse_args().shared):
            checks = loader.load(loader.find(policy))[0].checks
            kinds = {rule.name: rule.kind for rule in RULES.values()}
            own = tuple(check.id for check in checks if kinds.get(check.rule) == "explanation")
            options = Options(model, policy, data, only=own)
            planned = estimate(options)
            start = time.perf_counter()
            report, _ = scan(replace(options, out=Path(folder) / name))
            wall = time.perf_counter() - start
            ratio = wall / (60 * planned.minutes)
            verdicts = ", ".join(f"{c.id} {c.verdict}" for c in report.checks if c.id in own)
            missed = "" if 0.5 <= ratio <= 2 else "  MISSED"
            good &= not missed
            print(
                f"{name}: {planned.rows:,} rows planned, {60 * planned.minutes:.0f} s; took {wall:.0f} s: "
                f"{ratio:.2f}; {verdicts}{missed}", flush=True,
            )  # fmt: skip
    sys.exit(not good)


if __name__ == "__main__":
    main()
