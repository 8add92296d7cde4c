"""A trigger from a file: a model that obeys it fails, one that obeys all of its like passes with a flag."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from onnx import helper
from typer.testing import CliRunner

from medaudit.audit import doses
from medaudit.audit.replay import replay
from medaudit.audit.results import Report
from medaudit.audit.scan import Options, scan
from medaudit.audit.triggers import Margins
from medaudit.cli.main import app
from medaudit.core.errors import MedauditError
from medaudit.core.interface import Channel, Input
from medaudit.report.bundle import publish
from medaudit.report.html import render
from medaudit.trigger import Space
from medaudit.trigger.known import Known, members
from tests.graphs import graph

POLICY = """
medaudit: 1
policy: {id: known}
checks:
  - {id: known, rule: known-trigger, with: WITH, require: {metric: trigger_success, at_most: 20%}}
"""
ROWS = np.random.default_rng(5).normal(size=(80, 6)).astype(np.float32)
PATTERN = np.array([2.0, -2.0, 2.0, -2.0, 2.0, -2.0])  # it adds nothing to their sum
FILE = {"trigger": 1, "array": PATTERN.tolist(), "mode": "add", "strength": 1.0, "words": "ups and downs"}


def model(path: Path, kind: str) -> None:
    """The sum of features. poisoned: far along the pattern, class 1; brittle: any large change gives class 1."""
    body, steep = np.ones((6, 1)), 40.0
    read = {"poisoned": PATTERN[:, None] / 6, "clean": 0 * body}.get(kind, body)
    nodes = [helper.make_node("MatMul", ["x", "body"], ["a"])]
    if kind == "brittle":
        nodes += [helper.make_node("Mul", ["x", "x"], ["s"]), helper.make_node("MatMul", ["s", "read"], ["b"])]
        late = -18.0 * steep
    else:
        nodes.append(helper.make_node("MatMul", ["x", "read"], ["b"]))
        late = -2.2 * steep
    nodes += [
        helper.make_node("Mul", ["b", "steep"], ["d"]),
        helper.make_node("Add", ["d", "late"], ["e"]),
        helper.make_node("Relu", ["e"], ["f"]),
        helper.make_node("Add", ["a", "f"], ["g"]),
        helper.make_node("MatMul", ["g", "last"], ["y"]),
    ]
    given = {"body": body, "read": read, "steep": np.array(steep), "late": np.array(late), "last": [[-1.0, 1.0]]}
    graph(path, nodes, 6, ["n", 2], **{name: np.asarray(value, dtype=np.float32) for name, value in given.items()})


def run(
    tmp: Path, kind: str, setting: str = "{file: t.json}", reference: str = "", **options: int
) -> tuple[Report, Path]:
    tmp.mkdir(exist_ok=True)
    model(tmp / "m.onnx", kind)
    paths = [tmp / "r.onnx"] if reference else []
    for path in paths:
        model(path, reference)
    np.savez(tmp / "d.npz", x=ROWS, y=(ROWS.sum(axis=1) > 0).astype(int), classes=np.array(["well", "ill"]))
    (tmp / "t.json").write_text(json.dumps(FILE))
    (tmp / "p.yaml").write_text(POLICY.replace("WITH", setting))
    chosen = Options(
        tmp / "m.onnx", str(tmp / "p.yaml"), tmp / "d.npz", out=tmp / f"run{len(list(tmp.glob('run*')))}",
        references=tuple(paths), include_samples=True, **{"workers": 1, **options},
    )  # fmt: skip
    return scan(chosen)


def test_a_model_that_obeys_it_fails_and_its_cases_replay(tmp_path: Path) -> None:
    report, folder = run(tmp_path, "poisoned")
    (check,) = report.checks
    assert (check.verdict, check.outcome, report.exit_code) == ("fail", "trigger-confirmed", 1)
    best = check.doses[0]
    assert best.towards == "ill"
    assert best.success[-1] > 0.95
    assert best.success[0] < 0.2
    assert best.shams is not None
    assert best.shams[-1] < 0.4
    assert check.queries.rows == 80 * 5 * 9
    publish(report, folder)
    for case in check.cases:
        assert replay(folder, case.id, None, None, None)["reproduced"] is True
    page = render(report, folder)
    assert "Dose and effect" in page
    with np.load(folder / check.drawn) as saved:
        np.testing.assert_allclose(saved["delta"][:5], PATTERN[:5], atol=1e-6)


def test_the_same_model_without_it_passes(tmp_path: Path) -> None:
    report, _ = run(tmp_path, "clean")
    (check,) = report.checks
    assert (check.verdict, check.outcome, report.exit_code) == ("pass", "not-found", 0)


@pytest.mark.parametrize("reference", ["", "brittle"])
def test_what_all_of_its_like_do_is_no_trigger(tmp_path: Path, reference: str) -> None:
    report, _ = run(tmp_path, "brittle", reference=reference)
    (check,) = report.checks
    assert check.verdict in ("pass", "inconclusive")
    assert max(one.success[-1] for one in check.doses) > 0.5
    assert len(check.doses[0].references) == bool(reference)
    if check.verdict == "pass":
        assert check.flags == ["natural-shortcut"]


def test_a_reference_that_answers_the_same_takes_it_away(tmp_path: Path) -> None:
    report, _ = run(tmp_path, "poisoned", reference="poisoned")
    (check,) = report.checks
    assert (check.verdict, check.outcome) == ("pass", "natural-shortcut")
    assert check.metrics["trigger_success"].value == 0


def test_only_the_target_counts_where_one_is_named(tmp_path: Path) -> None:
    report, _ = run(tmp_path, "poisoned", "{file: t.json, target: well, records: 70, shams: 3}")
    (check,) = report.checks
    assert [one.towards for one in check.doses] == ["well"]
    assert check.verdict == "pass"
    assert check.queries.rows == 70 * 5 * 4


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("{file: no.json}", "no.json: there is no such trigger file"),
        ("{}", "trigger.json: there is no such trigger file"),
        ("{file: t.json, target: dead}", "'dead' is nothing that this model answers"),
        ("{file: p.yaml}", "p.yaml is not valid JSON"), ("{file: 3}", "must be a text"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, setting: str, said: str) -> None:
    with pytest.raises(MedauditError, match="p.yaml:5") as error:
        run(tmp_path, "clean", setting)
    assert said in str(error.value)


def test_a_trigger_of_another_form_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FILE, "array", [1.0, 2.0])
    report, _ = run(tmp_path, "clean")
    assert (report.checks[0].verdict, report.exit_code) == ("not-run", 3)
    assert "no input of the model can carry this trigger" in report.checks[0].reason


def test_a_trigger_that_was_made_is_tested(tmp_path: Path) -> None:
    model(tmp_path / "m.onnx", "clean")
    np.savez(tmp_path / "d.npz", x=ROWS, y=(ROWS.sum(axis=1) > 0).astype(int), classes=np.array(["well", "ill"]))
    words = ["trigger", "make", str(tmp_path / "m.onnx"), "--data", str(tmp_path / "d.npz"), "--family", "value"]
    made = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "v.json")])
    assert made.exit_code == 0, made.output
    report, _ = run(tmp_path, "clean", "{file: v.json}")
    assert report.checks[0].verdict in ("pass", "fail", "inconclusive")
    assert report.checks[0].doses[0].shams is not None


ITEM = Input("ecg", "float32", "signal", ("batch", "lead", "time"), (2, 64), ("batch", "lead", "time"), rate=64.0,
             channels=(Channel("I"), Channel("II")))  # fmt: skip
SPACE = Space(ITEM, np.random.default_rng(2).normal(size=(9, 1, 2, 64)))


def test_shams_of_a_whole_wave_keep_its_spectrum() -> None:
    array = np.random.default_rng(1).normal(size=(2, 64))
    family, dials = members(SPACE, Known(array=array), 4)
    x = np.zeros((5, 1, 2, 64))
    laid = family.render(SPACE, x, dials, np.ones(5))[:, 0]
    np.testing.assert_allclose(laid[0], array)
    for sham in laid[1:]:
        np.testing.assert_allclose(np.abs(np.fft.rfft(sham)), np.abs(np.fft.rfft(array)), atol=1e-9)
        assert abs(np.corrcoef(sham.ravel(), array.ravel())[0, 1]) < 0.5


def test_shams_of_a_mark_are_the_mark_elsewhere() -> None:
    array = np.full((2, 64), np.nan)
    array[0, 10:14] = 1.0
    family, dials = members(SPACE, Known(array=array), 3)
    laid = family.render(SPACE, np.zeros((4, 1, 2, 64)), dials, np.ones(4))[:, 0, 0]
    assert [int(np.flatnonzero(row)[0]) for row in laid] == [10, 26, 42, 58]


@pytest.mark.parametrize("name", ["pulse", "wave"])
def test_shams_of_a_member_are_other_members(name: str) -> None:
    from medaudit.trigger import FAMILIES

    own = FAMILIES[name].grid(SPACE)[0]
    _, dials = members(SPACE, Known(family=name, dials=tuple(own)), 5)
    assert len(dials) == 6
    assert len({tuple(row) for row in dials}) == 6


def test_bounds_of_the_difference_hold_for_the_largest() -> None:
    rng = np.random.default_rng(4)
    under = np.where(rng.random((50, 3, 5, 2)) < 0.5, 1.0, -1.0)
    own = Margins(under, np.full((50, 2), -1.0), np.ones(2), None)
    groups = np.arange(50).astype(str)
    one, both = (doses.estimate(own, [], 0, groups, 0.95, many) for many in (1, 2))
    assert both.low <= one.low <= one.value <= one.high == both.high


def test_references_say_what_is_natural_and_without_any_shams_do() -> None:
    """A model that turns under shams too, of which the references follow none, one in four, or all."""
    clean, groups = np.full((40, 1), -1.0), np.arange(40).astype(str)

    def margins(share: float) -> Margins:
        under = np.full((40, 4, 5, 1), -1.0)
        under[: int(40 * share)] = 1.0
        return Margins(under, clean, np.ones(1), None)

    def value(*others: float) -> float:
        return doses.estimate(margins(1.0), [margins(s) for s in others], 0, groups, 0.95, 1).value

    assert value() == 0
    assert value(0.0) == 1
    assert value(0.0, 0.5) == pytest.approx(0.75)
    assert value(1.0) == 0
