"""`medaudit attribute`: one explanation on the console, and drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper
from typer.testing import CliRunner

from medaudit.audit.attribute import attribute, importance
from medaudit.cli.main import app
from medaudit.core.errors import MedauditError
from medaudit.policy.schema import ExplainerSection
from tests.graphs import graph, linear

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
    if kind == "shapley":
        assert found.agreement == pytest.approx(1.0, abs=1e-6)
    else:  # nothing is drawn: there is no other plan to agree with
        assert found.agreement is None
    assert (found.of, found.unit) == ("ill", "log-odds")


def sigmoid(path: Path, weights: np.ndarray, **more: object) -> None:
    """One probability; with `more` of the graph's nodes in the place of the sigmoid."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["z"]),
        helper.make_node(str(more.get("last", "Sigmoid")), ["z"], ["y"]),
    ]
    graph(path, nodes, len(weights), ["n", 1], w=weights.astype(np.float32))


def test_one_output_and_two_say_the_same(files: tuple[Path, Path], tmp_path: Path) -> None:
    """For the answer that was given, whichever it is; and over all records."""
    one = tmp_path / "one.onnx"
    sigmoid(one, WEIGHTS[:, 1:])
    soft = tmp_path / "two.onnx"
    nodes = [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Softmax", ["z"], ["y"])]
    graph(soft, nodes, 3, ["n", 2], w=WEIGHTS)
    well = int(np.flatnonzero(X @ WEIGHTS[:, 1] < 0)[0])
    for row in (well, int(np.flatnonzero(X @ WEIGHTS[:, 1] > 0)[0])):
        both = [attribute(model, files[1], row, ExplainerSection(), "", None) for model in (one, soft)]
        assert both[0].values == pytest.approx(both[1].values, abs=1e-4)
        assert [found.of for found in both] == [found.answer for found in both]
        assert both[0].explained > 0
    lost = [
        [e.value for e in importance(model, files[1], 0, ExplainerSection(), "", None).lost] for model in (one, soft)
    ]
    assert lost[0] == pytest.approx(lost[1], abs=1e-4)
    assert lost[0][0] > 1


def test_what_counts_for_a_value_is_how_far_it_goes(tmp_path: Path) -> None:
    """A linear regression: |w| times the mean distance of two records."""
    sigmoid(tmp_path / "m.onnx", WEIGHTS[:, 1:], last="Identity")
    np.savez(tmp_path / "d.npz", x=X, y=X @ WEIGHTS[:, 1], names=["hr", "age", "noise"], units=["bpm", "a", ""])
    head = "medaudit: 1\npolicy: {id: value}\nmodel: {output: {task: regression}}\n"
    (tmp_path / "p.yaml").write_text(f"{head}checks: [{{id: numbers, rule: finite-answers}}]\n")
    found = importance(tmp_path / "m.onnx", tmp_path / "d.npz", 0, ExplainerSection(), str(tmp_path / "p.yaml"), None)
    apart = np.abs(X[:, None] - X[None]).sum(axis=(0, 1)) / (40 * 39)
    assert found.unit == "value"
    assert [e.value for e in found.lost] == pytest.approx((np.abs(WEIGHTS[:, 1]) * apart).tolist(), rel=0.1)


def test_an_answer_that_is_no_number_is_not_explained(tmp_path: Path) -> None:
    """Neither of the record, nor of the rows that explain it."""
    sigmoid(tmp_path / "m.onnx", WEIGHTS[:, 1:], last="Log")
    np.savez(tmp_path / "d.npz", x=X, y=(X @ WEIGHTS[:, 1] > 0).astype(int), names=["hr", "age", "noise"])
    bad = int(np.flatnonzero(X @ WEIGHTS[:, 1] < 0)[0])
    with pytest.raises(MedauditError, match="what is no number"):
        attribute(tmp_path / "m.onnx", tmp_path / "d.npz", bad, ExplainerSection(), "", None)
    with pytest.raises(MedauditError, match="some of the rows that explain"):
        attribute(
            tmp_path / "m.onnx", tmp_path / "d.npz", int((X @ WEIGHTS[:, 1]).argmax()), ExplainerSection(), "", None
        )


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
        (("-i", "0", "--explainer", "mine", "--kind", "lime"), "says the kind and its rows"),
        (("-i", "0", "--kind", "rise", "--rows", "1"), "1 rows are too few for 3 cells: give 5 or more"),
    ],
)
def test_mistakes_are_told_in_a_sentence(files: tuple[Path, Path], words: tuple[str, ...], says: str) -> None:
    """With the remedy, and nothing written."""
    with pytest.raises(MedauditError, match=says):
        CliRunner().invoke(app, ["attribute", str(files[0]), "-d", str(files[1]), *words], catch_exceptions=False)
