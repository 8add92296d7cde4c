"""What cannot be scanned: one sentence, exit 2, no traceback, nothing half-written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.zoo import BROKEN, SPECIMENS


def medaudit(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "medaudit.cli.main", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def refused(answer: subprocess.CompletedProcess[str], folder: Path) -> None:
    assert answer.returncode == 2, answer.stderr
    assert "Traceback" not in answer.stderr
    assert answer.stderr.startswith("medaudit: ")
    assert answer.stdout == ""
    assert not (folder / "run").exists()
    assert not (folder / "reports").exists()


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_broken_models_are_refused(name: str, tmp_path: Path) -> None:
    good = SPECIMENS["dynamic-logits-table"].build(tmp_path / "good") if (tmp_path / "good").mkdir() is None else None
    assert good is not None
    place = tmp_path / "broken"
    place.mkdir()
    model = BROKEN[name](place)
    answer = medaudit(
        "scan",
        str(model),
        "--policy",
        "ehr-tabular.yaml",
        "--data",
        str(good.data),
        "--out",
        "run",
        cwd=tmp_path,
    )
    refused(answer, tmp_path)
    assert len(answer.stderr.strip().splitlines()) == 1, answer.stderr
    assert "ONNXRuntimeError" not in answer.stderr


BAD_DATA = {
    "absent": None,
    "not-npz": b"hello",
    "truncated": b"PK\x03\x04 and then nothing",
}


@pytest.mark.parametrize("name", sorted(BAD_DATA))
def test_wrong_data_is_refused(name: str, tmp_path: Path) -> None:
    built = SPECIMENS["dynamic-logits-table"].build(tmp_path)
    data = tmp_path / "bad.npz"
    content = BAD_DATA[name]
    if content is not None:
        data.write_bytes(content)
    answer = medaudit(
        "scan",
        str(built.model),
        "--policy",
        "ehr-tabular.yaml",
        "--data",
        str(data),
        "--out",
        "run",
        cwd=tmp_path,
    )
    refused(answer, tmp_path)
    assert len(answer.stderr.strip().splitlines()) == 1


def test_wrong_policies_are_refused(tmp_path: Path) -> None:
    built = SPECIMENS["dynamic-logits-table"].build(tmp_path)
    bad = tmp_path / "bad.yaml"
    bad.write_text(
        "medaudit: 1\npolicy: {id: x}\nchecks:\n  - {id: a, rule: square-nose, threat: t}\n"
        "threats: {t: {access: scores, norm: linf, eps: 0.1 sd}}\n"
    )
    answer = medaudit(
        "scan",
        str(built.model),
        "--policy",
        "bad.yaml",
        "--data",
        str(built.data),
        "--out",
        "run",
        cwd=tmp_path,
    )
    refused(answer, tmp_path)
    assert "bad.yaml:4:" in answer.stderr
    assert "square-noise" in answer.stderr
    answer = medaudit(
        "scan",
        str(built.model),
        "--policy",
        "ehr-tabuler.yaml",
        "--data",
        str(built.data),
        cwd=tmp_path,
    )
    refused(answer, tmp_path)
    assert "ehr-tabular.yaml" in answer.stderr


def test_units_without_a_scale_are_refused(tmp_path: Path) -> None:
    built = SPECIMENS["dynamic-logits-table"].build(tmp_path)
    bad = tmp_path / "units.yaml"
    bad.write_text(
        "medaudit: 1\npolicy: {id: x}\nthreats: {t: {access: scores, norm: linf, eps: 0.05 mV}}\n"
        "checks:\n  - {id: a, rule: square-noise, threat: t, "
        "require: {metric: robust_accuracy, at_least: 50%}}\n"
    )
    answer = medaudit(
        "scan",
        str(built.model),
        "--policy",
        "units.yaml",
        "--data",
        str(built.data),
        "--out",
        "run",
        cwd=tmp_path,
    )
    assert answer.returncode == 2
    assert "0.05 mV" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_each_wrong_constraint_is_named_where_it_stands(tmp_path: Path) -> None:
    """Every one that does not fit the model, at its own line; those that do are not."""
    built = SPECIMENS["dynamic-logits-table"].build(tmp_path)
    bad = tmp_path / "bad.yaml"
    bad.write_text(
        "medaudit: 1\npolicy: {id: x}\nmodel:\n  constraints:\n    relations:\n      - age <= 120\n"
        "      - agee <= 120\n      - nobody < age\n    one_hot:\n      - [age, nobody else]\n"
        "checks:\n  - {id: a, rule: square-noise, threat: t, require: {metric: robust_accuracy, at_least: 50%}}\n"
        "threats: {t: {access: scores, norm: linf, eps: 0.1 sd}}\n"
    )
    words = ("--policy", "bad.yaml", "--data", str(built.data), "--out", "run")
    answer = medaudit("scan", str(built.model), *words, cwd=tmp_path)
    refused(answer, tmp_path)
    for line, name in ((7, "agee"), (8, "nobody"), (10, "nobody else")):
        assert any(f"bad.yaml:{line}:" in said and name in said for said in answer.stderr.splitlines()), line
    assert "bad.yaml:6:" not in answer.stderr
