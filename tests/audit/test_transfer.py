"""What carries over between models: all of it to a copy, nothing to a model that looks elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from kit import linear_onnx
from typer.testing import CliRunner

from medaudit.audit.scan import Options, scan
from medaudit.audit.transfer import transfer
from medaudit.cli.main import app
from medaudit.core.errors import RunError
from medaudit.report.bundle import publish

COLUMNS, ROWS = 12, 16
POLICY = """medaudit: 1
policy: {id: carried, domain: table}
threats: {small: {access: scores, norm: linf, eps: 1.5}}
checks:
  - {id: noise, rule: square-noise, threat: small, require: {metric: robust_accuracy, at_least: 50%}}
defaults: {budget: {queries: 60}}
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, one that looks at the same six columns, and one that looks at the six others."""
    folder = tmp_path_factory.mktemp("transfer")
    rng = np.random.default_rng(0)
    half = np.arange(COLUMNS) < 6
    slope = np.where(half, 1.0, 0.0)
    x = rng.normal(0, 0.2, (ROWS, COLUMNS)) + 0.5  # every model answers class a
    y = np.zeros(ROWS, dtype=np.int64)
    limits = {"lo": np.full(COLUMNS, -99.0), "hi": np.full(COLUMNS, 99.0)}
    np.savez(folder / "data.npz", x=x.astype(np.float32), y=y, classes=np.array(["a", "b"]), **limits)
    (folder / "policy.yaml").write_text(POLICY)
    for name, weights in (("one", slope), ("like", slope * 3), ("other", 1 - slope)):
        path = linear_onnx(folder / f"{name}.onnx", weights)
        publish(*scan(Options(path, str(folder / "policy.yaml"), folder / "data.npz", folder / name, workers=1)))
    return folder


def test_the_matrix(runs: Path) -> None:
    """Every pair; a run's own inputs all turn its own model and its likeness."""
    cells = {(c.made_on, c.asked_of): c for c in transfer([runs / name for name in ("one", "like", "other")])}
    assert len(cells) == 9
    for pair, cell in cells.items():
        assert cell.inputs == cell.share.n == ROWS, pair
        assert cell.share.low <= cell.share.value <= cell.share.high
    assert cells["one", "one"].share.value == cells["like", "like"].share.value == 1
    assert cells["one", "like"].share.value == cells["like", "one"].share.value == 1
    assert cells["one", "other"].share.value < 0.8
    assert cells["other", "other"].share.value == 1


def test_the_command(runs: Path, tmp_path: Path) -> None:
    """A table for people, a file for machines; a check can be named."""
    made = CliRunner().invoke(
        app, ["transfer", str(runs / "one"), str(runs / "like"), "--check", "noise", "-o", str(tmp_path / "m.json")]
    )
    assert made.exit_code == 0, made.output
    assert "100.0%" in made.output
    rows = json.loads((tmp_path / "m.json").read_text())["transfer"]
    assert [(r["made_on"], r["asked_of"], r["turned"]["value"]) for r in rows[:2]] == [
        ("one", "one", 1.0), ("like", "one", 1.0),
    ]  # fmt: skip


def test_what_cannot_be_compared(runs: Path, tmp_path: Path) -> None:
    """Another check, other data, no run, another model: each in one sentence."""
    with pytest.raises(RunError, match="no attack 'nothing'; it has: noise"):
        transfer([runs / "one", runs / "like"], "nothing")
    with pytest.raises(RunError, match="no finished run"):
        transfer([runs / "one", tmp_path])
    (tmp_path / "policy.yaml").write_text(POLICY)
    np.savez(tmp_path / "data.npz", x=np.ones((4, 5), dtype=np.float32), y=np.zeros(4, dtype=np.int64))
    path = linear_onnx(tmp_path / "m.onnx", np.ones(5))
    publish(*scan(Options(path, str(tmp_path / "policy.yaml"), tmp_path / "data.npz", tmp_path / "run", workers=1)))
    with pytest.raises(RunError, match="different data files"):
        transfer([runs / "one", tmp_path / "run"])
