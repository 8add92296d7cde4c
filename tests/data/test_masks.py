"""Masks of the data file: how they are read, and that threats keep to them (and to constraints) in a scan."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from medaudit.audit.results import Report
from medaudit.audit.scan import Options, scan
from medaudit.core.errors import DataError, PolicyErrors
from medaudit.data import Dataset, read

Array = NDArray[Any]
X = np.arange(24, dtype=np.float32).reshape(4, 3, 2)
ONE = np.array([[1, 0], [0, 0], [1, 1]])
MANY = np.random.default_rng(0).integers(0, 2, X.shape)


def load(folder: Path, **arrays: Any) -> Dataset:
    np.savez(folder / "d.npz", **arrays)
    return read(folder / "d.npz")


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int64, np.float32])
def test_one_for_all_rows_or_one_a_row(kind: type, tmp_path: Path) -> None:
    """Whatever the type of its zeros and ones, a mask is bool in the shape of x."""
    data = load(tmp_path, x=X, mask__one=ONE.astype(kind), mask__many=MANY.astype(kind))
    assert set(data.masks) == {"one", "many"}
    assert data.masks["one"].dtype == data.masks["many"].dtype == bool
    assert np.array_equal(data.masks["one"], np.broadcast_to(ONE > 0, X.shape))
    assert np.array_equal(data.masks["many"], MANY > 0)
    assert data.notes == ()


@pytest.mark.parametrize(
    ("mask", "whole"),
    [
        (np.array([1, 0]), np.broadcast_to([True, False], X.shape)),
        (np.array([[1], [0], [1]]), np.broadcast_to([[True], [False], [True]], X.shape)),
        (np.array([[[1]], [[0]], [[0]], [[1]]]), np.broadcast_to(np.array([1, 0, 0, 1])[:, None, None] > 0, X.shape)),
        (np.array(1), np.ones(X.shape, dtype=bool)),
    ],
)
def test_sides_of_one_are_stretched(mask: Array, whole: Array, tmp_path: Path) -> None:
    """Along the last axes first, as NumPy does it."""
    assert np.array_equal(load(tmp_path, x=X, mask__part=mask).masks["part"], whole)


def test_masks_of_several_inputs(tmp_path: Path) -> None:
    """NAME__INPUT in the shape of that input; the same name may be on several."""
    data = load(
        tmp_path, x__wave=X, x__age=np.ones((4, 2)), mask__qrs__wave=ONE, mask__all__wave=MANY, mask__all__age=[1, 0]
    )
    assert {name: mask.shape for name, mask in data.masks.items()} == {
        "qrs__wave": X.shape, "all__wave": X.shape, "all__age": (4, 2),
    }  # fmt: skip
    assert data.masks["all__age"].tolist() == [[True, False]] * 4
    assert np.array_equal(data.masks["qrs__wave"][2], ONE > 0)


TWO: dict[str, Any] = {"x__wave": X, "x__age": np.ones((4, 2))}


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"mask__part": ONE.T}, "mask__part has shape (2, 3), which does not fit x of shape (4, 3, 2)"),
        ({"mask__part": np.ones((5, 3, 2))}, "mask__part has shape (5, 3, 2), which does not fit x of"),
        ({"mask__part": np.ones((1, 4, 3, 2))}, "mask__part has shape (1, 4, 3, 2), which does not fit x of"),
        ({"mask__part": np.ones(0)}, "mask__part has shape (0,), which does not fit x of"),
        ({"mask__part": 2 * ONE}, "mask__part holds other values than 0 and 1"),
        ({"mask__part": -ONE}, "mask__part holds other values than 0 and 1"),
        ({"mask__part": 0.5 * ONE}, "mask__part holds other values than 0 and 1"),
        ({"mask__part": np.where(ONE, np.nan, 0)}, "mask__part holds other values than 0 and 1"),
        ({"mask__part": ONE.astype(str)}, "mask__part holds other values than 0 and 1"),
        ({"mask__part__wave": ONE}, "mask__part__wave names no input of the data file; write mask__NAME"),
        (
            {**TWO, "mask__part": ONE},
            "mask__part names no input of the data file",
        ),
        (
            {**TWO, "mask__part__weight": ONE},
            "mask__part__weight names no input of the data file; write mask__NAME__wave",
        ),
        ({**TWO, "mask__part__age": ONE}, "mask__part__age has shape (3, 2), which does not fit x of shape (4, 2)"),
    ],
)
def test_what_is_wrong_is_said(arrays: dict[str, Any], words: str, tmp_path: Path) -> None:
    """The file, the key at fault and what was expected, in one sentence."""
    own = arrays if "x__wave" in arrays else {"x": X, **arrays}
    with pytest.raises(DataError) as caught:
        load(tmp_path, **own)
    assert words in str(caught.value)
    assert "d.npz: mask__" in str(caught.value)
    assert "\n" not in str(caught.value)


# --- in a scan


def save_model(path: Path, weights: Array, shape: list[int]) -> None:
    """Two logits, linear in a row of some shape."""
    tables = [
        numpy_helper.from_array(np.stack([-weights, weights], axis=1).astype(np.float32), "w"),
        numpy_helper.from_array(np.array([-1, weights.size], dtype=np.int64), "flat"),
    ]
    nodes = [helper.make_node("Reshape", ["x", "flat"], ["row"]), helper.make_node("MatMul", ["row", "w"], ["y"])]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *shape])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])
    graph = helper.make_graph(nodes, "linear", [x], [y], tables)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), str(path))


class Ran(NamedTuple):
    """A finished scan: its report, and of each check the samples and changes of its evidence."""

    report: Report
    deltas: dict[str, list[tuple[int, Array]]]


def ran(folder: Path, policy: str) -> Ran:
    """Scan the folder's model and data."""
    (folder / "p.yaml").write_text(policy)
    report, out = scan(
        Options(folder / "m.onnx", str(folder / "p.yaml"), folder / "d.npz", out=folder / "run", workers=1)
    )
    deltas: dict[str, list[tuple[int, Array]]] = {check.id: [] for check in report.checks}
    for check in report.checks:
        for case in check.cases:
            if case.evidence is not None:
                assert not case.note, case.note
                with np.load(out / case.evidence) as held:
                    deltas[check.id].append((int(held["sample"]), held["delta"]))
    return Ran(report, deltas)


