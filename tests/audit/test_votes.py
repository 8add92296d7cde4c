"""`model.votes`: a noisy model is asked several times; luck is no success, and every asking is counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper

from medaudit.audit.scan import Options, scan
from medaudit.audit.starter import starter_policy
from medaudit.core.errors import PolicyErrors
from medaudit.core.interface import Output
from medaudit.core.protocol import Lanes
from medaudit.engine.journal import Journal
from medaudit.model.vote import vote
from medaudit.oracle.decision import decide
from medaudit.oracle.goal import Goal, oracle
from medaudit.oracle.noise import noise_floor

WIDTH, ROWS = 6, 24
EPS = 0.2  # moves a row's sum by 1.2
NEAR, FAR = 0.4, 1.5  # sums that it can turn, and that it cannot
POLICY = """medaudit: 1
policy: {{id: votes, domain: table}}
model: {{votes: {votes}}}
threats:
  near: {{access: scores, norm: linf, eps: 0.2}}
  look: {{access: labels, norm: l2, eps: 0.5}}
checks:
  - {{id: noise, rule: sign-noise, threat: near, budget: {{queries: {budget}}},
     require: {{metric: robust_accuracy, at_least: 50%}}}}
"""
MORE = """  - {{id: walk, rule: label-walk, threat: look, budget: {{queries: {budget}}}, goal: {{stop: budget}},
     require: {{metric: robust_accuracy, at_least: 50%}}}}
  - {{id: one, rule: universal-noise, threat: near, budget: {{queries: {budget}}}, with: {{patients: 4}},
     require: {{metric: robust_accuracy, at_least: 50%}}}}
  - {{id: twice, rule: repeatability, require: {{metric: changed_decisions, at_most: 0}}}}
