"""Security curves: a linear model stands up to each distance, and nothing recovers at a larger size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs import linear

from medaudit.audit import verdicts
from medaudit.audit.resolve import Resolved
from medaudit.audit.scan import Options, scan
from medaudit.audit.spec import CheckSpec
from medaudit.core.errors import PolicyErrors
from medaudit.data import Dataset
from medaudit.domain.quantity import Quantity
from medaudit.domain.threat import Threat
from medaudit.oracle.goal import Goal
from medaudit.policy.schema import CheckSection
from medaudit.report.bundle import publish
from medaudit.rule import RULES

WIDTH, ROWS = 6, 20
POLICY = """medaudit: 1
policy: {id: curve, domain: table}
data: {use: {only_correct: ONLY}}
threats: {near: {access: scores, norm: linf, eps: 0.5}}
checks:
  - {id: near, rule: square-noise, threat: near, curve: [0.25, 0.5, 1, 2.5], budget: {queries: 100},
     require: {metric: robust_accuracy, at_least: 50%}}
"""


def setting(folder: Path, policy: str = POLICY, only: str = "true", **options: Any) -> Options:
    """Record i lies 0.05 + i / 10 from the border in Linf; the last two are labelled otherwise."""
    folder.mkdir(exist_ok=True)
    weights = np.stack([-np.ones(WIDTH), np.ones(WIDTH)], axis=1).astype(np.float32) / WIDTH
    linear(folder / "m.onnx", weights)
    side = np.where(np.arange(ROWS) % 2 == 1, 1, -1)
    x = (side * (0.05 + np.arange(ROWS) / 10))[:, None] * np.ones((1, WIDTH))
    y = (side > 0).astype(int)
    y[-2:] = 1 - y[-2:]
    np.savez(folder / "d.npz", x=x.astype(np.float32), y=y, classes=np.array(["a", "b"]))
    (folder / "p.yaml").write_text(policy.replace("ONLY", only))
    given: dict[str, Any] = {"workers": 1, "seed": 3, **options}
    return Options(folder / "m.onnx", str(folder / "p.yaml"), folder / "d.npz", folder / "run", **given)


def test_a_linear_model_stands_up_to_each_distance(tmp_path: Path) -> None:
    report, run = scan(setting(tmp_path))
    publish(report, run)
    (check,) = report.checks
    assert check.security is not None
    far = 0.05 + np.arange(ROWS - 2) / 10
    assert check.security.eps == [0, 0.25, 0.5, 1, 2.5]
    assert check.security.stands == [1, *(float(np.mean(far >= eps)) for eps in (0.25, 0.5, 1)), 0]
    assert check.security.n == ROWS - 2
    assert check.metrics["robust_accuracy"].value == check.security.stands[2]
    assert check.queries.sizes > 0
    assert report.cost.rows == sum(getattr(check.queries, k) for k in ("rows", "control", "planted", "sizes"))
    assert "Patients standing at each size" in (run / "report.html").read_text()


def test_all_records_start_from_clean_accuracy(tmp_path: Path) -> None:
    (check,) = scan(setting(tmp_path, only="false"))[0].checks
    assert check.security is not None
    assert check.security.stands[0] == pytest.approx(0.9)
    assert check.security.n == ROWS
    assert check.security.stands == sorted(check.security.stands, reverse=True)


def test_same_for_any_number_of_workers_and_lanes(tmp_path: Path) -> None:
    each = ({}, {"workers": 2}, {"room": 1}, {"shuffle": 5})
    results = {scan(setting(tmp_path / f"{k}", **more))[0].run.result_sha256 for k, more in enumerate(each)}
    assert len(results) == 1


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[0.25, 0.5, 1, 2.5]", "[0, 1]", "curve"),
        ("norm: linf, eps: 0.5", "norm: l0, eps: 2", "numbers of features"),
        ("rule: square-noise", "rule: universal-noise", "no curve"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    rule = ("square-noise", "few-features" if "l0" in new else "square-noise")
    with pytest.raises(PolicyErrors, match=words):
        scan(setting(tmp_path, POLICY.replace(old, new).replace(*rule)))


def test_what_is_lost_does_not_stand_for_sure() -> None:
    """Patients on whom the model failed at a size could be either: the bound from below counts them as broken."""
    base = {"rows": 10, "success": False}
    hit, gone = base | {"success": True}, base | {"rows": 0, "fault": "no answer"}
    sizes = [(1.0, {i: dict(base) for i in range(10)}), (2.0, {i: (hit, gone, base)[min(i, 2)] for i in range(10)})]
    names = tuple(map(str, range(10)))
    data = Dataset("", "", {}, None, names, names)
    own = check("near")
    curve = verdicts.security(own, data, sizes, np.ones(10, dtype=bool), 0.95)
    assert curve is not None
    assert curve.stands == [1, 1, 0.9]
    assert curve.low[2] == pytest.approx(verdicts.bounds.share(8, 10, 0.95).low)
    assert curve.high[2] == pytest.approx(verdicts.bounds.share(9, 10, 0.95).high)
    assert verdicts.security(own, data, [(1.0, {}), (2.0, {})], np.ones(10, dtype=bool), 0.95) is None


def check(name: str) -> Resolved:
    """A resolved check in Linf, of which only its threat is read."""
    spec = CheckSpec(name, "square-noise", Threat("scores", "linf", Quantity(2.0)), Goal(), 10, None)
    return Resolved(CheckSection(id=name, rule="square-noise"), RULES["square-noise"], spec)
