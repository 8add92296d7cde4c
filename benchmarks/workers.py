"""Two workers against one: rows per second of whole scans, alternating, everything in one run.

The clock runs from the first sign of life of a worker's attacks to the last case; the model is the
9,000-sample ECG network of `models.py` on noise. Two bare processes without medaudit are timed in the
same way: what this machine gives at all. Usage: python -m benchmarks.workers [--samples 48]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np

from benchmarks.models import MODELS
from medaudit.audit.scan import Options, scan

POLICY = """medaudit: 1
policy: {id: bench, version: 1.0.0, title: Two workers against one, domain: signal}
data:
  use: {only_correct: false}
threats:
  noise: {access: scores, norm: linf, eps: 0.00001 sd, rationale: none}
checks:
  - id: square
    rule: square-noise
    threat: noise
    budget: {queries: 400}
    require: {metric: robust_accuracy, at_least: 1%}
"""
BARE = """
import os, sys, time
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import numpy as np, onnxruntime as ort
o = ort.SessionOptions(); o.intra_op_num_threads = 1
s = ort.InferenceSession(sys.argv[1], o, providers=["CPUExecutionProvider"])
x = np.random.default_rng(0).standard_normal((4, 9000, 1)).astype(np.float32)
for _ in range(20): s.run(None, {"x": x})
until, n = time.time() + float(sys.argv[2]), 0
while time.time() < until: s.run(None, {"x": x}); n += 4
print(n / float(sys.argv[2]))
"""


class Clock:
    def __init__(self) -> None:
        self.first = self.last = self.start_rows = self.rows = 0.0

    def __call__(self, event: str, facts: dict[str, Any]) -> None:
        now = time.perf_counter()
        if event == "stats":
            if not self.first:
                self.first, self.start_rows = now, facts["rows"]
            self.last, self.rows = now, facts["rows"]

    @property
    def rate(self) -> float:
        return (self.rows - self.start_rows) / (self.last - self.first)


def bare(path: Path, processes: int) -> float:
    """Rows per second of so many bare loops side by side."""
    command = [sys.executable, "-c", BARE, str(path), "8"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    return sum(float(one.communicate()[0]) for one in running)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=48)
    samples = parser.parse_args().samples
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, data, policy = folder / "model.onnx", folder / "data.npz", folder / "policy.yaml"
        row = MODELS["ecg-cnn-9000"](model)
        rng = np.random.default_rng(0)
        np.savez(data, x=rng.standard_normal((samples, *row)).astype(np.float32), y=rng.integers(0, 4, samples))
        policy.write_text(POLICY)
        ratios, limits = [], []
        for turn in range(3):
            rates, floors = {}, {}
            for workers in (1, 2):
                clock = Clock()
                scan(Options(model, str(policy), data, out=folder / f"{turn}-{workers}", workers=workers), clock)
                rates[workers], floors[workers] = clock.rate, bare(model, workers)
            ratios.append(rates[2] / rates[1])
            limits.append(floors[2] / floors[1])
            print(f"two workers {ratios[-1]:.2f} times one; two bare processes {limits[-1]:.2f} times one", flush=True)
        print(f"median {np.median(ratios):.2f} (bare {np.median(limits):.2f}); wanted 1.7")


if __name__ == "__main__":
    main()