"""


def setting(folder: Path, noise: float, votes: int, budget: int, more: str = "", labels: bool = False) -> Options:
    """Logits -m and m of a row's sum m, both with fresh noise; every other row can be turned within eps."""
    folder.mkdir(exist_ok=True)
    both = np.stack([-np.ones(WIDTH), np.ones(WIDTH)], axis=1).astype(np.float32)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["z" if noise else "logits"])]
    if noise:
        nodes.append(helper.make_node("RandomNormalLike", ["z"], ["e"], scale=noise, seed=7.0))
        nodes.append(helper.make_node("Add", ["z", "e"], ["logits"]))
    kind, shape = TensorProto.FLOAT, ["n", 2]
    if labels:
        nodes.append(helper.make_node("ArgMax", ["logits"], ["y"], axis=1, keepdims=0))
        kind, shape = TensorProto.INT64, ["n"]
    else:
        nodes.append(helper.make_node("Identity", ["logits"], ["y"]))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", WIDTH])
    y = helper.make_tensor_value_info("y", kind, shape)
    graph = helper.make_graph(nodes, "noisy", [x], [y], [numpy_helper.from_array(both, "w")])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), str(folder / "m.onnx")
    )
    rng = np.random.default_rng(3)
    rows = rng.uniform(-0.1, 0.1, (ROWS, WIDTH))
    side = np.where(np.arange(ROWS) // 2 % 2, 1.0, -1.0)
    rows += ((side * np.where(np.arange(ROWS) % 2, FAR, NEAR) - rows.sum(axis=1)) / WIDTH)[:, None]
    np.savez(folder / "d.npz", x=rows.astype(np.float32), y=(side > 0).astype(np.int64),
             classes=np.array(["a", "b"]), lo=np.full(WIDTH, -50.0), hi=np.full(WIDTH, 50.0))  # fmt: skip
    (folder / "p.yaml").write_text((POLICY + more).format(votes=votes, budget=budget))
    return Options(folder / "m.onnx", str(folder / "p.yaml"), folder / "d.npz", folder / "run", workers=1, seed=1)


def records(folder: Path, check: str) -> dict[int, dict[str, Any]]:
    journal = Journal(folder / "journal")
    found = {sample: record for sample, (record, _) in journal.cases(check).items()}
    journal.close()
    return found


def test_scores_are_voted_on(tmp_path: Path) -> None:
    """Asked once, the noise hides every success, and a flag says so; a vote finds all rows within reach, no other."""
    once, alone = scan(setting(tmp_path / "once", 1.0, 1, 40))
    many, voted = scan(setting(tmp_path / "many", 1.0, 144, 144 * 40))
    assert "noisy-scores" in once.flags
    assert once.checks[0].verdict == "inconclusive"
    assert not any(record["found"] for record in records(alone, "noise").values())
    assert many.flags == []
    for key in ("found", "success"):
        assert {s for s, record in records(voted, "noise").items() if record[key]} == set(range(0, ROWS, 2))
    assert "vote of 144 askings" in many.model.decision
    assert any("144 times" in line for line in many.limits)
    assert not any("times" in line for line in once.limits)
    assert yaml.safe_load((voted / "policy.yaml").read_text())["model"]["votes"] == 144


def test_a_vote_of_equal_answers_changes_only_the_count(tmp_path: Path) -> None:
    """A model without noise: the same claims after the same answers, all rows three times."""
    plain, one = scan(setting(tmp_path / "one", 0.0, 1, 60, MORE))
    voted, three = scan(setting(tmp_path / "three", 0.0, 3, 180, MORE))
    assert plain.flags == voted.flags == []
    cases: list[dict[str, Any]] = []
    for folder in (one, three):
        journal = Journal(folder / "journal")
        names = ("noise", "noise~planted", "noise~control", "walk", "walk~planted", "one", "one~fit", "one~planted~fit")
        cases.append({name: journal.cases(name) for name in names})
        journal.close()
    for name, found in cases[0].items():
        assert set(found) == set(cases[1][name])
        for sample, (record, arrays) in found.items():
            other, held = cases[1][name][sample]
            for key in ("rows", "counted", "found", "invalid", "starts", "verification"):
                assert other[key] == 3 * record[key], (name, sample, key)
            assert other["size"] == record["size"]
            assert other["success"] == record["success"]
            for key, value in arrays.items():
                np.testing.assert_array_equal(held[key], value)
    for a, b in zip(plain.checks, voted.checks, strict=True):
        assert a.verdict == b.verdict
        assert {k: v for k, v in a.metrics.items() if "quer" not in k} == {
            k: v for k, v in b.metrics.items() if "quer" not in k
        }
        assert b.queries.rows == 3 * a.queries.rows
    assert voted.cost.rows == 3 * plain.cost.rows
    assert voted.cost.padding == 3 * plain.cost.padding


def test_labels_are_voted_on(tmp_path: Path) -> None:
    """Asked once, rows beyond reach fall to luck; of a vote they stand, and most of those within reach do not."""
    found = {}
    for votes in (1, 49):
        options = setting(tmp_path / f"{votes}", 0.7, votes, votes * 300, labels=True)
        walk = POLICY.split("  - {{id: noise")[0] + MORE.split("  - {{id: one")[0]
        (tmp_path / f"{votes}" / "p.yaml").write_text(walk.format(votes=votes, budget=votes * 300))
        found[votes] = records(scan(options)[1], "walk")
    assert sum(record["found"] > 0 for sample, record in found[1].items() if sample % 2) >= 2
    assert not any(record["found"] for sample, record in found[49].items() if sample % 2)
    near = [record["success"] for sample, record in found[49].items() if sample % 2 == 0]
    assert len(near) >= 8
    assert sum(near) >= 0.5 * len(near)


def test_noise_that_takes_a_number_s_tolerance_is_told(tmp_path: Path) -> None:
    """The sum must move by 1: noise of 0.5 hides that, asked twice too; the mean of 400 askings does not."""
    flags = {}
    for votes in (1, 2, 400):
        options = setting(tmp_path / f"{votes}", 0.5, votes, votes * 20)
        model = onnx.load(options.model)
        model.graph.node.append(helper.make_node("Slice", ["y", "from", "to", "axis"], ["sum"]))
        for name, value in (("from", 1), ("to", 2), ("axis", 1)):
            model.graph.initializer.append(numpy_helper.from_array(np.array([value], np.int64), name))
        del model.graph.output[:]
        model.graph.output.append(helper.make_tensor_value_info("sum", TensorProto.FLOAT, ["n", 1]))
        onnx.save(model, str(options.model))
        assert options.data is not None
        with np.load(options.data) as data:
            x = data["x"]
        np.savez(options.data, x=x, y=x.sum(axis=1), lo=np.full(WIDTH, -50.0), hi=np.full(WIDTH, 50.0))
        policy = Path(options.policy)
        text = policy.read_text().replace("votes: ", "output: {task: regression}, votes: ")
        policy.write_text(text.replace("threat: near", "threat: near, goal: {what: moved, amount: 1}"))
        flags[votes] = scan(options)[0].flags
    assert "noisy-scores" in flags[1]
    assert "noisy-scores" in flags[2]
    assert flags[400] == []


def test_less_than_a_vote_is_no_budget(tmp_path: Path) -> None:
    with pytest.raises(PolicyErrors, match="less than one answer, which is a vote of 9"):
        scan(setting(tmp_path / "few", 1.0, 9, 8))


def test_the_starter_votes_where_the_graph_draws(tmp_path: Path) -> None:
    options = setting(tmp_path / "start", 0.1, 1, 8)
    assert options.data is not None
    text = starter_policy(options.model, options.data, "", "quick")
    policy = yaml.safe_load(text)
    assert policy["model"]["votes"] == 9
    assert all(check["budget"]["queries"] >= 9 * 20 for check in policy["checks"] if "budget" in check)


def test_votes_for_labels_are_shares() -> None:
    """Nobody's label counts for no class; a tie goes to the first; clearance is in shares."""
    output = Output("label", ("y",), "labels", ("a", "b", "c"), (0, 1, 2), votes=4)
    drawn = [np.array([[k], [2], [-1]], dtype=np.float32) for k in (1, 0, 0, 1)]
    shares = vote(output, drawn)
    assert output.width == 3
    np.testing.assert_array_equal(shares, [[0.5, 0.5, 0], [0, 0, 1], [0, 0, 0]])
    np.testing.assert_array_equal(decide(output, shares), [0, 2, -1])
    assert noise_floor(output, shares, shares[[1, 1, 2]]) == 1.0
    zero = np.zeros((1, 1), dtype=np.float32)
    lanes = Lanes(
        np.zeros(1, np.uint64), zero, zero, zero, None, np.array([[1, 0, 0]], np.float32), np.array([0]), np.array([-1])
    )
    answers = np.array([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0, 1, 0]], dtype=np.float32)
    for clearance, hits in ((0.0, [False, True, True]), (0.5, [False, False, True])):
        _, hit = oracle(output, Goal(), "scores", clearance).score(lanes, np.zeros(3, dtype=np.int64), answers)
        assert list(hit) == hits


def test_a_vote_with_nonsense_is_nonsense() -> None:
    output = Output("multiclass", ("y",), "logits", ("a", "b"), (0, 1), votes=3)
    drawn = [np.array([[1.0, 2.0]], dtype=np.float32) for _ in range(3)]
    drawn[1][0, 1] = np.nan
    assert np.isnan(vote(output, drawn)[0, 1])
    assert vote(output, drawn[:1]) is drawn[0]