LEADS, TIMES, RECORDS = 2, 24, 16
LIMITS = "budget: {queries: 60}, require: {metric: robust_accuracy, at_least: 90%}"
ATTACKS = {  # check id: rule, norm and size
    "square": ("square-noise", "linf", "1 sd"),
    "square2": ("square-noise", "l2", "4 sd"),
    "square1": ("square-noise", "l1", "12 sd"),
    "signs": ("sign-noise", "linf", "1 sd"),
    "estimate": ("gradient-estimate", "linf", "1 sd"),
    "steps": ("single-steps", "l2", "4 sd"),
    "waves": ("slow-waves", "l2", "6 sd"),
    "walk": ("label-walk", "l2", "4 sd"),
    "rays": ("label-rays", "linf", "1 sd"),
    "arc": ("label-arc", "l2", "4 sd"),
    "few": ("few-features", "l0", "3 features"),
    "chance": ("random-noise", "l2", "4 sd"),
}


def masked_policy(more: str, names: tuple[str, ...] = tuple(ATTACKS)) -> str:
    """Every attack under a threat with some lines more."""
    lines = ["medaudit: 1", "policy: {id: masks}"]
    lines += ["model: {inputs: {x: {domain: signal, axes: [batch, lead, time], stored_axes: [batch, lead, time]}}}"]
    lines += ["threats:"]
    for name in names:
        _, norm, eps = ATTACKS[name]
        lines += [f"  {name}: {{access: scores, norm: {norm}, eps: {eps}, {more}}}"]
    lines += ["checks:"]
    for name in names:
        lines += [f"  - {{id: {name}, rule: {ATTACKS[name][0]}, threat: {name}, {LIMITS}}}"]
    return "\n".join(lines) + "\n"


