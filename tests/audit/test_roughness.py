"""Roughness as the size of a threat: claims are measured in it when they are checked again, and when replayed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from graphs import linear

from medaudit.audit.replay import evidence_of, replay
from medaudit.audit.scan import Options, scan
from medaudit.report.bundle import publish

WIDTH, ROWS, HEIGHT = 200, 12, 3.0
POLICY = """medaudit: 1
policy: {id: rough, domain: signal}
threats: {drift: {access: scores, norm: NORM, eps: 12 sd}}
model: {inputs: {x: {channels: [{name: lead, sd: 1}]}}}
checks:
  - {id: drift, rule: boundary-descent, threat: drift, goal: {stop: budget}, budget: {queries: 400},
     require: {metric: robust_accuracy, at_least: 50%}}
"""


@pytest.mark.parametrize("norm", ["roughness", "roughness-l2"])
def test_a_claim_is_as_rough_as_its_record_says(tmp_path: Path, norm: str) -> None:
    """A slow wave turns the answer: smooth, but far longer than eps would be as a length."""
    wave = np.cos(2 * np.pi * (np.arange(WIDTH) + 0.5) / WIDTH)
    linear(tmp_path / "m.onnx", np.stack([-wave, wave], axis=1).astype(np.float32) / WIDTH)
    side = np.where(np.arange(ROWS) % 2 == 1, 1.0, -1.0)
    x = (side[:, None] * HEIGHT * wave).astype(np.float32)
    np.savez(tmp_path / "d.npz", x=x, y=(side > 0).astype(int), classes=np.array(["a", "b"]))
    (tmp_path / "p.yaml").write_text(POLICY.replace("NORM", norm))
    run = tmp_path / "run"
    report, _ = scan(Options(tmp_path / "m.onnx", str(tmp_path / "p.yaml"), tmp_path / "d.npz", run, workers=1, seed=3))
    publish(report, run)
    (check,) = report.checks
    assert check.metrics["attack_success"].value == 1
    for case in check.cases:
        assert case.evidence is not None
        delta = evidence_of(run / case.evidence)[0].astype(np.float64).ravel()
        rough = 1e4 * np.diff(delta).var() + (0.01 * (delta**2).sum() if norm == "roughness-l2" else 0.0)
        assert case.distance[norm] == pytest.approx(np.sqrt(rough), rel=1e-4)
        assert np.linalg.norm(delta) > 12 > rough**0.5
        assert replay(run, case.id, None, None, None)["reproduced"]
