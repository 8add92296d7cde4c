"""Certificate checks from a policy to the report: linear models with known distances, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs import linear

from medaudit.audit.scan import Options, scan
from medaudit.core.errors import PolicyErrors
from medaudit.report.bundle import publish

WIDTH, ROWS = 3, 20
POLICY = """medaudit: 1
policy: {id: proof, domain: table}
threats: {near: {access: labels, norm: l2, eps: EPS}}
checks:
  - id: proof
    rule: randomised-smoothing
    threat: near
    with: {sigma: 1, draws: 300, guess: 20}
    require: {metric: certified_accuracy, at_least: 30%}
"""


def setting(folder: Path, policy: str = POLICY, **options: Any) -> Options:
    """A linear model; record i lies i / 4 beyond its border, every fourth on the wrong side of its label."""
    folder.mkdir(exist_ok=True)
    weights = np.array([[0, 0.6], [0, 0.8], [0, 0]], dtype=np.float32)
    linear(folder / "m.onnx", weights)
    far = np.arange(ROWS) / 4 * np.where(np.arange(ROWS) % 4 == 3, -1, 1)
    x = far[:, None] * np.array([[0.6, 0.8, 0.0]])
    y = np.ones(ROWS, dtype=np.int64)
    y[:2] = 0, 0  # one label alone is no classification
    np.savez(folder / "d.npz", x=x.astype(np.float32), y=y, classes=np.array(["a", "b"]))
    (folder / "p.yaml").write_text(policy.replace("EPS", "1"))
    given: dict[str, Any] = {"workers": 1, "seed": 3, **options}
    return Options(folder / "m.onnx", str(folder / "p.yaml"), folder / "d.npz", folder / "run", **given)


def test_known_distances(tmp_path: Path) -> None:
    """No record is certified farther than it lies from the border; those far away are, unless the answer is wrong."""
    report, run = scan(setting(tmp_path))
    publish(report, run)
    (check,) = report.checks
    assert check.queries.rows == 320 * ROWS == report.cost.rows
    assert check.certificate is not None
    for i, case in enumerate(check.cases):
        reach = case.distance.get("l2", 0.0)
        assert reach <= i / 4 + 1e-6 or i == 0
        if i / 4 > 2:
            assert reach > 1
    right = [i for i, case in enumerate(check.cases) if i % 4 != 3 and i > 1 and case.distance.get("l2", 0.0) >= 1]
    value = check.metrics["certified_accuracy"]
    assert value.value == pytest.approx(len(right) / ROWS)
    assert value.low is not None
    assert value.low < value.value
    at = check.certificate
    assert at.share[0] >= at.share[20] >= at.share[-1]
    assert at.largest == pytest.approx(at.radius[-1])
    assert at.abstained == sum(case.note.endswith("abstains") for case in check.cases)
    page = (run / "report.html").read_text()
    assert "The certificate is of the smoothed model" in page
    assert page.count("<td>certified</td>") == len([c for c in check.cases if c.distance])


def test_same_for_any_number_of_workers_and_lanes(tmp_path: Path) -> None:
    results = []
    for k, more in enumerate(({}, {"workers": 2}, {"room": 1}, {"shuffle": 5})):
        report, _ = scan(setting(tmp_path / f"{k}", **more))
        results.append(report.run.result_sha256)
    assert len(set(results)) == 1


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("EPS", "4 sd", "300 draws of noise of 1 certify at most 1.9998 sd"),
        ("norm: l2", "norm: linf", "works in l2"),
        ("guess: 20", "guess: 20, alpha: 0.7", "alpha is 0.7"),
        ("    with", "    goal: {what: target, name: a}\n    with", "any other answer"),
    ],
)
def test_what_cannot_be_certified_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(PolicyErrors, match=words):
        scan(setting(tmp_path, POLICY.replace(old, new)))
    assert not (tmp_path / "run").exists()
