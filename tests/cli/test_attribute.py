"""`medaudit attribute`: one explanation on the console, and drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from medaudit.audit.attribute import attribute, importance
from medaudit.cli.main import app
from medaudit.core.errors import MedauditError
from medaudit.policy.schema import ExplainerSection
from tests.graphs import linear

WEIGHTS = np.array([[0.0, 3.0], [0.0, -1.0], [0.0, 0.0]], dtype=np.float32)
X = np.random.default_rng(2).normal(size=(40, 3)).astype(np.float32)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A linear model of three columns, and its data."""
    linear(tmp_path / "m.onnx", WEIGHTS)
    truth = (X @ WEIGHTS).argmax(axis=1)
    np.savez(tmp_path / "d.npz", x=X, y=truth, classes=np.array(["well", "ill"]), names=["hr", "age", "noise"])
    return tmp_path / "m.onnx", tmp_path / "d.npz"


@pytest.mark.parametrize("kind", ["occlusion", "shapley", "kernel-shap"])
def test_a_linear_model_is_explained_exactly(files: tuple[Path, Path], kind: str) -> None:
    """w (x - mean of the reference rows), for the answer that is given; what counts for nothing has 0."""
    row = int(np.flatnonzero((X @ WEIGHTS).argmax(axis=1) == 1)[0])
    rows = {"occlusion": 3 * 40, "shapley": 1 + 40 * 5, "kernel-shap": 0}[kind]
    found = attribute(*files, row, ExplainerSection(kind=kind, rows=rows), "", None)
    lent = X[np.linspace(0, 39, 40).astype(int)]
    mean = lent[np.linspace(0, 39, 10).astype(int)].mean(axis=0) if kind == "kernel-shap" else lent.mean(axis=0)
    assert found.names == ["hr", "age", "noise"]
    assert found.values == pytest.approx(((X[row] - mean) * WEIGHTS[:, 1]).tolist(), abs=2e-5)
    assert found.answer == "ill"
    assert found.explained == pytest.approx(float((X[row] @ WEIGHTS)[1] - (X[row] @ WEIGHTS)[0]), abs=1e-5)
    assert (found.errors is not None) == (kind == "shapley")
    assert found.agreement == pytest.approx(1.0, abs=1e-6)


def test_the_console_and_the_drawing(files: tuple[Path, Path], tmp_path: Path) -> None:
    """The strongest first, with its sign; the drawing names the columns."""
    model, data = map(str, files)
    done = CliRunner().invoke(app, ["attribute", model, "-d", data, "-i", "0", "--out", str(tmp_path / "a.svg")])
    assert done.exit_code == 0, done.output
    assert "occlusion, 3 cells, 49 model rows" in done.output
    lines = [line for line in done.output.splitlines() if line.startswith(("hr", "age", "noise"))]
    assert len(lines) == 3
    assert lines[-1].startswith("noise")
    assert "hr" in (tmp_path / "a.svg").read_text()
    assert (tmp_path / "a.svg").read_text().startswith("<svg")


def test_what_counts_over_all_records(files: tuple[Path, Path], tmp_path: Path) -> None:
    """A linear model: the weight's size decides; what is not used loses nothing, and turns no answer."""
    found = importance(*files, 0, ExplainerSection(), "", tmp_path / "maps.npz")
    assert found.names == ["hr", "age", "noise"]
    hr, age, noise = found.lost
    assert hr.low > age.high > 0
    assert (noise.value, noise.low, noise.high) == (0, 0, 0)
    assert hr.n == 40
    assert found.turned[0] > found.turned[1] > found.turned[2] == 0
    few = importance(*files, 12, ExplainerSection(), "", None)  # three records of four rows each
    assert (few.records, few.rows) == (3, 3 * 5)
    model, data = map(str, files)
    done = CliRunner().invoke(app, ["attribute", model, "-d", data, "--out", str(tmp_path / "all.svg")])
    assert done.exit_code == 0, done.output
    assert "40 records, each cell exchanged between them" in done.output
    drawing = (tmp_path / "all.svg").read_text()
    assert drawing.startswith("<svg")
    assert "All records" in drawing


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--kind", "shapley"), "explains one row"),
        (("-i", "40"), "has no row 40"),
        (("-i", "0", "--kind", "gradients"), "kinds: occlusion"),
        (("-i", "0", "--out", "a.png"), "drawings are .svg files"),
        (("-i", "0", "--explainer", "mine"), "there is no explainer 'mine'"),
    ],
)
def test_mistakes_are_told_in_a_sentence(files: tuple[Path, Path], words: tuple[str, ...], says: str) -> None:
    """With the remedy, and nothing written."""
    with pytest.raises(MedauditError, match=says):
        CliRunner().invoke(app, ["attribute", str(files[0]), "-d", str(files[1]), *words], catch_exceptions=False)
