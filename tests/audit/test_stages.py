"""Attacks behind stages: adaptive and replayed figures that are known beforehand, denoisers, detectors, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs import graph, linear
from onnx import TensorProto, helper

from medaudit.audit.replay import replay
from medaudit.audit.results import Check, Defence, Report
from medaudit.audit.scan import Options, scan
from medaudit.audit.verify import verify
from medaudit.core.errors import MedauditError, PolicyErrors
from medaudit.report.bundle import publish

WIDTH, ROWS = 8, 24
POLICY = """medaudit: 1
policy: {id: staged, domain: table}
threats: {near: {access: scores, norm: linf, eps: 1}}
stages:
  STAGES
checks:
  - {id: near, rule: square-noise, threat: near, behind: [BEHIND], budget: {queries: 60},
     require: {metric: robust_accuracy, at_least: 50%}}
"""


def setting(folder: Path, stages: str, behind: str, **options: Any) -> Options:
    """A linear model of the mean; half of the rows lie 0.5 from the border, where eps is 1."""
    folder.mkdir(exist_ok=True)
    weights = np.stack([-np.ones(WIDTH), np.ones(WIDTH)], axis=1).astype(np.float32) / WIDTH
    linear(folder / "m.onnx", weights)
    # Denoisers: two more to the side on which a record's mean lies; everything to one point. A detector: the spread.
    two, zero, one = (np.array(v, dtype=np.float32) for v in (2, 0, 1))
    mean = helper.make_node("ReduceMean", ["x"], ["m"], axes=[1], keepdims=1)
    push = [mean, helper.make_node("Sign", ["m"], ["s"]), helper.make_node("Mul", ["s", "two"], ["t"])]
    graph(folder / "push.onnx", [*push, helper.make_node("Add", ["x", "t"], ["y"])], WIDTH, ["n", WIDTH], two=two)
    flat = [helper.make_node("Mul", ["x", "zero"], ["z"]), helper.make_node("Add", ["z", "one"], ["y"])]
    graph(folder / "flat.onnx", flat, WIDTH, ["n", WIDTH], zero=zero, one=one)
    graph(
        folder / "watch.onnx",
        [helper.make_node("ReduceMax", ["x"], ["a"], axes=[1]), helper.make_node("ReduceMin", ["x"], ["b"], axes=[1]),
         helper.make_node("Sub", ["a", "b"], ["y"])],
        WIDTH, ["n", 1],
    )  # fmt: skip
    graph(folder / "narrow.onnx", [helper.make_node("ReduceMean", ["x"], ["y"], axes=[1])], WIDTH, ["n", 1])
    y = np.arange(ROWS) % 2
    x = (
        np.where(y == 1, 1, -1)[:, None]
        * np.where(np.arange(ROWS) < ROWS // 2, 0.5, 3.0)[:, None]
        * np.ones((1, WIDTH))
    )
    np.savez(folder / "d.npz", x=x.astype(np.float32), y=y, classes=np.array(["a", "b"]))
    (folder / "p.yaml").write_text(POLICY.replace("STAGES", stages).replace("BEHIND", behind))
    given: dict[str, Any] = {"workers": 1, "seed": 3, **options}
    return Options(folder / "m.onnx", str(folder / "p.yaml"), folder / "d.npz", folder / "run", **given)


def both(report: Report, name: str) -> tuple[Check, Check, Defence]:
    bare, behind = (next(c for c in report.checks if c.id == i) for i in ("near", f"near@{name}"))
    return bare, behind, next(d for d in bare.defences if d.name == name)


def test_three_figures(tmp_path: Path) -> None:
    """A denoiser that pushes records from the border helps against what was made without it, and against nothing else.

    It adds 2 to the side on which a record lies: bare failing inputs lie just beyond the border and stay there.
    """
    report, run = scan(setting(tmp_path, "push: [{denoiser: push.onnx}]", "push"))
    publish(report, run)
    bare, behind, shown = both(report, "push")
    assert shown.bare.value == bare.metrics["robust_accuracy"].value == 0.5
    assert shown.adaptive.value == behind.metrics["robust_accuracy"].value == 0.5
    assert shown.replayed.value == 0.5
    assert (shown.clean_bare, shown.clean) != (None, None)
    assert shown.clean is not None
    assert shown.clean.value == 1
    assert not shown.constant
    assert "behind push" in behind.title
    case = next(c for c in behind.cases if c.success)
    got = replay(run, case.id, None, None, None)
    assert got["reproduced"]
    assert verify(run) == []
    assert "denoiser push.onnx" in (run / "report.html").read_text()


def test_noise_costs_askings(tmp_path: Path) -> None:
    """Behind a vote of five an attack gets as many answers, for five times the rows."""
    report, _ = scan(setting(tmp_path, "noisy: [{noise: 0.2, votes: 5}]", "noisy"))
    _, behind, shown = both(report, "noisy")
    assert shown.askings == 5
    assert behind.queries.budget_per_sample == 300
    assert behind.queries.rows % 5 == 0
    assert shown.adaptive.value == 0.5


def test_a_constant_model_is_flagged(tmp_path: Path) -> None:
    report, _ = scan(setting(tmp_path, "flat: [{denoiser: flat.onnx}]", "flat"))
    _, behind, shown = both(report, "flat")
    assert shown.constant
    assert "constant-behind" in behind.flags
    assert behind.verdict != "pass"
    assert shown.clean is not None
    assert shown.clean.value == pytest.approx(0.5)
    assert shown.adaptive.value == 0.5  # half of the records are of the one class, and nothing turns it


def test_a_detector_refuses(tmp_path: Path) -> None:
    """Clean records are flat and pass; the search's stripes are not, and all that is left are shifts of the whole."""
    stages = "watch: [{detector: watch.onnx, at_least: 0.1}]\n  sure: [{confidence: 60%}]"
    report, _ = scan(setting(tmp_path, stages, "watch, sure"))
    _, behind, shown = both(report, "watch")
    assert shown.refused == 0
    assert shown.replayed.value == shown.adaptive.value == 1.0
    assert "invalid-answers" not in behind.flags
    _, _, sure = both(report, "sure")
    assert sure.refused == 0
    assert sure.replayed.value is not None
    assert sure.replayed.value >= sure.bare.value


