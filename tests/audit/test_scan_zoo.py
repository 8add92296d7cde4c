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
