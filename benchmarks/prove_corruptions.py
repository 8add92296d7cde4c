"""Proof: everyday trouble on the four examples and the four shared models, with no fault of the run.

Each model is scanned under two checks: `corruptions`, and a structured attack beside it. Printed: the clean score, the
mean score at each severity over all kinds, the worst kind, and the gap between the average case and the worst case on
the same records. A check that errs or that asked nothing is a failure of this proof; what a model withstands is not.

Usage: python -m benchmarks.prove_corruptions [--real FOLDER] [--curves]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np

from medaudit.audit.results import Value
from medaudit.audit.scan import Options, scan
from medaudit.domain.corruption import SEVERITIES
from medaudit.report.bundle import publish

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
OWN = ("ecg", "cxr", "ehr-timeseries", "ehr-tabular")
# model -> data, size of the attack in Linf
REAL = {
    "cinc2017_resnet": "0.1 sd", "pneumonia_nchw": "0.02 range", "icu_mortality_gru": "0.2 sd",
    "heart_pipeline_columns": "0.2 sd",
}  # fmt: skip
DATA = {"cinc2017_resnet": "cinc2017", "pneumonia_nchw": "pneumonia", "icu_mortality_gru": "icu_mortality"}
SIZES = {"ecg": "0.1 sd", "cxr": "0.02 range", "ehr-timeseries": "0.2 sd", "ehr-tabular": "0.2 sd"}
POLICY = """medaudit: 1
policy: {{id: bad-days}}
data: {{use: {{at_most: 60}}}}
threats: {{near: {{access: scores, norm: linf, eps: {eps}}}}}
checks:
  - {{id: trouble, rule: corruptions, require: {{metric: corruption_accuracy, at_least: 60%}}}}
  - {{id: near, rule: square-noise, threat: near, budget: {{queries: 500}},
     require: {{metric: robust_accuracy, at_least: 60%}}}}
"""


def band(value: Value) -> str:
    return f"{value.value:.3f} ({value.low:.3f} to {value.high:.3f})"


def one(name: str, model: Path, data: Path, eps: str, folder: Path, curves: bool) -> bool:
    """Scan and print; whether it went as it should."""
    began, policy = time.monotonic(), folder / f"{name}.yaml"
    policy.write_text(POLICY.format(eps=eps))
    report, run = scan(Options(model, str(policy), data, folder / name))
    publish(report, run)
    trouble, near = report.checks
    good = trouble.verdict in ("pass", "fail", "inconclusive") and bool(trouble.degradation) and bool(trouble.gaps)
    good = good and trouble.queries.rows > 0 and near.queries.rows > 0
    mean = [np.mean([c.score[s] for c in trouble.degradation]) for s in range(SEVERITIES + 1)]
    worst = min(trouble.degradation, key=lambda c: np.mean(c.score[1:]))
    print(f"{name}: {len(trouble.degradation)} kinds, {trouble.queries.rows:,} rows, "
          f"{time.monotonic() - began:.0f} s{'' if good else '  FAULT: ' + trouble.reason}")  # fmt: skip
    print(f"  score, clean and at severities 1 to 5: {' '.join(f'{v:.2f}' for v in mean)}; over all "
          f"{band(trouble.metrics['corruption_accuracy'])}")  # fmt: skip
    print(f"  most is lost to {worst.kind}: {' '.join(f'{v:.2f}' for v in worst.score)}, at the last "
          f"{worst.low[-1]:.2f} to {worst.high[-1]:.2f}")  # fmt: skip
    for gap in trouble.gaps:
        print(f"  on the attacked records: average case {band(gap.average)}, worst case found {band(gap.worst)}, "
              f"gap {gap.average.value - gap.worst.value:+.2f}", flush=True)  # fmt: skip
    for curve in trouble.degradation if curves else ():
        levels = ", ".join(f"{v:g}" for v in curve.levels)
        print(f"    {curve.kind} ({levels} {curve.unit}): {' '.join(f'{v:.2f}' for v in curve.score)}, at the last "
              f"{curve.low[-1]:.2f} to {curve.high[-1]:.2f}")  # fmt: skip
    return good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=Path, help="a folder with models/ and data/")
    parser.add_argument("--curves", action="store_true", help="every kind's curve")
    args, good = parser.parse_args(), True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for own in OWN:
            home = EXAMPLES / own
            good &= one(own, home / "model.onnx", home / "data.npz", SIZES[own], folder, args.curves)
        for model, eps in REAL.items() if args.real else ():
            data = args.real / "data" / f"{DATA.get(model, model)}.npz"
            good &= one(model, args.real / "models" / f"{model}.onnx", data, eps, folder, args.curves)
    sys.exit(not good)


if __name__ == "__main__":
    main()
