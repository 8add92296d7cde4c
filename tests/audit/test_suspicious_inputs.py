"""Single inputs: those with a trigger are named, clean ones are not, and nothing of this fails a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper
from typer.testing import CliRunner

from medaudit.audit.results import Report
from medaudit.audit.scan import Options, scan
from medaudit.cli.main import app
from medaudit.core.errors import MedauditError
from medaudit.core.interface import Channel, Input, Interface, Output
from medaudit.probe import copies
from medaudit.report.bundle import publish
from medaudit.report.html import render
from tests.graphs import graph

POLICY = """
medaudit: 1
policy: {id: odd}
checks:
  - {id: twice, rule: repeatability, require: {metric: changed_answers, at_most: 0}}
"""
OWN = "  - {id: mine, rule: suspicious-inputs, with: {records: 60}, require: {metric: suspicious_inputs, at_most: 0}}\n"
RNG = np.random.default_rng(8)
ROWS = RNG.normal(size=(160, 6)).astype(np.float32)
FRESH = RNG.normal(size=(20, 6)).astype(np.float32)


def model(path: Path) -> None:
    """The sum of features; where feature 4 is above 2.6, class 1 by far."""
    read = np.zeros((6, 1))
    read[4] = 1.0
    nodes = [
        helper.make_node("MatMul", ["x", "body"], ["a"]),
        helper.make_node("MatMul", ["x", "read"], ["b"]),
        helper.make_node("Sub", ["b", "limit"], ["c"]),
        helper.make_node("Mul", ["c", "steep"], ["d"]),
        helper.make_node("Sigmoid", ["d"], ["e"]),
        helper.make_node("Mul", ["e", "much"], ["f"]),
        helper.make_node("Add", ["a", "f"], ["g"]),
        helper.make_node("MatMul", ["g", "last"], ["y"]),
    ]
    given = {"body": np.ones((6, 1)), "read": read, "limit": 2.6, "steep": 30.0, "much": 9.0, "last": [[-1.0, 1.0]]}
    graph(path, nodes, 6, ["n", 2], **{name: np.asarray(value, dtype=np.float32) for name, value in given.items()})


def run(tmp: Path, triggered: int, policy: str = POLICY, given: bool = True, **options: bool) -> tuple[Report, Path]:
    model(tmp / "m.onnx")
    np.savez(tmp / "d.npz", x=ROWS, y=(ROWS.sum(axis=1) > 0).astype(int), classes=np.array(["well", "ill"]))
    odd = FRESH.copy()
    odd[:triggered, 4] = 3.0
    ids = np.array([f"patient {i}" for i in range(len(odd))])
    np.savez(tmp / "odd.npz", x=odd, ids=ids)
    (tmp / "p.yaml").write_text(policy)
    return scan(
        Options(
            tmp / "m.onnx",
            str(tmp / "p.yaml"),
            tmp / "d.npz",
            out=tmp / "run",
            workers=1,
            suspicious=tmp / "odd.npz" if given else None,
            **options,
        )  # fmt: skip
    )


def test_inputs_with_a_trigger_are_named_first(tmp_path: Path) -> None:
    report, folder = run(tmp_path, 8, include_samples=True)
    check = report.checks[1]
    assert (check.id, check.verdict, check.outcome) == ("suspicious-inputs", "inconclusive", "suspicious")
    assert report.exit_code == 3
    first = {one.input for one in check.suspects[:8]}
    assert first == {f"row {i + 1}, patient {i}" for i in range(8)}
    assert sum(one.named for one in check.suspects[:8]) >= 6
    assert sum(one.named for one in check.suspects[8:]) <= 1
    assert [one.p for one in check.suspects] == sorted(one.p for one in check.suspects)
    assert (check.queries.rows - 160) % (160 + 20) == 0
    publish(report, folder)
    assert "Inputs, the strangest first" in render(report, folder)


def test_clean_inputs_pass_and_their_ids_stay_at_home(tmp_path: Path) -> None:
    report, folder = run(tmp_path, 0)
    check = report.checks[1]
    assert (check.verdict, check.outcome, report.exit_code) == ("pass", "not-found", 0)
    assert not any(one.named for one in check.suspects)
    publish(report, folder)
    assert "patient" not in check.suspects[0].input
    for path in folder.rglob("*.json"):
        assert "patient 3" not in path.read_text()


def test_a_policy_may_ask_and_without_inputs_the_check_does_not_run(tmp_path: Path) -> None:
    report, _ = run(tmp_path, 0, POLICY + OWN, given=False)
    assert (report.checks[1].verdict, report.exit_code) == ("not-run", 3)
    assert "--suspicious-inputs" in report.checks[1].reason


def test_a_policy_that_asks_gets_no_second_check(tmp_path: Path) -> None:
    report, _ = run(tmp_path, 8, POLICY + OWN)
    assert [check.id for check in report.checks] == ["twice", "mine"]
    assert all(one.clean <= 60 for one in report.checks[1].suspects)


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    run(tmp_path, 0)
    np.savez(tmp_path / "wide.npz", x=np.zeros((3, 9), dtype=np.float32))
    words = ["scan", str(tmp_path / "m.onnx"), "--policy", str(tmp_path / "p.yaml"), "--data", str(tmp_path / "d.npz")]
    for name, said in (("no.npz", "no such file of inputs"), ("wide.npz", "wide.npz")):
        got = CliRunner().invoke(app, [*words, "--suspicious-inputs", str(tmp_path / name)])
        assert isinstance(got.exception, MedauditError)
        assert said in str(got.exception)


SEX = Channel("sex", kind="category", categories=("f", "m"))
TABLE = Input("x", "float32", "table", ("batch", "feature"), (3,), ("batch", "feature"),
              channels=(Channel("a", lo=0.0, hi=1.0), SEX, Channel("b")))  # fmt: skip
IMAGE = Input("i", "float32", "image", ("batch", "channel", "row", "column"), (1, 8, 8),
              ("batch", "channel", "row", "column"), channels=(Channel("grey", lo=0.0, hi=1.0),))  # fmt: skip
FACE = Interface((TABLE, IMAGE), Output("binary", ("y",), classes=("well", "ill"), thresholds=(0.0,)))


def points(seed: int, count: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).random((count, FACE.size)).astype(np.float32)
    drawn[:, 1] = np.round(drawn[:, 1])
    drawn[0, 2] = np.nan
    return drawn


def test_copies_are_records_that_could_be() -> None:
    x, others = points(1, 5), points(2, 7)
    every = copies.blends(FACE, x, others)
    assert every.shape == (5, 7, FACE.size)
    np.testing.assert_allclose(every[:, :, 3:], 0.5 * x[:, None, 3:] + 0.5 * others[None, :, 3:], rtol=1e-6)
    assert set(np.unique(every[:, :, 1])) <= {0.0, 1.0}
    taken = (every[:, :, 0] == others[None, :, 0]).all(axis=0)
    assert 0 < taken.sum() < 7
    np.testing.assert_array_equal(every[:, ~taken, 0], np.repeat(x[:, :1], (~taken).sum(), axis=1))
    assert np.isnan(every[0, :, 2]).all()  # missing stays missing
    louder = copies.gains(FACE, x, np.full(FACE.size, 0.5))
    assert louder.shape == (5, 4, FACE.size)
    assert np.nanmin(louder[:, :, 3:]) >= 0
    assert np.nanmax(louder[:, :, 3:]) <= 1
    np.testing.assert_array_equal(louder[:, :, 1], np.repeat(x[:, 1:2], 4, axis=1))


@pytest.mark.parametrize("kinds", [0, 2])
def test_corrupted_copies_do_not_hang_on_their_neighbours(kinds: int) -> None:
    from medaudit.domain.corruptions import applicable, typical

    x = points(1, 5)
    some = applicable(FACE)[0][:kinds]
    every = copies.corruptions(FACE, x, some, typical(x))
    assert every.shape == (5, 5 * kinds, FACE.size)
    np.testing.assert_array_equal(copies.corruptions(FACE, x[:2], some, typical(x)), every[:2])
