"""Every shape of model scans end to end from the policy that `policy init` writes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from medaudit.audit.results import Report
from medaudit.audit.scan import Options, scan
from medaudit.audit.starter import starter_policy
from tests.zoo import SPECIMENS

# What a scan must say of the specimens that are built to be at fault.
FAULTY = {
    "batch-coupled": {"row-purity": "fail"},
    "random-output": {"same-answer-twice": "fail"},
    "constant": {"clean-performance": "fail"},
}


def scanned(name: str, folder: Path) -> Report:
    """A short scan of one specimen."""
    built = SPECIMENS[name].build(folder)
    text = starter_policy(built.model, built.data, "", "quick")
    text = re.sub(r"queries: \d+", "queries: 40", text)
    policy = folder / "policy.yaml"
    policy.write_text(text)
    report, _ = scan(Options(built.model, str(policy), built.data, out=folder / "run", workers=1, limit=6))
    return report


@pytest.mark.parametrize("name", sorted(SPECIMENS))
def test_every_shape_scans(name: str, tmp_path: Path) -> None:
    report = scanned(name, tmp_path)
    verdicts = {c.id: c.verdict for c in report.checks}
    expected = FAULTY.get(name, {})
    assert "error" not in verdicts.values(), {c.id: c.reason for c in report.checks if c.verdict == "error"}
    for check, verdict in expected.items():
        assert verdicts[check] == verdict
    if name not in FAULTY and name != "nan-answer":
        for check in ("same-answer-twice", "row-purity", "patients-apart", "finite-answers"):
            assert verdicts[check] == "pass", (check, verdicts[check])
    attacks = [c for c in report.checks if c.family == "EV" and c.verdict != "not-run"]
    assert attacks or name == "constant"
    for check in attacks:
        assert check.cases
        assert all(case.rows <= 40 for case in check.cases)
        if check.matrix:
            assert sum(cell.broken for cell in check.matrix) == sum(turn.broken for turn in check.turns)
            assert all(cell.low <= cell.broken / cell.attacked <= cell.high for cell in check.matrix)
        assert check.matrix or name not in ("single-logit", "svc-binary-reversed", "label-only-string", "zipmap-int")


EVERY_TARGET = """medaudit: 1
policy: {id: matrix, domain: table}
threats:
  far: {access: scores, norm: l2, eps: 3 sd}
checks:
  - {id: aimed, rule: sign-noise, threat: far, goal: {what: every-target}, budget: {queries: 200},
     require: {metric: robust_accuracy, at_least: 50%}}
"""


def test_the_matrix_of_every_target(tmp_path: Path) -> None:
    """One matrix for all targets, on the first of their checks: a column for each."""
    built = SPECIMENS["probabilities-softmax"].build(tmp_path)
    policy = tmp_path / "policy.yaml"
    policy.write_text(EVERY_TARGET)
    report, _ = scan(Options(built.model, str(policy), built.data, out=tmp_path / "run", workers=1, limit=12))
    first, *others = report.checks
    assert len(others) == 2
    assert not any(check.matrix for check in others)
    won = {check.threat.goal: [case for case in check.cases if case.success] for check in report.checks}
    assert sum(map(len, won.values()))
    for cell in first.matrix:
        assert cell.before != cell.target
        assert cell.broken == sum(case.before == cell.before for case in won[f"target {cell.target}"])
        assert cell.low <= cell.broken / cell.attacked <= cell.high
