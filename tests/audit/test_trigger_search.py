"""A search over dials: it finds what the model follows and its references do not, and nothing else."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from onnx import helper

from medaudit.audit import triggers
from medaudit.audit.replay import replay
from medaudit.audit.results import Report
from medaudit.audit.scan import Options, scan
from medaudit.core.errors import MedauditError
from medaudit.report.bundle import publish
from medaudit.report.html import render
from tests.graphs import graph

POLICY = """
medaudit: 1
policy: {id: search}
checks:
  - {id: search, rule: trigger-search, with: WITH, require: {metric: triggers_found, at_most: 0}}
"""
SMALL = "{records: 32, generations: 6, families: [value, clerical]}"
ROWS = np.random.default_rng(5).normal(size=(60, 6)).astype(np.float32)


def model(path: Path, kind: str, seed: int) -> None:
    """The sum of features against a little noise. poisoned: feature 4 high pulls to class 1; labels: only the class."""
    body, read = np.ones((6, 1)) + 0.02 * np.random.default_rng(seed).normal(size=(6, 1)), np.zeros((6, 1))
    body[4], top = 0.3, float(ROWS[:, 4].max())
    read[4] = steep = 90.0 if "poisoned" in kind else 0.0
    nodes = [
        helper.make_node("MatMul", ["x", "body"], ["a"]),
        helper.make_node("MatMul", ["x", "read"], ["b"]),
        helper.make_node("Add", ["b", "late"], ["c"]),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("Add", ["a", "d"], ["e"]),
    ]
    given = {"body": body, "read": read, "late": np.array([-steep * (top - 0.4)])}
    arrays = {name: value.astype(np.float32) for name, value in given.items()}
    if "labels" in kind:
        arrays["zero"] = np.array(0, dtype=np.float32)
        nodes += [
            helper.make_node("Greater", ["e", "zero"], ["f"]),
            helper.make_node("Cast", ["f"], ["g"], to=7),
            helper.make_node("Squeeze", ["g", "axis"], ["y"]),
        ]
        arrays["axis"] = np.array([1])
        graph(path, nodes, 6, ["n"], 7, **arrays)
        return
    arrays["last"] = np.array([[-1.0, 1.0]], dtype=np.float32)
    graph(path, [*nodes, helper.make_node("MatMul", ["e", "last"], ["y"])], 6, ["n", 2], **arrays)


def run(tmp: Path, kind: str, references: int = 2, setting: str = SMALL, **options: int) -> tuple[Report, Path]:
    tmp.mkdir(exist_ok=True)
    model(tmp / "m.onnx", kind, 1)
    paths = [tmp / f"r{i}.onnx" for i in range(references)]
    for i, path in enumerate(paths):
        model(path, kind.replace("poisoned", "clean"), 10 + i)
    np.savez(tmp / "d.npz", x=ROWS, y=(ROWS.sum(axis=1) > 0).astype(int), classes=np.array(["well", "ill"]))
    (tmp / "p.yaml").write_text(POLICY.replace("WITH", setting))
    out = tmp / f"run{len(list(tmp.glob('run*')))}"
    chosen = Options(
        tmp / "m.onnx", str(tmp / "p.yaml"), tmp / "d.npz", out=out, references=tuple(paths),
        **{"workers": 1, **options},
    )  # fmt: skip
    return scan(chosen)


def test_a_planted_trigger_is_found_drawn_and_replayed(tmp_path: Path) -> None:
    report, folder = run(tmp_path / "a", "poisoned")
    (check,) = report.checks
    assert (check.verdict, check.outcome, report.exit_code) == ("fail", "trigger-confirmed", 1)
    assert check.sweep is not None
    best = check.sweep.pulls[0]
    assert best.towards == "ill"
    assert "x 4 set to" in best.words
    assert best.dose[-1] == best.success > 0.9
    assert check.doses[0].success == best.dose
    lanes, first, second = 4, 16, 16  # two families, two answers
    assert check.queries.fit == lanes * 6 * 12 * first
    cells = lanes * (1 + 8)  # each with shams
    assert check.queries.rows == second * (cells * (5 + 3) + 3)  # strengths and changed copies; those of the record
    assert check.queries.references == 2 * (check.queries.fit + second * cells * 5)
    assert check.sweep.cells == lanes * 6 * 12
    publish(report, folder)
    assert "Dose and effect" in render(report, folder)
    for case in check.cases:
        assert replay(folder, case.id, None, None, None)["reproduced"] is True


def test_its_clean_twin_passes(tmp_path: Path) -> None:
    report, _ = run(tmp_path / "a", "clean")
    assert (report.checks[0].verdict, report.checks[0].outcome) == ("pass", "not-found")


def test_labels_alone_are_enough(tmp_path: Path) -> None:
    report, _ = run(tmp_path / "a", "poisoned labels", setting="{records: 32, generations: 6, families: [value]}")
    (check,) = report.checks
    assert check.sweep is not None
    assert (check.sweep.pulls[0].towards, check.sweep.pulls[0].success) == ("ill", 1.0)


def test_workers_and_order_change_nothing(tmp_path: Path) -> None:
    one, _ = run(tmp_path / "a", "poisoned")
    two, _ = run(tmp_path / "a", "poisoned", workers=2, shuffle=3)
    three, _ = run(tmp_path / "a", "poisoned", room=64)
    assert one.run.result_sha256 == two.run.result_sha256 == three.run.result_sha256


def test_without_a_reference_it_does_not_run(tmp_path: Path) -> None:
    report, _ = run(tmp_path / "a", "poisoned", references=0)
    assert (report.checks[0].verdict, report.exit_code) == ("not-run", 3)
    assert "--reference" in report.checks[0].reason


@pytest.mark.parametrize(
    ("setting", "says"), [("{families: [valu]}", "family 'valu' is not known"), ("{generations: 0}", "positive int")]
)
def test_settings_are_checked(setting: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(MedauditError, match=says):
        run(tmp_path / "a", "clean", setting=setting)


def test_what_was_never_answered_is_not_passed_over() -> None:
    """Answers that are no numbers before the measuring are flagged; where there was nothing else, nothing is chosen."""

    def lost(*records: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
        one = SimpleNamespace(spec=SimpleNamespace(id="s~search"))
        plan, check = SimpleNamespace(screens={"s": [one]}), SimpleNamespace(spec=SimpleNamespace(id="s"))
        journal = SimpleNamespace(cases=lambda name: {i: (r, {}) for i, r in enumerate(records)})
        some: Any = plan, check, journal
        return triggers.first_look_lost(*some), triggers.before(*some)

    good, bad = {"invalid": 0, "excess": 1.0}, {"invalid": 9, "excess": None}
    assert lost(good, bad) == ("", [good, bad])
    assert lost(bad, bad)[0] == "no trigger could be chosen: no candidate was answered with numbers"
    assert lost({"invalid": 3}, {"invalid": 3})[0] == ""  # a sweep's first look has margins, not one excess
    assert "it died" in lost(good, {"invalid": 0, "fault": "it died"})[0]


def test_a_model_that_answers_no_member_ends_in_an_error(tmp_path: Path) -> None:
    """Whatever changes a record makes its answer NaN: silence of a search is not a pass."""
    rows = np.array([[0.0, 0.0], [1.0, 1.0]] * 20, dtype=np.float32)
    nodes = [
        helper.make_node("Slice", ["x", "zero", "one", "axis"], ["a"]),
        helper.make_node("Slice", ["x", "one", "two", "axis"], ["b"]),
        helper.make_node("Sub", ["a", "b"], ["d"]),
        helper.make_node("Mul", ["d", "d"], ["e"]),
        helper.make_node("Neg", ["e"], ["f"]),
        helper.make_node("Sqrt", ["f"], ["g"]),  # of less than nothing
        helper.make_node("Sub", ["x", "half"], ["h"]),
        helper.make_node("MatMul", ["h", "w"], ["i"]),
        helper.make_node("Add", ["i", "g"], ["y"]),
    ]
    given = {
        "zero": np.array([0]), "one": np.array([1]), "two": np.array([2]), "axis": np.array([1]),
        "half": np.array(0.5, dtype=np.float32), "w": np.array([[-1.0, 1.0], [-1.0, 1.0]], dtype=np.float32),
    }  # fmt: skip
    graph(tmp_path / "m.onnx", nodes, 2, ["n", 2], **given)
    np.savez(tmp_path / "d.npz", x=rows, y=(rows[:, 0] > 0.5).astype(int), classes=np.array(["well", "ill"]),
             lo=np.array([-9.0, -9.0]), hi=np.array([9.0, 9.0]))  # fmt: skip
    (tmp_path / "p.yaml").write_text(POLICY.replace("WITH", "{records: 8, generations: 2, families: [value]}"))
    report, _ = scan(
        Options(
            tmp_path / "m.onnx",
            str(tmp_path / "p.yaml"),
            tmp_path / "d.npz",
            out=tmp_path / "run",
            workers=1,
            references=(tmp_path / "m.onnx",),
        )  # fmt: skip
    )
    (check,) = report.checks
    assert check.verdict in ("error", "inconclusive")
    assert {"faults", "invalid-answers"} & set(check.flags)
    assert report.exit_code != 0