def signal_setting(folder: Path) -> dict[str, Array]:
    """A linear model of a signal, and data with masks; those masks."""
    rng = np.random.default_rng(3)
    weights = rng.normal(0, 1, LEADS * TIMES)
    x = rng.normal(0, 1, (RECORDS, LEADS * TIMES))
    margin = np.where(np.arange(RECORDS) % 2, 1.0, -1.0) * 1.5
    x += ((margin - x @ weights) / (weights @ weights))[:, None] * weights
    save_model(folder / "m.onnx", weights, [LEADS, TIMES])
    half = np.zeros((LEADS, TIMES))
    half[0, 2:17] = half[1, 9:20] = 1
    own = rng.integers(0, 2, (RECORDS, LEADS, TIMES))
    np.savez(
        folder / "d.npz", x=x.reshape(RECORDS, LEADS, TIMES).astype(np.float32), y=(margin > 0).astype(np.int64),
        mask__half=half, mask__own=own,
    )  # fmt: skip
    return {
        "half": np.broadcast_to(half.reshape(-1) > 0, (RECORDS, LEADS * TIMES)),
        "own": own.reshape(RECORDS, -1) > 0,
    }


@pytest.mark.parametrize(("key", "name"), [("only", "half"), ("never", "half"), ("only", "own"), ("never", "own")])
def test_threats_keep_to_masks(key: str, name: str, tmp_path: Path) -> None:
    """Outside `only` and inside `never` no number of any finding changes; where it may, it does."""
    masks = signal_setting(tmp_path)
    done = ran(tmp_path, masked_policy(f"{key}: [{name}]"))
    touched = np.zeros(LEADS * TIMES, dtype=bool)
    for check, found in done.deltas.items():
        assert found or check in ("chance", "few"), f"{check} found nothing"
        for sample, delta in found:
            free = masks[name][sample] if key == "only" else ~masks[name][sample]
            assert not delta[~free].any(), check
            assert delta[free].any(), check
            touched |= delta != 0
    allowed = (masks[name] if key == "only" else ~masks[name]).any(axis=0)
    assert touched.sum() > 0.9 * allowed.sum()


def test_both_masks_bind(tmp_path: Path) -> None:
    """Inside `only` and outside `never` at once."""
    masks = signal_setting(tmp_path)
    done = ran(tmp_path, masked_policy("only: [half], never: [own]", ("square", "walk")))
    found = done.deltas["square"] + done.deltas["walk"]
    assert found
    for sample, delta in found:
        free = masks["half"][sample] & ~masks["own"][sample]
        assert not delta[~free].any()


def test_a_mask_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """Exit code 2, the line of the threat's key, and the masks there are; nothing is left behind."""
    signal_setting(tmp_path)
    text = masked_policy("never: [artery]", ("square",))
    (tmp_path / "p.yaml").write_text(text)
    line = 1 + next(i for i, words in enumerate(text.splitlines()) if "never" in words)
    column = 1 + text.splitlines()[line - 1].index("never")
    with pytest.raises(PolicyErrors) as caught:
        scan(Options(tmp_path / "m.onnx", str(tmp_path / "p.yaml"), tmp_path / "d.npz", out=tmp_path / "run"))
    assert caught.value.exit_code == 2
    (problem,) = caught.value.problems
    assert problem.line == line
    assert problem.column >= column
    assert "the data file has no mask 'artery'; masks in it: half, own; add mask__artery" in str(problem)
    assert not (tmp_path / "run").exists()


