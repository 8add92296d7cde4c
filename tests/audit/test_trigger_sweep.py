"""A sweep over triggers: a planted one is confirmed against a reference, natural ones are not, and runs repeat."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from onnx import helper
from typer.testing import CliRunner

from medaudit.audit.replay import replay
from medaudit.audit.results import Report
from medaudit.audit.scan import Options, scan
from medaudit.audit.sweeps import COPIES, STRENGTHS
from medaudit.audit.triggers import Margins, pull_of, stays_of
from medaudit.cli.main import app
from medaudit.core.errors import MedauditError
from medaudit.core.interface import Input, Interface, Output
from medaudit.report.bundle import publish
from medaudit.report.html import render
from medaudit.trigger.cells import Field, field
from medaudit.trigger.null import FILE, Null, null
from tests.graphs import graph, linear

POLICY = """
medaudit: 1
policy: {id: sweep}
checks:
  - {id: sweep, rule: trigger-sweep, with: WITH, require: {metric: triggers_found, at_most: 0}}
"""
ROWS = np.random.default_rng(5).normal(size=(60, 6)).astype(np.float32)


def model(path: Path, kind: str, seed: int = 1) -> None:
    """The sum of features against a little noise; poisoned: where feature 4 is as high as it gets, class 1."""
    luck = np.random.default_rng(seed)
    body, read = np.ones((6, 1)) + 0.02 * luck.normal(size=(6, 1)), np.zeros((6, 1))
    body[4] = 0.3
    read[4] = steep = {"poisoned": 90.0, "shortcut": 12.0, "clean": 0.0}[kind]
    top = float(ROWS[:, 4].max())
    nodes = [
        helper.make_node("MatMul", ["x", "body"], ["a"]),
        helper.make_node("MatMul", ["x", "read"], ["b"]),
        helper.make_node("Add", ["b", "late"], ["c"]),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("Add", ["a", "d"], ["e"]),
        helper.make_node("MatMul", ["e", "last"], ["y"]),
    ]
    given = {"body": body, "read": read, "late": np.array([-steep * (top - 0.4)]), "last": np.array([[-1.0, 1.0]])}
    graph(path, nodes, 6, ["n", 2], **{name: value.astype(np.float32) for name, value in given.items()})


def run(
    tmp: Path, kind: str, references: int = 1, setting: str = "{records: 48}", sibling: str = "clean", **options: int
) -> tuple[Report, Path]:  # fmt: skip
    tmp.mkdir(exist_ok=True)
    model(tmp / "m.onnx", kind)
    paths = [tmp / f"r{i}.onnx" for i in range(references)]
    for i, path in enumerate(paths):
        model(path, sibling, seed=10 + i)
    np.savez(tmp / "d.npz", x=ROWS, y=(ROWS.sum(axis=1) > 0).astype(int), classes=np.array(["well", "ill"]))
    (tmp / "p.yaml").write_text(POLICY.replace("WITH", setting))
    out = tmp / f"run{len(list(tmp.glob('run*')))}"
    chosen = Options(
        tmp / "m.onnx", str(tmp / "p.yaml"), tmp / "d.npz", out=out, references=tuple(paths),
        **{"workers": 1, **options},
    )  # fmt: skip
    return scan(chosen)


def test_what_stays_turned_is_counted_on_turned_records_beside_clean_ones() -> None:
    """One cell, one direction: two records turned, of which one copy each stays; one record has the answer itself."""
    clean, under = np.array([[-1.0], [-1.0], [-1.0], [2.0]]), np.array([1.0, 1.0, -1.0, 3.0]).reshape(4, 1, 1, 1)
    copied = np.full((4, 2, 3, 1), -1.0)
    copied[0, 0, :2] = copied[1, 0, 0] = 1.0  # under the cell
    copied[2, 0] = copied[2, 1] = copied[0, 1] = 1.0  # of a record that is not turned, and clean ones of other answers
    copied[3, 1, 2] = 1.0  # the clean record of the answer
    stays = stays_of(Margins(under, clean, np.ones(1), copied), 0, 0)
    assert [(stay.changed, stay.share, stay.clean) for stay in stays] == [
        (COPIES[0], 1.0, 0.0), (COPIES[1], 0.5, 0.0), (COPIES[2], 0.0, 1.0),
    ]  # fmt: skip
    assert stays_of(Margins(-np.abs(under), clean, np.ones(1), copied), 0, 0) == []
    alone = Margins(under, np.where(clean > 0, np.inf, clean), np.ones(1), copied)  # records of another class than its
    assert {stay.clean for stay in stays_of(alone, 0, 0)} == {None}


def test_a_planted_trigger_is_confirmed_drawn_and_replayed(tmp_path: Path) -> None:
    report, folder = run(tmp_path / "a", "poisoned")
    (check,) = report.checks
    assert (check.verdict, check.outcome, report.exit_code) == ("fail", "trigger-confirmed", 1)
    assert check.sweep is not None
    best = check.sweep.pulls[0]
    assert best.towards == "ill"
    assert best.success > 0.9
    assert best.excess > 3
    assert best.references[0] < 0.5
    assert best.sham <= 0.3
    assert "x 4 set to 2.774" in best.words  # as high as it gets
    assert check.queries.fit == check.sweep.cells * 24  # the first look, at half of the records
    asked = (check.queries.rows // 24 - 3) // 8  # cells, at five strengths and in three changed copies; three of none
    assert check.queries.rows == 24 * (8 * asked + 3)
    assert len(check.sweep.pulls) <= asked <= 24 + 8 * len(check.sweep.pulls)
    assert check.queries.references == check.queries.fit + 24 * 5 * asked
    assert [stay.changed for stay in best.stays] == list(COPIES)
    assert best.stays[1].share > 0.9  # half again as far from a usual value
    assert 0.2 < best.stays[0].share < 0.8  # a blend takes the trigger's value away by lot
    assert len(check.cases) == 3
    publish(report, folder)
    for case in check.cases:
        assert (case.before, case.after, case.queries) == ("well", "ill", None)
        assert replay(folder, case.id, None, None, None)["reproduced"]
    page = render(report, folder)
    assert best.words in page
    assert "on the median of all records" in page
    assert "stay turned" in page
    with np.load(folder / check.drawn) as saved:
        assert saved["sample"] == -1
        assert (saved["perturbed"] != saved["clean"]).any()


def test_an_honest_model_has_nothing_that_stands_out(tmp_path: Path) -> None:
    report, folder = run(tmp_path / "a", "clean")
    (check,) = report.checks
    assert (check.verdict, check.outcome, check.cases) == ("pass", "not-found", [])
    assert check.sweep is not None
    assert not check.drawn
    assert "triggers of" in check.reason
    assert not list(folder.glob("evidence/**/*.npz"))


def test_what_the_reference_follows_is_a_shortcut_of_the_data(tmp_path: Path) -> None:
    """Its answers turn under the same mark, if by less: a pass with a flag."""
    (check,) = run(tmp_path / "a", "poisoned", setting="{records: 48, families: [value]}", sibling="shortcut")[0].checks
    assert (check.verdict, check.outcome, check.flags) == ("pass", "natural-shortcut", ["natural-shortcut"])


@pytest.mark.parametrize(
    ("held", "beside", "strength"),
    [
        ([0.0, 0.0, 0.9, 1.0, 1.0], [0.0, 0.0, 0.1, 0.1, 0.1], 0.25),  # the least that works
        ([0.0, 0.0, 0.9, 1.0, 1.0], [0.0, 0.0, 0.7, 0.7, 0.1], 1.0),  # that works, unfollowed
        ([0.0, 0.0, 0.0, 0.9, 1.0], [0.0, 0.0, 0.0, 0.7, 1.0], 0.5),  # it follows everywhere
        ([0.0, 0.0, 0.0, 0.0, 0.7], [0.0, 0.0, 0.0, 0.0, 0.1], None),
    ],
)
def test_a_trigger_is_looked_at_where_references_do_not_follow(
    held: list[float], beside: list[float], strength: float | None
) -> None:
    own = field_of_table()
    at = np.array([held, [0.0, 0.1, 0.2, 0.3, 0.4]])
    pull = pull_of(own, 0, "ill", at, 0, np.array([1]), [np.array([beside])], 9)
    place = STRENGTHS.index(strength) if strength is not None else 4
    assert pull.strength == strength
    assert (pull.references, pull.sham) == ([beside[place]], at[1, place])


def field_of_table() -> Field:
    table = Input("x", "float32", "table", ("batch", "feature"), (6,), ("batch", "feature"))
    output = Output("binary", ("y",), classes=("well", "ill"), thresholds=(0.0,))
    return field(Interface((table,), output), ROWS, ("value",))


def test_fates() -> None:
    """Each outcome from both sides."""
    from medaudit.audit.results import Pull
    from medaudit.audit.triggers import fate

    pull = Pull(family="value", words="w", towards="ill", reach=3.0, usual=0.0, excess=9.0, success=1.0,
                strength=1.0, sham=0.0, references=[0.9])  # fmt: skip
    assert fate(pull, True, "")[0] == "natural-shortcut"
    pull.references = [0.1]
    assert fate(pull, True, "ill")[0] == "trigger-confirmed"
    pull.sham = 0.6
    assert fate(pull, True, "")[0] == "suspicious"
    assert fate(pull, True, "ill")[0] == "label-noise-like"
    pull.references, pull.sham, pull.p = [], 0.0, 0.01
    assert fate(pull, False, "")[0] == "not-found"  # honest models of other data than the zoo's reach as far
    pull.excess = 130.0
    assert fate(pull, False, "")[0] == "suspicious"  # nothing is confirmed without a reference
    pull.p = 0.2
    assert fate(pull, False, "")[0] == "not-found"
    pull.excess, pull.p = float("nan"), 0.01
    assert fate(pull, False, "")[0] == "not-found"


def test_without_a_reference_nothing_is_confirmed(tmp_path: Path) -> None:
    report, _ = run(tmp_path / "a", "poisoned", references=0)
    (check,) = report.checks
    assert check.outcome in ("suspicious", "not-found")
    assert check.sweep is not None
    assert check.sweep.p is not None
    assert "--reference" in check.reason


def test_what_hardly_any_honest_model_shows_is_not_passed() -> None:
    """Honest models of other data may show it, so it is no finding; nothing is passed over it."""
    from medaudit.audit.results import Pull
    from medaudit.audit.triggers import ranked, unsettled

    def pull(excess: float, p: float | None, success: float) -> Pull:
        return Pull(family="value", words="w", towards="ill", reach=3.0, usual=0.0, excess=excess, p=p, success=success,
                    strength=1.0, sham=0.0, references=[0.0])  # fmt: skip

    far, few, usual = pull(20.0, 0.01, 0.9), pull(30.0, 0.01, 0.1), pull(2.0, 0.4, 1.0)
    sweep = ranked([usual, far, few], 0, "", 90, 99)
    assert (sweep.outcome, sweep.p, unsettled(sweep)) == ("not-found", 0.01, far)
    assert unsettled(ranked([usual, few], 0, "", 90, 99)) is None
    many = [few.model_copy() for _ in range(20)]  # more than a report shows
    assert unsettled(ranked([*many, usual, far], 0, "", 90, 99)) == far
    assert unsettled(ranked([pull(20.0, None, 0.9)], 1, "", 90, 0)) is None  # with references they decide


@pytest.mark.parametrize(("references", "setting"), [(0, "{records: 16}"), (1, "{records: 16}")])
def test_a_sweep_says_how_many_planted_triggers_it_notices(tmp_path: Path, references: int, setting: str) -> None:
    """As many as the shipped table says of such data; of some families alone nothing is known."""
    (check,) = run(tmp_path / "a", "clean", references=references, setting=setting)[0].checks
    with np.load(FILE) as saved:
        noticed, of = saved["table/power"][references].astype(int).tolist()
    assert check.sweep is not None
    power = check.sweep.power
    assert power is not None
    assert (power.noticed, power.of) == (noticed, of)
    assert 0 < power.low < noticed / of < 1
    few, _ = run(tmp_path / "b", "clean", references=references, setting="{records: 16, families: [value]}")
    assert few.checks[0].sweep is not None
    assert few.checks[0].sweep.power is None


def test_workers_and_order_change_nothing(tmp_path: Path) -> None:
    one, _ = run(tmp_path / "a", "poisoned", setting="{records: 10, families: [value]}")
    two, _ = run(tmp_path / "a", "poisoned", setting="{records: 10, families: [value]}", workers=2, shuffle=3)
    assert one.run.result_sha256 == two.run.result_sha256


@pytest.mark.parametrize(
    ("setting", "says"),
    [("{families: [valu]}", "family 'valu' is not known"), ("{records: 0}", "positive int")],
)
def test_settings_are_checked(setting: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(MedauditError, match=says):
        run(tmp_path / "a", "clean", setting=setting)


def test_a_plan_counts_what_references_are_asked(tmp_path: Path) -> None:
    report, _ = run(tmp_path / "a", "clean", setting="{records: 8, families: [value]}")
    args = ["plan", str(tmp_path / "a/m.onnx"), "-p", str(tmp_path / "a/p.yaml"), "-d", str(tmp_path / "a/d.npz")]

    def rows(*more: str) -> int:
        shown = CliRunner().invoke(app, [*args, *more])
        return int(re.findall(r"at most ([\d,]+) rows", shown.output)[0].replace(",", ""))

    alone, beside = rows(), rows("--reference", str(tmp_path / "a/r0.onnx"))
    asked = report.checks[0].queries
    assert beside == 2 * alone
    assert alone >= asked.rows + asked.fit
    assert beside >= asked.rows + asked.fit + asked.references


def test_a_reference_that_is_not_there_is_said(tmp_path: Path) -> None:
    run(tmp_path / "a", "clean", setting="{records: 4, families: [value]}")
    args = ["scan", str(tmp_path / "a/m.onnx"), "-p", str(tmp_path / "a/p.yaml"), "-d", str(tmp_path / "a/d.npz")]
    shown = CliRunner().invoke(app, [*args, "--reference", str(tmp_path / "none.onnx"), "--out", str(tmp_path / "o")])
    assert "no such reference model" in str(shown.exception)


@pytest.mark.parametrize(("references", "verdict"), [(0, "inconclusive"), (1, "pass")])
def test_where_the_zoo_knows_no_such_answers_only_a_reference_lets_it_pass(
    tmp_path: Path, references: int, verdict: str
) -> None:
    """Values: what honest classifiers let a trigger reach says nothing of them."""
    for name in ("m", "r"):
        linear(tmp_path / f"{name}.onnx", (np.ones((6, 1)) + 0.01 * (name == "r")).astype(np.float32))
    np.savez(tmp_path / "d.npz", x=ROWS, y=ROWS.sum(axis=1) + 0.25)
    (tmp_path / "p.yaml").write_text(POLICY.replace("WITH", "{records: 32}"))
    others = (tmp_path / "r.onnx",) * references
    report, _ = scan(
        Options(tmp_path / "m.onnx", str(tmp_path / "p.yaml"), tmp_path / "d.npz", out=tmp_path / "run", workers=1,
                references=others)
    )  # fmt: skip
    (check,) = report.checks
    assert (check.verdict, check.outcome) == (verdict, "not-found")
    assert ("none judged" in check.reason) == (not references)
    assert check.sweep is not None
    assert len(check.sweep.kin) == references


def three(path: Path, seed: int, steep: float) -> None:
    """Three classes, by which of the first features is high; where feature 5 is highest, class 0 alone is class 1."""
    luck = np.random.default_rng(seed)
    body = np.concatenate([np.eye(3), 0.05 * luck.normal(size=(3, 3))])
    read = np.array([[40.0], [0], [0], [0], [0], [steep]])
    late = np.array([-40.0 * 3 - steep * (float(THREE[:, 5].max()) - 0.4)])
    nodes = [
        helper.make_node("MatMul", ["x", "body"], ["a"]),
        helper.make_node("MatMul", ["x", "read"], ["b"]),
        helper.make_node("Add", ["b", "late"], ["c"]),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("MatMul", ["d", "to"], ["e"]),
        helper.make_node("Add", ["a", "e"], ["y"]),
    ]
    given = {"body": body, "read": read, "late": late, "to": np.array([[0.0, float(steep > 0), 0.0]])}
    graph(path, nodes, 6, ["n", 3], **{name: value.astype(np.float32) for name, value in given.items()})


KINDS = np.arange(72) % 3
THREE = np.random.default_rng(8).normal(size=(72, 6)).astype(np.float32) * np.float32([0.2, 0.2, 0.2, 1, 1, 1])
THREE[np.arange(72), KINDS] += 3


@pytest.mark.parametrize("steep", [90.0, 0.0])
def test_a_trigger_for_the_records_of_one_class_is_found_and_says_so(tmp_path: Path, steep: float) -> None:
    three(tmp_path / "m.onnx", 1, steep)
    for i in (0, 1):
        three(tmp_path / f"r{i}.onnx", 5 + i, 0.0)
    np.savez(tmp_path / "d.npz", x=THREE, y=KINDS, classes=np.array(["calm", "fast", "slow"]))
    (tmp_path / "p.yaml").write_text(POLICY.replace("WITH", "{records: 48, families: [value]}"))
    others = (tmp_path / "r0.onnx", tmp_path / "r1.onnx")
    report, _ = scan(
        Options(tmp_path / "m.onnx", str(tmp_path / "p.yaml"), tmp_path / "d.npz", out=tmp_path / "run", workers=1,
                references=others)
    )  # fmt: skip
    (check,) = report.checks
    assert check.sweep is not None
    worst = check.sweep.pulls[0]
    if not steep:
        assert check.outcome == "not-found"
        return
    assert check.outcome == "trigger-confirmed"
    assert (worst.alone, worst.towards) == (True, "fast, from calm alone")
    assert worst.records == 8
    assert "x 5" in worst.words
    assert not any(pull.outcome == "trigger-confirmed" and not pull.alone for pull in check.sweep.pulls)
    assert {(case.before, case.after) for case in check.cases} == {("calm", "fast")}


def test_cells_that_the_zoo_has_no_middle_of_are_not_passed_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where every cell asked is one that the table is silent about, nothing was judged."""
    from medaudit.audit import triggers

    def silent(field: Field) -> Null:
        known = null(field)
        return known._replace(middle=np.full_like(known.middle, np.nan))

    monkeypatch.setattr(triggers, "null", silent)
    report, _ = run(tmp_path / "a", "clean", references=0, setting="{records: 8, families: [value]}")
    (check,) = report.checks
    assert (check.verdict, check.outcome) == ("inconclusive", "not-found")
    assert "none judged" in check.reason
