"""Proof: real models scan from a `policy init` policy and from the shipped policy of their domain.

Usage: python -m benchmarks.prove_real FOLDER, where FOLDER holds models/ and data/ (see the table
below). Each scan must end within ten minutes, with the known clean performance, no `error`, and a
verdict of every applicable rule on at least 60 rows (40 where it fits a change on further rows).
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

from medaudit.audit.results import Report
from medaudit.audit.scan import Options, scan
from medaudit.audit.starter import starter_policy
from medaudit.report.bundle import publish

# model, data, shipped policy, metric of the clean pass and its known value
CASES = (
    ("cinc2017_resnet", "cinc2017", "ecg.yaml", "accuracy", 0.853),
    ("pneumonia_nchw", "pneumonia", "cxr.yaml", "accuracy", 0.893),
    ("icu_mortality_gru", "icu_mortality", "ehr-timeseries.yaml", "auroc", 0.818),
    ("heart_pipeline_columns", "heart_pipeline_columns", "ehr-tabular.yaml", "accuracy", 0.797),
)
LIMIT = 600.0


def check(name: str, kind: str, report: Report, metric: str, value: float, seconds: float) -> None:
    measured = report.baseline[metric].value
    assert measured is not None
    # Known to three decimals; an exact half may have been rounded either way.
    assert abs(measured - value) <= 0.00051, (name, metric, measured, value)
    assert seconds < LIMIT, (name, seconds)
    words = []
    for one in report.checks:
        assert one.verdict != "error", (one.id, one.reason)
        if one.family == "EV" and not one.reason.startswith("the model gives labels"):
            assert one.verdict in ("pass", "fail", "inconclusive"), (one.id, one.verdict, one.reason)
            assert len(one.cases) >= (40 if one.queries.fit else 60), (one.id, len(one.cases))
            share = one.metrics["attack_success"].value
            words.append(f"{one.id} {one.verdict} {share:.2f} of {one.metrics['attack_success'].n}")
        if one.rule in ("row-purity", "repeatability", "batch-isolation"):
            assert one.verdict == "pass", (one.id, one.reason)
    print(f"{name} from {kind}: {seconds:.0f} s, {metric} {measured:.4f}, {report.cost.rows} rows", flush=True)
    print("   " + "; ".join(words), flush=True)


def main() -> None:
    home = Path(sys.argv[1])
    for model, data, shipped, metric, value in CASES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            path, records = home / "models" / f"{model}.onnx", home / "data" / f"{data}.npz"
            own = folder / "init.yaml"
            own.write_text(starter_policy(path, records, "", "standard"))
            for kind, policy in (("shipped", shipped), ("init", str(own))):
                began = time.monotonic()
                report, run = scan(Options(path, policy, records, out=folder / kind))
                publish(report, run)
                check(model, kind, report, metric, value, time.monotonic() - began)
    print("all scans ended in time, without an error, with the known clean performance")


if __name__ == "__main__":
    main()