def test_same_for_any_number_of_workers_and_lanes(tmp_path: Path) -> None:
    stages, results = "noisy: [{noise: 0.2, votes: 3}]\n  push: [{denoiser: push.onnx}]", []
    for k, more in enumerate(({}, {"workers": 2}, {"room": 1}, {"shuffle": 5})):
        report, _ = scan(setting(tmp_path / f"{k}", stages, "noisy, push", **more))
        results.append(report.run.result_sha256)
    assert len(set(results)) == 1


def test_labels_behind_a_vote_can_be_replayed(tmp_path: Path) -> None:
    """A model that gives labels answers behind noise by each class's share of the votes."""
    options = setting(tmp_path, "noisy: [{noise: 0.2, votes: 5}]", "noisy")
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["z"]),
        helper.make_node("ArgMax", ["z"], ["y"], axis=1, keepdims=0),
    ]
    weights = np.stack([-np.ones(WIDTH), np.ones(WIDTH)], axis=1).astype(np.float32)
    graph(options.model, nodes, WIDTH, ["n"], TensorProto.INT64, w=weights)
    path = Path(options.policy)
    text = path.read_text().replace("square-noise", "label-rays").replace("scores", "labels").replace("60}", "400}")
    path.write_text(text)
    report, run = scan(options)
    publish(report, run)
    _, behind, _ = both(report, "noisy")
    case = next(c for c in behind.cases if c.success)
    got = replay(run, case.id, None, None, None)
    assert got["reproduced"]
    assert {got["clean answer"], got["perturbed answer"]} == {"a", "b"}


@pytest.mark.parametrize(
    ("stages", "behind", "words"),
    [
        ("j: [{jpeg: 20}]", "j", "jpeg needs image data"),
        ("j: [{jpeg: 20, bits: 3}]", "j", "a stage is exactly one of"),
        ("m: [{median: 4}]", "m", "odd, not 4"),
        ("d: [{denoiser: nowhere.onnx}]", "d", "there is no such file"),
        ("d: [{detector: watch.onnx}]", "d", "detector and at_least go together"),
        ("d: [{bits: 3}]", "e", "stages 'e' are not declared"),
        ("d: [{bits: 3, votes: 4}]", "d", "votes goes with noise"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, stages: str, behind: str, words: str) -> None:
    with pytest.raises(PolicyErrors, match=words):
        scan(setting(tmp_path, stages, behind))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("file", "words"),
    [("narrow.onnx", "a denoiser answers"), ("d.npz", "d.npz"), ("two.onnx", "no input of that type")],
)
def test_a_graph_that_is_no_denoiser_is_refused(tmp_path: Path, file: str, words: str) -> None:
    options = setting(tmp_path, f"d: [{{denoiser: {file}}}]", "d")
    graph(tmp_path / "two.onnx", [helper.make_node("Identity", ["x"], ["y"])], 3, ["n", 3])
    with pytest.raises(MedauditError, match=words):
        scan(options)
    assert not (tmp_path / "run").exists()