def test_the_command_line_says_so_too(tmp_path: Path) -> None:
    """Exit code 2 and the place, without a traceback."""
    signal_setting(tmp_path)
    (tmp_path / "p.yaml").write_text(masked_policy("only: [artery]", ("square",)))
    words = ["scan", "m.onnx", "--policy", "p.yaml", "--data", "d.npz", "--out", "run", "--workers", "1"]
    answer = subprocess.run(
        [sys.executable, "-m", "medaudit.cli.main", *words],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert answer.returncode == 2
    assert "p.yaml:5:" in answer.stderr
    assert "no mask 'artery'" in answer.stderr
    assert "Traceback" not in answer.stderr


NAMES = ("systolic", "diastolic", "mean pressure", "age", "home", "ward", "icu", "lab")
CONSTRAINED = """
medaudit: 1
policy: {id: constraints}
model:
  inputs: {x: {domain: table}}
  constraints:
    relations:
      - diastolic < systolic
      - "3 * `mean pressure` <= 2 * systolic + diastolic"
      - age >= 18
    one_hot: [[home, ward, icu]]
threats:
  near: {access: scores, norm: linf, eps: 1.5 sd}
  far: {access: scores, norm: l2, eps: 3 sd}
  few: {access: scores, norm: l0, eps: 2 features}
checks:
  - {id: square, rule: square-noise, threat: near, LIMITS}
  - {id: estimate, rule: gradient-estimate, threat: far, LIMITS}
  - {id: walk, rule: label-walk, threat: far, LIMITS}
  - {id: rays, rule: label-rays, threat: near, LIMITS}
  - {id: few, rule: few-features, threat: few, LIMITS}
""".replace("LIMITS", LIMITS.replace("60", "150"))


def patients(folder: Path) -> Array:
    """Thirty patients, two with pressures the wrong way round; a model that gains by breaking each constraint."""
    rng = np.random.default_rng(6)
    systolic = rng.normal(120, 10, 30)
    diastolic = systolic - rng.uniform(2, 25, 30)
    middle = (2 * systolic + diastolic) / 3 - rng.uniform(0.5, 6, 30)
    diastolic[:2] = systolic[:2] + 5
    place = np.eye(3)[rng.integers(0, 3, 30)]
    age, lab = rng.uniform(19, 40, 30), rng.normal(0, 1, 30)
    x = np.column_stack([systolic, diastolic, middle, age, place, lab]).astype(np.float32)
    weights = np.array([-0.05, 0.05, 0.02, -0.02, 0.3, 0.9, 1.5, 0.5])
    z = (x.astype(np.float64) - x.mean(axis=0)) @ weights
    save_model(folder / "m.onnx", weights, [8])
    # The threshold lies at the logits' own zero: shift the records' lab value to where both answers occur.
    x[:, 7] += np.float32((z.mean() - float((x.astype(np.float64) @ weights).mean())) / weights[7])
    y = (x.astype(np.float64) @ weights > 0).astype(np.int64)
    assert 5 < y.sum() < 25
    lo = np.array([60, 30, 30, 0, 0, 0, 0, x[:, 7].min() - 3])
    hi = np.array([220, 150, 180, 110, 1, 1, 1, x[:, 7].max() + 3])
    np.savez(folder / "d.npz", x=x, y=y, names=np.array(NAMES), lo=lo, hi=hi)
    return x


def lawful(row: Array) -> list[bool]:
    """The policy's constraints, by hand."""
    systolic, diastolic, middle, age = (float(v) for v in row[:4])
    return [diastolic < systolic, 3 * middle <= 2 * systolic + diastolic, age >= 18]


def test_findings_keep_the_constraints(tmp_path: Path) -> None:
    """Every finding's record keeps what its clean record kept, and is at exactly one place; some moved there."""
    x = patients(tmp_path)
    done = ran(tmp_path, CONSTRAINED)
    moved = broke = 0
    for check, found in done.deltas.items():
        assert found, f"{check} found nothing"
        for sample, delta in found:
            row = (x[sample].astype(np.float64) + delta).astype(np.float32)
            kept = lawful(row)
            assert all(now or not before for before, now in zip(lawful(x[sample]), kept, strict=True)), check
            assert sorted(row[4:7]) == [0, 0, 1]
            moved += bool(delta[4:7].any())
            broke += not all(kept)
            if check != "few":
                assert not delta[4:7].any(), "places are not moved by degrees"
            else:
                assert (delta[[0, 1, 2, 3, 7]] != 0).sum() + bool(delta[4:7].any()) <= 2, "a place counts as one"
    assert moved, "one change of place at least"
    assert broke <= sum(len(found) for found in done.deltas.values()) / 4


def test_without_constraints_they_are_broken(tmp_path: Path) -> None:
    """The same attacks on the same records do break them: the test above could fail."""
    x = patients(tmp_path)
    start = CONSTRAINED.index("  constraints:")
    done = ran(tmp_path, CONSTRAINED[:start] + CONSTRAINED[CONSTRAINED.index("threats:") :])
    rows = [(x[s] + delta, lawful(x[s])) for found in done.deltas.values() for s, delta in found]
    assert any(before and not now for row, held in rows for before, now in zip(held, lawful(row), strict=True))
    assert any(sorted(row[4:7]) != [0, 0, 1] for row, _ in rows)
